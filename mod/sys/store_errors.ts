/** Plain words for state that cannot be read or written, and what to do about it. */
import { MeshnetError, messageOf, systemReason } from "../core/errors.ts";

/** So much is written to find out why a file system takes nothing: more than the store ever writes at once. */
const PROBE_BYTES = 256 * 1024;

/** The error for state that is there and makes no sense. It is never replaced: this host's identity is in it. */
export function unreadable(path: string, why: string, cause?: unknown): MeshnetError {
  const folder = path.slice(0, path.lastIndexOf("/"));
  return new MeshnetError("state/unreadable", `Cannot open state ${path}: ${why}`, {
    hint:
      `Nothing was changed. Restore ${folder} from a backup; or run \`meshnet reset --state-dir ${folder}\` to ` +
      "start anew, which loses this host's identity, its attachments and the peers it was told to connect to",
    cause,
  });
}

/** The error for a folder in which nothing can be written now; `doing` is what failed, as in "write state". */
export function notWritable(folder: string, doing: string, cause: unknown): MeshnetError {
  const { why, fix } = explain(folder, cause);
  return new MeshnetError("state/not-writable", `Cannot ${doing} in ${folder}: ${why}`, { hint: fix, cause });
}

/** What SQLite threw while `doing` something in `folder`, as an error that people can act on. The binding gives result
 * codes for some failures only, and text for all. */
export function storeError(path: string, doing: string, thrown: unknown): MeshnetError {
  if (thrown instanceof MeshnetError) return thrown;
  const text = messageOf(thrown);
  const folder = path.slice(0, path.lastIndexOf("/"));
  if (/database is locked/.test(text)) {
    return new MeshnetError("up/already-running", `Cannot open state ${path}: another router uses it`, {
      hint: "Stop that router with `meshnet down`, or give this one a folder of its own with --state-dir",
      cause: thrown,
    });
  }
  const outside = /disk is full|disk I\/O error|readonly database|unable to open database file/.test(text);
  return outside ? notWritable(folder, doing, thrown) : unreadable(path, text, thrown);
}

interface Explanation {
  readonly why: string;
  readonly fix: string;
}

/** SQLite says little of why it cannot write, so the folder itself is asked. */
function explain(folder: string, thrown: unknown): Explanation {
  const full = { why: "its file system is full", fix: `Make room on the file system of ${folder}` };
  const asked = errorCode(thrown) === undefined ? probe(folder) : thrown;
  switch (errorCode(asked)) {
    case "ENOSPC":
      return full;
    case "EDQUOT":
      return { why: "the disk quota is used up", fix: `Make room in ${folder}, or raise the quota` };
    case "EROFS":
      return {
        why: "its file system is read-only",
        fix:
          `Mount the file system of ${folder} for writing, or give another folder with --state-dir or --run-dir; ` +
          "`dmesg` tells whether the kernel found a fault in it",
      };
    case "EACCES":
    case "EPERM":
      return { why: "this user may not write there", fix: `Give this user the right to write in ${folder}` };
    case "EEXIST":
    case "ENOTDIR":
      return { why: "a file is in its place", fix: "Give another folder, or move the file away" };
    case "EIO":
      return disk(folder);
    case undefined:
      if (/disk is full/.test(messageOf(thrown))) return full; // somebody has made room meanwhile
      return /disk I\/O error/.test(messageOf(thrown)) ? disk(folder) : other(folder, thrown);
    default:
      return other(folder, asked);
  }
}

function disk(folder: string): Explanation {
  return {
    why: "its disk reports an error",
    fix: `Look for the fault in \`dmesg\`, and save what is in ${folder} while it can be read`,
  };
}

function other(folder: string, thrown: unknown): Explanation {
  return {
    why: systemReason(thrown),
    fix: `Check that ${folder} is the right folder and that this user may write there`,
  };
}

/** What the system says when somebody writes so many bytes there; undefined when nothing is wrong. */
export function probe(folder: string, size: number = PROBE_BYTES): unknown {
  let path: string | undefined;
  try {
    path = Deno.makeTempFileSync({ dir: folder, prefix: ".meshnet-" });
    using file = Deno.openSync(path, { write: true });
    const bytes = new Uint8Array(size);
    for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
    if (size > 0) file.syncSync(); // an empty file shows nothing more by it
    return undefined;
  } catch (thrown) {
    return thrown;
  } finally {
    try {
      if (path !== undefined) Deno.removeSync(path);
    } catch { /* it is an empty file of ours, and `meshnet reset` removes it */ }
  }
}

/** The name of a system error, `ENOSPC`; SQLite's errors have a code of another kind. */
function errorCode(thrown: unknown): string | undefined {
  const code = (thrown as { code?: unknown } | undefined)?.code;
  return typeof code === "string" && /^E[A-Z0-9]+$/.test(code) && !code.startsWith("ERR") ? code : undefined;
}
