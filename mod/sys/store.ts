/** Durable records in one SQLite file. */
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { MeshnetError, messageOf } from "../core/errors.ts";
import type { Store } from "../core/ports.ts";
import { ensureFolder } from "./files.ts";

/** Name of the file in the state folder. SQLite puts `-wal` and `-shm` beside it. */
export const STORE_FILE = "meshnet.db";

/** Each entry brings the file from schema version `index` to `index + 1`. Append only. */
const MIGRATIONS: readonly string[] = [
  "CREATE TABLE record (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID, STRICT",
];

/** Whether another process (or this one, twice) has the file open. The binding gives no result codes for this. */
function isLocked(thrown: unknown): boolean {
  return /database is locked/.test(messageOf(thrown));
}

function unreadable(path: string, why: string, hint: string, cause?: unknown): MeshnetError {
  return new MeshnetError("state/unreadable", `Cannot open state ${path}: ${why}`, { hint, cause });
}

/**
 * The Store of a daemon. The file is locked while it is open, so two daemons cannot share it, and every call is a
 * transaction that has reached the disk when it returns. A file that cannot be read is left exactly as it is: this host's
 * identity is in it, and no daemon should lose that on its own.
 */
export class SqliteStore implements Store, Disposable {
  readonly #database: DatabaseSync;
  readonly #get: StatementSync;
  readonly #put: StatementSync;
  readonly #remove: StatementSync;
  readonly #list: StatementSync;
  #open = true;

  /** Opens or makes the file. Throws "state/unreadable" or "up/already-running". */
  constructor(readonly path: string) {
    this.#database = openDatabase(path);
    try {
      migrate(this.#database, path);
      this.#get = this.#database.prepare("SELECT value FROM record WHERE key = ?");
      this.#put = this.#database.prepare(
        "INSERT INTO record (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
      );
      this.#remove = this.#database.prepare("DELETE FROM record WHERE key = ?");
      this.#list = this.#database.prepare(
        "SELECT key, value FROM record WHERE key >= ?1 AND substr(key, 1, length(?1)) = ?1 ORDER BY key",
      );
    } catch (thrown) {
      this.#database.close();
      throw thrown;
    }
  }

  /** The value of a key, or undefined. */
  get(key: string): string | undefined {
    return this.#get.get(key)?.value as string | undefined;
  }

  /** Writes a value durably: text without NUL. */
  put(key: string, value: string): void {
    this.#put.run(key, value);
  }

  /** Writes several values durably: all of them, or none. */
  putAll(records: readonly (readonly [key: string, value: string])[]): void {
    this.#database.exec("BEGIN IMMEDIATE");
    try {
      for (const [key, value] of records) this.#put.run(key, value);
      this.#database.exec("COMMIT");
    } catch (thrown) {
      this.#rollBack();
      throw thrown;
    }
  }

  /** Removes a key if it is there. */
  remove(key: string): void {
    this.#remove.run(key);
  }

  /** All pairs whose key starts with `prefix`, in key order. */
  list(prefix: string): readonly (readonly [key: string, value: string])[] {
    return this.#list.all(prefix).map((row) => [row.key as string, row.value as string] as const);
  }

  #rollBack(): void {
    try {
      this.#database.exec("ROLLBACK");
    } catch { /* SQLite has rolled back by itself, as it does when the disk is full */ }
  }

  /** Closes the file. Idempotent. */
  [Symbol.dispose](): void {
    if (this.#open) this.#database.close();
    this.#open = false;
  }
}

/** Opens the store of a state folder, which is made if it is not there. */
export function openStore(stateDir: string): SqliteStore {
  ensureFolder(stateDir, 0o700);
  return new SqliteStore(`${stateDir}/${STORE_FILE}`);
}

function openDatabase(path: string): DatabaseSync {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path);
    database.exec("PRAGMA busy_timeout = 0");
    database.exec("PRAGMA locking_mode = EXCLUSIVE"); // taken with the first write below, kept until closed
    database.exec("PRAGMA journal_mode = WAL");
    database.exec("PRAGMA synchronous = FULL"); // a commit is on the disk before the call returns
    database.exec("BEGIN IMMEDIATE; COMMIT");
    const [check] = database.prepare("PRAGMA quick_check(1)").all();
    const verdict = Object.values(check ?? {})[0];
    if (verdict !== "ok") throw new Error(String(verdict));
    return database;
  } catch (thrown) {
    database?.close();
    if (isLocked(thrown)) {
      throw new MeshnetError("up/already-running", `Cannot open state ${path}: another router uses it`, {
        hint: "Stop that router with `meshnet down`, or give this one a folder of its own with --state-dir",
        cause: thrown,
      });
    }
    throw unreadable(
      path,
      messageOf(thrown),
      `This host's identity and attachments are in it. Restore the file from a backup; or, to start anew as another ` +
        `peer, move it away: mv ${path} ${path}.broken`,
      thrown,
    );
  }
}

function migrate(database: DatabaseSync, path: string): void {
  const version = Number(Object.values(database.prepare("PRAGMA user_version").get() ?? {})[0]);
  if (version > MIGRATIONS.length) {
    throw unreadable(
      path,
      `its schema version is ${version}, this release knows up to ${MIGRATIONS.length}`,
      "A newer meshnet wrote it: run that release, or move the file away to start anew as another peer",
    );
  }
  for (let next = version; next < MIGRATIONS.length; next++) {
    database.exec(`BEGIN; ${MIGRATIONS[next]}; PRAGMA user_version = ${next + 1}; COMMIT`);
  }
}
