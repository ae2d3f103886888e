/** Files that may or may not be there. */
import { notWritable } from "./store_errors.ts";

/** The text of a file; undefined when it is not there or must not be read. */
export function readTextIfReadable(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return undefined;
  }
}

/** The text of a file; undefined when there is none. Throws for other failures. */
export function readTextIfThere(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch (thrown) {
    if (thrown instanceof Deno.errors.NotFound) return undefined;
    throw thrown;
  }
}

/** Makes a folder and those above it, if they are not there. Throws "state/not-writable" also when nobody could write
 * into it, so that what comes later does not fail half-way. */
export function ensureFolder(path: string, mode = 0o755): void {
  try {
    Deno.mkdirSync(path, { recursive: true, mode });
    Deno.removeSync(Deno.makeTempFileSync({ dir: path, prefix: ".meshnet-" }));
  } catch (thrown) {
    throw notWritable(path, "make files", thrown);
  }
}

/** Removes a file, or a folder if it is empty. False when there was nothing, or the folder is not empty. */
export function removeIfThere(path: string): boolean {
  try {
    Deno.removeSync(path);
    return true;
  } catch (thrown) {
    if (thrown instanceof Deno.errors.NotFound) return false;
    if (isFolder(path)) return false;
    throw thrown;
  }
}

function isFolder(path: string): boolean {
  try {
    return Deno.lstatSync(path).isDirectory;
  } catch {
    return false;
  }
}
