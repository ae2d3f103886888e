/** The files of a container image below the program: what a root needs to run it, out of Debian's packages. */
import { capture, exists, temporaryFolder } from "../run.ts";
import { carriedBy } from "../libraries.ts";
import type { TarEntry } from "../tar.ts";
import { unpackPackage } from "./debian_packages.ts";
import type { ReleaseProgram } from "./program.ts";

/** Libraries that Deno is linked with, and what the program loads where it is there. */
const LIBRARIES = [
  ...["libc.so.6", "libm.so.6", "libdl.so.2", "librt.so.1", "libpthread.so.0", "libgcc_s.so.1"],
  "libcrypto.so.3",
];

/** The root's files: libraries, a shell for the launcher, and what tells which packages they are from. */
export async function rootFiles(program: ReleaseProgram): Promise<readonly TarEntry[]> {
  const { architecture, packages, system } = program;
  using scratch = temporaryFolder();
  const all = [...packages, ...system];
  for (const one of all) await unpackPackage(one, scratch.path);
  const read = (...places: readonly string[]): Uint8Array => {
    const found = places.map((place) => `${scratch.path}${place}`).find(exists);
    if (found === undefined) throw new Error(`Debian's packages have no ${places[0]}`);
    return Deno.readFileSync(found);
  };
  const folder = `/usr/lib/${architecture.triplet}`;
  const ofLibraries = (name: string) => read(`${folder}/${name}`, `/lib/${architecture.triplet}/${name}`);
  return [
    { kind: "link", path: "/lib", target: "usr/lib" },
    { kind: "link", path: "/lib64", target: "usr/lib64" },
    { kind: "link", path: "/bin", target: "usr/bin" },
    { kind: "file", path: "/usr/bin/sh", bytes: read("/usr/bin/dash", "/bin/dash"), mode: 0o755 },
    {
      kind: "file",
      path: architecture.loader,
      bytes: ofLibraries(architecture.loader.split("/").at(-1)!),
      mode: 0o755,
    },
    ...[...LIBRARIES, ...carriedBy(architecture.name).map(({ file }) => file)].map((name): TarEntry => ({
      kind: "file",
      path: `${folder}/${name}`,
      bytes: ofLibraries(name),
    })),
    ...await Promise.all(all.map(async ({ name, path }): Promise<TarEntry> => ({
      kind: "file",
      path: `/var/lib/dpkg/status.d/${name}`, // where scanners for known faults look
      bytes: new TextEncoder().encode(await capture(["dpkg-deb", "-f", path])),
    }))),
    ...all.flatMap(({ name }): readonly TarEntry[] => {
      const path = `/usr/share/doc/${name}/copyright`;
      return exists(`${scratch.path}${path}`) ? [{ kind: "file", path, bytes: read(path) }] : [];
    }),
    ...["/etc", "/proc", "/sys", "/dev", "/run", "/var/lib"].map((path): TarEntry => ({
      kind: "folder",
      path,
    })),
    { kind: "folder", path: "/tmp", mode: 0o1777 },
    { kind: "folder", path: "/usr/lib64" },
  ];
}
