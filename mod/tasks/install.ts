/** `deno task install [FILE]`: builds the command and puts it at FILE, by default where every shell finds it. */
import { build } from "./build.ts";
import { messageOf } from "../core/errors.ts";
import { exists, fail, root } from "./run.ts";
import { ensure } from "./setup.ts";

/** Where the command is put. */
const COMMAND = "/usr/local/bin/meshnet";
/** What `deno task build` makes begins like this; see launcher.sh. */
const OURS = /^#!\/bin\/sh\n# meshnet \S+ in one file:/;

/** What became of the file at the command's place. `foreign` is not ours and stays as it is. */
export type Placed = "new" | "replaced" | "unchanged" | "foreign";

/** Puts a built file at a path, in one step, unless something is there that this task did not make. */
export function place(built: string, path: string): Placed {
  const bytes = Deno.readFileSync(built);
  const old = contentOf(path);
  if (old !== undefined) {
    if (sameBytes(old, bytes)) return "unchanged";
    if (!OURS.test(new TextDecoder().decode(old.subarray(0, 200)))) return "foreign";
  }
  const fresh = `${path}.${Deno.pid}`;
  try {
    Deno.writeFileSync(fresh, bytes, { mode: 0o755, createNew: true });
    Deno.renameSync(fresh, path);
  } finally {
    if (exists(fresh)) Deno.removeSync(fresh);
  }
  return old === undefined ? "new" : "replaced";
}

/** The bytes of a file; nothing where there is none; empty ones for what is there and is no plain file. */
function contentOf(path: string): Uint8Array | undefined {
  try {
    return Deno.lstatSync(path).isFile ? Deno.readFileSync(path) : new Uint8Array();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

/** Whether `dist/meshnet` is younger than everything that it is made of. */
function isBuilt(): boolean {
  const built = exists(`${root}/dist/meshnet`) ? Deno.statSync(`${root}/dist/meshnet`).mtime! : undefined;
  const changedAfter = (path: string): boolean => {
    const { isDirectory, mtime } = Deno.statSync(path);
    if (!isDirectory) return mtime! >= built!;
    return [...Deno.readDirSync(path)].some((entry) => changedAfter(`${path}/${entry.name}`));
  };
  return built !== undefined &&
    ![Deno.execPath(), `${root}/deno.json`, `${root}/deno.lock`, `${root}/main.ts`]
      .concat(`${root}/mod`, `${root}/ffi`).some(changedAfter);
}

/** Builds where that is due, puts the command in its place, and says so if it is news. */
async function install(path: string): Promise<void> {
  if (!isBuilt()) {
    console.error("Building the command `meshnet`, which takes some ten seconds");
    await build();
  }
  const placed = place(`${root}/dist/meshnet`, path);
  if (placed === "foreign") {
    fail(`Left ${path} alone, which is not of this project: the command here is ${root}/dist/meshnet`);
  }
  if (placed !== "unchanged") console.error(`Installed ${path}`);
}

if (import.meta.main) {
  const [path = COMMAND, ...rest] = Deno.args;
  if (rest.length > 0 || path.startsWith("-")) fail("Usage: deno task install [FILE]");
  await ensure("build");
  await install(path).catch((error) => fail(`Cannot install ${path}: ${messageOf(error)}`));
}
