/** What every form of a release is made of, for one architecture. */
import { bundle, FLAGS, readVersion } from "../bundle.ts";
import { packDeno, type PackedDeno, readScript } from "../executable.ts";
import { carriedBy } from "../libraries.ts";
import { type PayloadFile, render, sha256 } from "../payload.ts";
import { capture, root, temporaryFolder } from "../run.ts";
import type { Architecture } from "./architectures.ts";
import { type DebianPackage, fetchPackages, unpackPackage } from "./debian_packages.ts";
import { runtimePath } from "./runtimes.ts";

/** What Deno itself needs, and the library of ciphers that the program uses where it is there. */
const SYSTEM_PACKAGES = ["libc6", "libgcc-s1", "libssl3", "dash"];
/** Where packages and images have the program. */
export const LIBRARY_FOLDER = "/usr/lib/meshnet";
/** The command in packages and images. */
export const COMMAND = "/usr/bin/meshnet";

/** What a release is called and when it was made. */
export interface Release {
  readonly version: string;
  /** Seconds since 1970. */
  readonly time: number;
}

/** A library as a package of Debian has it. */
export interface Library extends DebianPackage {
  readonly sha256: string;
}

/** The program for one architecture. */
export interface ReleaseProgram {
  readonly architecture: Architecture;
  readonly deno: PackedDeno;
  /** The program as JavaScript. */
  readonly bundle: readonly PayloadFile[];
  /** Native libraries, below `lib/`. */
  readonly libraries: readonly PayloadFile[];
  readonly packages: readonly Library[];
  /** The packages that a root without anything else needs. */
  readonly system: readonly Library[];
}

/** The version, and the time of the last commit or `SOURCE_DATE_EPOCH`: equal sources give equal bytes. */
export async function readRelease(): Promise<Release> {
  const time = Deno.env.get("SOURCE_DATE_EPOCH") ??
    await capture(["git", "log", "-1", "--format=%ct"], { purpose: "release" });
  return { version: readVersion(), time: Number(time) };
}

/** The program as JavaScript. */
export async function bundleProgram(): Promise<readonly PayloadFile[]> {
  using scratch = temporaryFolder();
  return await bundle(scratch.path);
}

/** Puts together what an architecture needs: the bundle is the same everywhere, the rest comes from the registries. */
export async function gather(
  architecture: Architecture,
  bundled: readonly PayloadFile[],
): Promise<ReleaseProgram> {
  const deno = await packDeno(Deno.readFileSync(runtimePath(architecture)));
  const carried = carriedBy(architecture.name);
  const names = carried.map(({ debian }) => debian);
  const fetched = await fetchPackages(architecture, [...names, ...SYSTEM_PACKAGES]);
  const hashed = fetched.map((one) => ({ ...one, sha256: sha256(Deno.readFileSync(one.path)) }));
  const packages = hashed.filter(({ name }) => names.includes(name));
  using scratch = temporaryFolder();
  for (const one of packages) await unpackPackage(one, scratch.path);
  const libraries = carried.map(({ file }) => ({
    path: `lib/${file}`,
    bytes: readLibrary(scratch.path, architecture, file),
  }));
  const system = hashed.filter(({ name }) => SYSTEM_PACKAGES.includes(name));
  return { architecture, deno, bundle: bundled, libraries, packages, system };
}

/** A library in a folder with unpacked packages; older packages have it in `/lib`. */
function readLibrary(folder: string, { triplet }: Architecture, name: string): Uint8Array {
  for (const place of ["usr/lib", "lib"]) {
    try {
      return Deno.readFileSync(`${folder}/${place}/${triplet}/${name}`);
    } catch (thrown) {
      if (!(thrown instanceof Deno.errors.NotFound)) throw thrown;
    }
  }
  throw new Error(`Debian's packages of the libraries that the program carries have no ${name}`);
}

/** The command of packages and images, which starts the unpacked program. */
export function packagedCommand(version: string): string {
  return render(
    Deno.readTextFileSync(`${root}/mod/tasks/release/packaged.sh`),
    { RUNTIME: readScript("runtime.sh").trimEnd() },
    {
      VERSION: version,
      LIBRARY: LIBRARY_FOLDER,
      COMMAND,
      CACHE: "/var/cache/meshnet",
      FLAGS: FLAGS.join(" "),
    },
  );
}
