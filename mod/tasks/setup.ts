/** Installs what a task needs of the system: as root with apt, otherwise it says which line is missing. */
import { type Package, PACKAGES, type Purpose } from "./packages.ts";
import { exists, fail, hasProgram, run } from "./run.ts";

/** Where shared libraries lie on the distributions we know. */
export function libraryFolders(): readonly string[] {
  const triplet = `${Deno.build.arch}-linux-gnu`;
  return [`/lib/${triplet}`, `/usr/lib/${triplet}`, "/lib64", "/usr/lib64", "/lib", "/usr/lib"];
}

function isPresent({ programs = [], library, file }: Package): boolean {
  return programs.every(hasProgram) && (file === undefined || exists(file)) &&
    (library === undefined || libraryFolders().some((folder) => exists(`${folder}/${library}`)));
}

/** The packages that a purpose lacks on this machine, by name. */
function missingFor(purpose: Purpose): readonly string[] {
  return [...new Set(PACKAGES[purpose].filter((entry) => !isPresent(entry)).map((entry) => entry.apt))];
}

/** Makes sure that everything for a purpose is installed, or ends the task with the line that would install it. */
export async function ensure(purpose: Purpose): Promise<void> {
  const missing = missingFor(purpose);
  if (missing.length === 0) return;
  const line = `apt-get install -y --no-install-recommends ${missing.join(" ")}`;
  if (!hasProgram("apt-get")) fail(`This machine lacks what Debian calls: ${missing.join(" ")}`);
  if (Deno.uid() !== 0) fail(`Run this as root first:\n  apt-get update && ${line}`);
  console.error(`Installing ${missing.join(" ")}`);
  const options = { env: { DEBIAN_FRONTEND: "noninteractive" }, purpose: "setup" as const };
  const update = await run(["apt-get", "update", "-qq"], { ...options, timeoutMs: 180_000 });
  const install = await run([...line.split(" "), "-qq"], { ...options, timeoutMs: 600_000 });
  const still = missingFor(purpose);
  if (still.length === 0) return;
  fail(`Cannot install ${still.join(" ")}: exit codes are ${update.code} and ${install.code}`);
}

if (import.meta.main) {
  const purpose = Deno.args[0] ?? "test";
  if (!Object.hasOwn(PACKAGES, purpose)) fail(`Usage: deno task setup [${Object.keys(PACKAGES).join("|")}]`);
  await ensure(purpose as Purpose);
  console.log("Everything is installed");
}
