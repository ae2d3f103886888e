/** Durable records in one SQLite file. */
import { DatabaseSync, type StatementSync } from "node:sqlite";
import type { Store } from "../core/ports.ts";
import { ensureFolder } from "./files.ts";
import { storeError, unreadable } from "./store_errors.ts";
import { checkStoreFile, checkVersion, createStoreFile, migrate } from "./store_file.ts";

/** Name of the file in the state folder. SQLite puts `-wal` and `-shm` beside it. */
export const STORE_FILE = "meshnet.db";

/**
 * The Store of a daemon. The file is locked while it is open, so two daemons cannot share it. Every call is a
 * transaction, which has reached the disk when the call returns. A file that cannot be read stays exactly as it is: this
 * host's identity is in it, and no daemon should lose that on its own. Calls throw "state/not-writable" when the disk
 * refuses. They have then changed nothing.
 */
export class SqliteStore implements Store, Disposable {
  readonly #database: DatabaseSync;
  readonly #get: StatementSync;
  readonly #put: StatementSync;
  readonly #remove: StatementSync;
  readonly #list: StatementSync;
  #open = true;

  /** Opens the file, and makes it if there is none. Throws "state/unreadable", "state/not-writable" or
   * "up/already-running". */
  constructor(readonly path: string) {
    if (!checkStoreFile(path)) createStoreFile(path);
    this.#database = openDatabase(path);
    try {
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
      throw unreadable(path, `its records are missing: ${(thrown as Error).message}`, thrown);
    }
  }

  /** The value of a key, or undefined. */
  get(key: string): string | undefined {
    return this.#try("read state", () => this.#get.get(key)?.value as string | undefined);
  }

  /** Writes a value durably: text without NUL. */
  put(key: string, value: string): void {
    this.#try("write state", () => this.#put.run(key, value));
  }

  /** Writes several values durably: all of them, or none. A value that is undefined removes its key. */
  putAll(records: readonly (readonly [key: string, value: string | undefined])[]): void {
    this.#try("write state", () => {
      this.#database.exec("BEGIN IMMEDIATE");
      try {
        for (const [key, value] of records) {
          if (value === undefined) this.#remove.run(key);
          else this.#put.run(key, value);
        }
        this.#database.exec("COMMIT");
      } catch (thrown) {
        this.#rollBack();
        throw thrown;
      }
    });
  }

  /** Removes a key if it is there. */
  remove(key: string): void {
    this.#try("write state", () => this.#remove.run(key));
  }

  /** All pairs whose key starts with `prefix`, in key order. */
  list(prefix: string): readonly (readonly [key: string, value: string])[] {
    const rows = this.#try("read state", () => this.#list.all(prefix));
    return rows.map((row) => [row.key as string, row.value as string] as const);
  }

  #try<T>(doing: string, work: () => T): T {
    try {
      return work();
    } catch (thrown) {
      throw storeError(this.path, doing, thrown);
    }
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
    const verdict = valueOf(database, "PRAGMA quick_check(1)");
    if (verdict !== "ok") throw unreadable(path, `it is damaged: ${verdict}`);
    const version = Number(valueOf(database, "PRAGMA user_version"));
    checkVersion(path, version);
    migrate(database, version);
    return database;
  } catch (thrown) {
    database?.close();
    throw storeError(path, "open state", thrown);
  }
}

function valueOf(database: DatabaseSync, pragma: string): unknown {
  return Object.values(database.prepare(pragma).get() ?? {})[0];
}
