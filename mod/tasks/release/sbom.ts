/** The bill of materials of a release, in CycloneDX's JSON: what it is made of, in which versions, under which licences. */
import { createHash } from "node:crypto";
import { LICENCES, OWN_LICENCE } from "./licences.ts";

/** What the lock file says of npm packages. */
export interface Lock {
  readonly npm: Readonly<
    Record<string, { readonly integrity: string; readonly dependencies?: readonly string[] }>
  >;
}

/** What a bill is about. */
export interface SbomOptions {
  readonly version: string;
  /** `x86_64`. */
  readonly architecture: string;
  /** When the release was made, ISO 8601. */
  readonly time: string;
  readonly deno: { readonly package: string; readonly version: string; readonly integrity: string };
  /** Libraries that the program carries, as packages of Debian. */
  readonly libraries: readonly { readonly name: string; readonly version: string; readonly sha256: string }[];
  /** Debian's name of the architecture, and the code name of the release that the libraries come from. */
  readonly debian: { readonly architecture: string; readonly release: string };
  readonly lock: Lock;
  /** The npm packages of which the program has code; the others are for tests. */
  readonly used: ReadonlySet<string>;
}

/** The bill as text. Equal options give equal text. */
export function sbom(options: SbomOptions): string {
  const { version, architecture, time, deno } = options;
  const own = `pkg:generic/meshnet@${version}?arch=${architecture}`;
  const components = [
    component({
      type: "application",
      name: "deno",
      version: deno.version,
      purl: npmPurl(deno.package, deno.version),
      hash: fromIntegrity(deno.integrity),
    }),
    ...options.libraries.map((library) => libraryComponent(library, options.debian)),
    ...npmComponents(options),
  ];
  const required = components.filter((one) => one.scope === "required").map((one) => one["bom-ref"]);
  const body = {
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    version: 1,
    metadata: {
      timestamp: time,
      component: {
        "bom-ref": own,
        type: "application",
        name: "meshnet",
        version,
        purl: own,
        licenses: [{ license: { id: OWN_LICENCE } }],
      },
    },
    components,
    dependencies: [{ ref: own, dependsOn: required }, ...npmDependencies(options.lock)],
  };
  const serialNumber = `urn:uuid:${uuidOf(JSON.stringify(body))}`;
  const { bomFormat, specVersion, ...rest } = body;
  return JSON.stringify({ bomFormat, specVersion, serialNumber, ...rest }, undefined, 2) + "\n";
}

/** The npm packages that a bundle has code of: the bundler names them in comments. */
export function usedPackages(texts: readonly string[]): ReadonlySet<string> {
  const found = texts.flatMap((text) =>
    [...text.matchAll(/^\s*\/\/ npm:((?:@[^/\s]+\/)?[^/\s]+)\//gm)].map((match) => match[1]!)
  );
  return new Set(found);
}

interface Component {
  readonly "bom-ref": string;
  readonly scope: "required" | "excluded";
}

function component(
  { type, name, version, purl, hash, scope = "required" }: {
    readonly type: "application" | "library";
    readonly name: string;
    readonly version: string;
    readonly purl: string;
    readonly hash: { readonly alg: string; readonly content: string };
    readonly scope?: Component["scope"];
  },
): Component {
  const id = LICENCES[name];
  if (id === undefined) throw new RangeError(`licences.ts does not say under which licence ${name} comes`);
  const licenses = [{ license: { id } }];
  return { "bom-ref": purl, type, name, version, scope, hashes: [hash], licenses, purl } as Component;
}

function libraryComponent(
  { name, version, sha256 }: SbomOptions["libraries"][number],
  { architecture, release }: SbomOptions["debian"],
): Component {
  const purl = `pkg:deb/debian/${name}@${encodeURIComponent(version)}?arch=${architecture}&distro=${release}`;
  return component({ type: "library", name, version, purl, hash: { alg: "SHA-256", content: sha256 } });
}

function npmComponents({ lock, used }: SbomOptions): readonly Component[] {
  return Object.entries(lock.npm).map(([key, { integrity }]) => {
    const { name, version } = parseKey(key);
    const scope = used.has(name) ? "required" : "excluded";
    const hash = fromIntegrity(integrity);
    return component({ type: "library", name, version, purl: npmPurl(name, version), hash, scope });
  });
}

function npmDependencies(
  lock: Lock,
): readonly { readonly ref: string; readonly dependsOn: readonly string[] }[] {
  const keys = Object.keys(lock.npm).map(parseKey);
  return Object.entries(lock.npm).flatMap(([key, { dependencies = [] }]) => {
    if (dependencies.length === 0) return [];
    const { name, version } = parseKey(key);
    const dependsOn = dependencies.map((needed) => {
      // With one version in the lock file its name alone stands there.
      const found = keys.find((one) => one.name === needed || `${one.name}@${one.version}` === needed);
      if (found === undefined) throw new RangeError(`The lock file has no ${needed}, which ${key} needs`);
      return npmPurl(found.name, found.version);
    });
    return [{ ref: npmPurl(name, version), dependsOn }];
  });
}

/** `@noble/hashes@2.4.0` in its two parts. */
function parseKey(key: string): { readonly name: string; readonly version: string } {
  const at = key.lastIndexOf("@");
  return { name: key.slice(0, at), version: key.slice(at + 1).replace(/_.*$/, "") };
}

function npmPurl(name: string, version: string): string {
  return `pkg:npm/${name.replace("@", "%40")}@${version}`;
}

function fromIntegrity(integrity: string): { readonly alg: string; readonly content: string } {
  const [algorithm, value] = [
    integrity.slice(0, integrity.indexOf("-")),
    integrity.slice(integrity.indexOf("-") + 1),
  ];
  if (algorithm !== "sha512") throw new RangeError(`Unknown hash in the lock file: ${integrity}`);
  return { alg: "SHA-512", content: Uint8Array.fromBase64(value).toHex() };
}

/** A UUID made of a text, marked as one of version 8, which may be made in any way. */
function uuidOf(text: string): string {
  const hex = createHash("sha256").update(text).digest("hex");
  const variant = "89ab"[Number.parseInt(hex[16]!, 16) & 3]!;
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    variant + hex.slice(17, 20),
    hex.slice(20, 32),
  ]
    .join("-");
}
