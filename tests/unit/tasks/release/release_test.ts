import assert from "node:assert/strict";
import { COMMANDS } from "../../../../mod/cli/commands.ts";
import { compressInPieces } from "../../../../mod/tasks/payload.ts";
import { ARCHITECTURES } from "../../../../mod/tasks/release/architectures.ts";
import type { ReleaseProgram } from "../../../../mod/tasks/release/program.ts";
import { makeDeb } from "../../../../mod/tasks/release/release.ts";
import { capture, temporaryFolder } from "../../../../mod/tasks/run.ts";

const MIB = 1 << 20;

/** A program whose Deno is some bytes. */
async function sample(): Promise<ReleaseProgram> {
  const bytes = new Uint8Array(2 * MIB + 5).map((_, i) => i * 7);
  const script = "// npm:smol-toml/1.9.1/dist/index.js\n";
  return {
    architecture: ARCHITECTURES[1]!,
    deno: { bytes, pieces: await compressInPieces(bytes, 2) },
    bundle: [{ path: "main.js", bytes: new TextEncoder().encode(script) }],
    libraries: [],
    packages: [{ name: "libsodium23", version: "1.0", path: "unused", sha256: "00" }],
    system: [],
  };
}

Deno.test("makeDeb() makes the whole package: program, command, unit, manual pages, bill of materials", async () => {
  const program = await sample();
  const release = { version: "1.2.3", time: 1_764_000_000 };
  const bytes = await makeDeb(program, release);
  assert.deepEqual(await makeDeb(program, release), bytes, "equal parts give equal bytes");
  using scratch = temporaryFolder();
  Deno.writeFileSync(`${scratch.path}/it.deb`, bytes);
  await capture(["dpkg-deb", "-x", `${scratch.path}/it.deb`, `${scratch.path}/it`]);
  const at = (path: string) => `${scratch.path}/it${path}`;
  assert.deepEqual(Deno.readFileSync(at("/usr/lib/meshnet/meshnet")), program.deno.bytes);
  assert.equal(Deno.statSync(at("/usr/lib/meshnet/meshnet")).mode! & 0o777, 0o755);
  assert.match(Deno.readTextFileSync(at("/usr/bin/meshnet")), /^#!\/bin\/sh\n# meshnet 1\.2\.3 /);
  const unit = Deno.readTextFileSync(at("/usr/lib/systemd/system/meshnet.service"));
  assert.match(unit, /^ExecStart=\/usr\/bin\/meshnet up$/m);
  assert.equal([...Deno.readDirSync(at("/usr/share/man/man8"))].length, COMMANDS.length + 1);
  const bill = JSON.parse(Deno.readTextFileSync(at("/usr/share/doc/meshnet/sbom.cdx.json")));
  assert.equal(bill.metadata.component.version, "1.2.3");
  assert.equal(bill.metadata.timestamp, new Date(release.time * 1000).toISOString());
  assert.equal(
    await capture([
      "dpkg-deb",
      "-W",
      "--showformat=${Package} ${Version} ${Architecture}",
      `${scratch.path}/it.deb`,
    ]),
    "meshnet 1.2.3 arm64",
  );
});
