import assert from "node:assert/strict";
import { CARRIED } from "../../../../mod/tasks/libraries.ts";
import { LICENCES } from "../../../../mod/tasks/release/licences.ts";
import { ARCHITECTURES } from "../../../../mod/tasks/release/architectures.ts";
import { runtimeOf } from "../../../../mod/tasks/release/runtimes.ts";
import { type Lock, sbom, usedPackages } from "../../../../mod/tasks/release/sbom.ts";
import { root } from "../../../../mod/tasks/run.ts";

const lock = JSON.parse(Deno.readTextFileSync(`${root}/deno.lock`)) as Lock;
const SHA = "ab".repeat(32);

function bill(used: readonly string[]): string {
  return sbom({
    version: "1.2.3",
    architecture: "aarch64",
    time: "2026-11-27T12:00:00.000Z",
    deno: { package: "@deno/linux-arm64-glibc", version: "2.9.6", integrity: "sha512-AAEC" },
    libraries: [
      { name: "libnl-3-200", version: "3.7.0-0.2+b1", sha256: SHA },
      { name: "libsodium23", version: "1.0.18-1", sha256: SHA },
    ],
    debian: { architecture: "arm64", release: "bookworm" },
    lock,
    used: new Set(used),
  });
}

interface Bill {
  readonly serialNumber: string;
  readonly components: readonly {
    readonly name: string;
    readonly version: string;
    readonly scope: string;
    readonly purl: string;
    readonly hashes: readonly { readonly alg: string; readonly content: string }[];
  }[];
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[];
}

Deno.test("sbom() names Deno, the native libraries and every package of the lock file with its version", () => {
  const { components } = JSON.parse(bill(["smol-toml"])) as Bill;
  const named = components.map(({ name, version }) => `${name}@${version}`);
  const locked = Object.keys(lock.npm).map((key) => key.replace(/_.*/, ""));
  assert.deepEqual(named, ["deno@2.9.6", "libnl-3-200@3.7.0-0.2+b1", "libsodium23@1.0.18-1", ...locked]);
  const of = (name: string) => components.find((one) => one.name === name)!;
  assert.deepEqual(of("deno").hashes, [{ alg: "SHA-512", content: "000102" }]);
  assert.equal(
    of("libnl-3-200").purl,
    "pkg:deb/debian/libnl-3-200@3.7.0-0.2%2Bb1?arch=arm64&distro=bookworm",
  );
  assert.equal(of("smol-toml").scope, "required");
  assert.equal(of("fast-check").scope, "excluded"); // for tests
  assert.match(of("@noble/hashes").purl, /^pkg:npm\/%40noble\/hashes@\d+\.\d+\.\d+$/);
});

Deno.test("sbom() says what needs what, by names that it has", () => {
  const { components, dependencies } = JSON.parse(bill(["smol-toml"])) as Bill;
  const known = new Set(["pkg:generic/meshnet@1.2.3?arch=aarch64", ...components.map(({ purl }) => purl)]);
  for (const { ref, dependsOn } of dependencies) {
    for (const one of [ref, ...dependsOn]) assert.ok(known.has(one), one);
  }
  assert.equal(dependencies[0]!.dependsOn.length, 4);
  assert.ok(dependencies.some(({ ref }) => ref.startsWith("pkg:npm/%40noble/curves@")));
});

Deno.test("sbom() gives equal text for equal parts, and a serial number of its own for others", () => {
  const [one, same, other] = [bill(["smol-toml"]), bill(["smol-toml"]), bill([])];
  assert.equal(one, same);
  const serial = (text: string) => (JSON.parse(text) as Bill).serialNumber;
  assert.match(serial(one), /^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.notEqual(serial(one), serial(other));
});

Deno.test("usedPackages() reads the bundler's comments", () => {
  const texts = [
    "// npm:@noble/hashes/2.4.0/utils.js\nx();\n  // npm:smol-toml/1.9.1/dist/a.js\n",
    "// npm: no\n",
  ];
  assert.deepEqual([...usedPackages(texts)], ["@noble/hashes", "smol-toml"]);
});

Deno.test("LICENCES knows each package of the lock file, and no other", () => {
  const names = Object.keys(lock.npm).map((key) => key.slice(0, key.lastIndexOf("@")));
  assert.deepEqual(
    Object.keys(LICENCES).sort(),
    [...new Set(names), "deno", ...CARRIED.map(({ debian }) => debian)].sort(),
  );
});

Deno.test("runtimes.lock has this Deno for every architecture", () => {
  for (const architecture of ARCHITECTURES) assert.match(runtimeOf(architecture).integrity, /^sha512-/);
});
