/** The file under the store: made whole or not at all, and looked at before SQLite may touch it. */
import { DatabaseSync } from "node:sqlite";
import { removeIfThere } from "./files.ts";
import { storeError, unreadable } from "./store_errors.ts";

/** Each entry brings the file from schema version `index` to `index + 1`. Append only. */
const MIGRATIONS: readonly string[] = [
  "CREATE TABLE record (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID, STRICT",
];
/** The schema that this release writes. */
export const SCHEMA = MIGRATIONS.length;

const MAGIC = "SQLite format 3\0";
const HEADER = 100; // https://www.sqlite.org/fileformat.html, section 1.3
const PAGE_SIZE_AT = 16;
const USER_VERSION_AT = 60;

/** A file that is being made has this in its name, and a random end. */
export const NEW_SUFFIX = ".new-";

/** Looks at the file without changing anything. False when there is none, nor a trace of one. Throws "state/unreadable"
 * for whatever no running or killed daemon leaves behind. */
export function checkStoreFile(path: string): boolean {
  const info = statIfThere(path);
  if (info === undefined) {
    if (isLink(path)) {
      throw unreadable(path, "it is a link to a file that is not there; its disk may not be mounted");
    }
    const trace = ["-wal", "-journal"].map((end) => path + end).find((one) => statIfThere(one) !== undefined);
    if (trace !== undefined) throw unreadable(path, `it is missing, but its log ${trace} is there`);
    return false;
  }
  if (!info.isFile) throw unreadable(path, "it is no file");
  if (info.size === 0) throw unreadable(path, "it is empty, as power loss or a full disk can leave a file");
  if (info.size < HEADER) throw unreadable(path, `it is cut off, only ${info.size} bytes are left`);
  const header = readHeader(path);
  if (new TextDecoder("latin1").decode(header.subarray(0, MAGIC.length)) !== MAGIC) {
    throw unreadable(path, "it is no SQLite database");
  }
  const log = statIfThere(`${path}-wal`);
  if (log !== undefined && log.size > 0) return true; // what the file lacks may be in the log: SQLite looks
  const view = new DataView(header.buffer);
  const page = view.getUint16(PAGE_SIZE_AT);
  if (info.size % (page === 1 ? 65536 : page) !== 0) {
    throw unreadable(path, `it is cut off, only ${info.size} bytes are left`);
  }
  checkVersion(path, view.getInt32(USER_VERSION_AT));
  return true;
}

/** Throws "state/unreadable" for a schema that this release cannot use. */
export function checkVersion(path: string, version: number): void {
  if (version >= 1 && version <= SCHEMA) return;
  const known = SCHEMA === 1 ? "version 1" : `versions 1 to ${SCHEMA}`;
  const writer = version > SCHEMA
    ? "a newer meshnet wrote it, so run that release or a later one"
    : "no release of meshnet writes that";
  throw unreadable(path, `its schema has version ${version}, and this release knows ${known}; ${writer}`);
}

/** Brings an open file to the schema of this release; `from` is its version. */
export function migrate(database: DatabaseSync, from: number): void {
  for (let next = from; next < SCHEMA; next++) {
    database.exec(`BEGIN; ${MIGRATIONS[next]}; PRAGMA user_version = ${next + 1}; COMMIT`);
  }
}

/** Makes the file: beside its place first, then there in one step, so that a crash leaves all of it or nothing. Does
 * nothing when another process was quicker. */
export function createStoreFile(path: string): void {
  const cut = path.lastIndexOf("/") + 1;
  const [dir, name] = [path.slice(0, cut), path.slice(cut)];
  let fresh: string | undefined;
  try {
    fresh = Deno.makeTempFileSync({ dir, prefix: name + NEW_SUFFIX });
    {
      using database = new DatabaseSync(fresh);
      database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
      migrate(database, 0);
    }
    sync(fresh);
    putInPlace(fresh, path);
    sync(dir);
  } catch (thrown) {
    throw storeError(path, "make state", thrown);
  } finally {
    if (fresh !== undefined) removeQuietly(fresh);
  }
  for (const left of leftovers(dir, name)) removeQuietly(left);
}

/** Gives a whole file its name, unless there is one of that name. */
function putInPlace(fresh: string, path: string): void {
  try {
    Deno.linkSync(fresh, path);
  } catch (thrown) {
    if (statIfThere(path) !== undefined) return;
    if (thrown instanceof Deno.errors.NotFound) throw thrown;
    Deno.renameSync(fresh, path); // a file system without hard links
  }
}

/** What crashed starts left beside the file. */
function leftovers(dir: string, name: string): string[] {
  return [...Deno.readDirSync(dir)].filter((entry) => entry.name.startsWith(name + NEW_SUFFIX))
    .map((entry) => dir + entry.name);
}

function removeQuietly(path: string): void {
  try {
    removeIfThere(path);
  } catch { /* it does no harm */ }
}

function sync(path: string): void {
  using file = Deno.openSync(path, { read: true });
  file.syncSync();
}

function statIfThere(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.statSync(path);
  } catch (thrown) {
    if (thrown instanceof Deno.errors.NotFound) return undefined;
    throw storeError(path, "look at state", thrown);
  }
}

function isLink(path: string): boolean {
  try {
    return Deno.lstatSync(path).isSymlink;
  } catch {
    return false;
  }
}

function readHeader(path: string): Uint8Array<ArrayBuffer> {
  const header = new Uint8Array(HEADER);
  try {
    using file = Deno.openSync(path, { read: true });
    for (let at = 0; at < HEADER;) {
      const count = file.readSync(header.subarray(at));
      if (count === null) break;
      at += count;
    }
  } catch (thrown) {
    throw storeError(path, "read state", thrown);
  }
  return header;
}
