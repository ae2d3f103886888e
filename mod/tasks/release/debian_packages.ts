/** Debian's packages for any architecture, by this machine's apt and checked against Debian's signatures. */
import { debianSources } from "../debian.ts";
import { capture, exists, root } from "../run.ts";
import type { Architecture } from "./architectures.ts";

/** A package that was downloaded. */
export interface DebianPackage {
  readonly name: string;
  readonly version: string;
  /** The file that was downloaded. */
  readonly path: string;
}

/** Downloads the newest versions of some packages. */
export async function fetchPackages(
  architecture: Architecture,
  names: readonly string[],
): Promise<readonly DebianPackage[]> {
  const folder = `${root}/.cache/debian-${architecture.debian}`;
  for (const path of ["state/lists/partial", "cache/archives/partial"]) {
    Deno.mkdirSync(`${folder}/${path}`, { recursive: true });
  }
  Deno.writeTextFileSync(`${folder}/sources.list`, (await debianSources()).sources);
  const downloads = `${folder}/packages`;
  if (exists(downloads)) Deno.removeSync(downloads, { recursive: true }); // older versions
  Deno.mkdirSync(downloads);
  const settings = Object.entries({
    "Dir::State": `${folder}/state`,
    "Dir::Cache": `${folder}/cache`,
    "Dir::State::status": "/dev/null", // nothing is installed, nothing is to be
    "Dir::Etc::sourcelist": `${folder}/sources.list`,
    "Dir::Etc::sourceparts": "/dev/null",
    "APT::Architecture": architecture.debian,
    "APT::Architectures": architecture.debian,
    "APT::Sandbox::User": "", // the folder may be one that only this user can enter
    "Acquire::Languages": "none",
  }).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
  const apt = (...args: readonly string[]) =>
    capture(["apt-get", "-qq", ...settings, ...args], {
      purpose: "setup",
      cwd: downloads,
      timeoutMs: 300_000,
    });
  await apt("update");
  await apt("download", ...names);
  return await Promise.all(
    [...Deno.readDirSync(downloads)].map(async (entry) => {
      const path = `${downloads}/${entry.name}`;
      const [name, version] = (await capture(["dpkg-deb", "-W", "--showformat=${Package} ${Version}", path]))
        .split(" ");
      return { name: name!, version: version!, path };
    }),
  );
}

/** Unpacks a package's files into a folder. */
export async function unpackPackage({ path }: DebianPackage, folder: string): Promise<void> {
  await capture(["dpkg-deb", "-x", path, folder]);
}
