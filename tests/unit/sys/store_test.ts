import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { MeshnetError } from "../../../mod/core/errors.ts";
import type { Store } from "../../../mod/core/ports.ts";
import { openStore, SqliteStore } from "../../../mod/sys/store.ts";
import { notWritable, storeError } from "../../../mod/sys/store_errors.ts";
import { createStoreFile } from "../../../mod/sys/store_file.ts";
import { MemoryStore } from "../memory_store.ts";

/** A folder for one test. */
function temporaryFolder(): { path: string } & Disposable {
  const path = Deno.makeTempDirSync({ prefix: "meshnet-store-" });
  return { path, [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }) };
}

/** What every Store does. */
const CONTRACT: Record<string, (store: Store) => void> = {
  "get() of an absent key is undefined": (store) => assert.equal(store.get("x"), undefined),
  "put() replaces": (store) => {
    store.put("a", "1");
    store.put("a", "2\n€");
    assert.equal(store.get("a"), "2\n€");
    assert.deepEqual(store.list("a"), [["a", "2\n€"]]);
  },
  "putAll() writes all": (store) => {
    store.put("a", "1");
    store.putAll([["a", "2"], ["b", "3"]]);
    store.putAll([]);
    assert.deepEqual(store.list(""), [["a", "2"], ["b", "3"]]);
  },
  "remove() of an absent key is fine": (store) => {
    store.remove("x");
    store.put("a", "");
    assert.equal(store.get("a"), "");
    store.remove("a");
    assert.equal(store.get("a"), undefined);
  },
  "list() gives the keys with the prefix, in order": (store) => {
    for (const key of ["b/2", "b/1", "a", "b", "b%", "b_1", "c", "B/3", "b/10"]) store.put(key, key);
    assert.deepEqual(store.list("b/").map(([key]) => key), ["b/1", "b/10", "b/2"]);
    assert.deepEqual(store.list("b").map(([key]) => key), ["b", "b%", "b/1", "b/10", "b/2", "b_1"]);
    assert.deepEqual(store.list("zz"), []);
    assert.equal(store.list("").length, 9);
  },
};

for (const [name, check] of Object.entries(CONTRACT)) {
  Deno.test(`MemoryStore ${name}`, () => check(new MemoryStore()));
  Deno.test(`SqliteStore ${name}`, () => {
    using folder = temporaryFolder();
    using store = openStore(folder.path);
    check(store);
  });
}

Deno.test("SqliteStore keeps records over a restart, and its folder to itself", () => {
  using folder = temporaryFolder();
  const path = `${folder.path}/deep/state`;
  {
    using store = openStore(path);
    store.put("identity", "me");
    store[Symbol.dispose](); // twice is fine
  }
  using again = openStore(path);
  assert.equal(again.get("identity"), "me");
  assert.equal(Deno.statSync(path).mode! & 0o777, 0o700);
});

Deno.test("SqliteStore putAll() writes nothing when one record cannot be written", () => {
  using folder = temporaryFolder();
  using store = openStore(folder.path);
  store.put("a", "1");
  const records = [["a", "2"], ["b", null as unknown as string]] as const;
  assert.throws(() => store.putAll(records));
  assert.deepEqual(store.list(""), [["a", "1"]]);
  store.putAll([["b", "3"]]); // and no transaction is left open
  assert.deepEqual(store.list(""), [["a", "1"], ["b", "3"]]);
});

Deno.test("SqliteStore refuses a file that another router uses", () => {
  using folder = temporaryFolder();
  using _store = openStore(folder.path);
  assert.throws(() => openStore(folder.path), {
    code: "up/already-running",
    message: /another router uses it/,
  });
});

/** A store as a daemon leaves it, with `records` records, in one file. */
function writeStore(path: string, records: number): Uint8Array<ArrayBuffer> {
  {
    using store = new SqliteStore(path);
    for (let i = 0; i < records; i++) store.put(`key${i}`, "v".repeat(100));
  }
  return Deno.readFileSync(path);
}

/** Asserts that the store is refused in plain words, and that its folder stays as it is, byte for byte. */
function assertRefused(path: string, message: RegExp, name: string): void {
  const folder = path.slice(0, path.lastIndexOf("/"));
  const look = () => [...Deno.readDirSync(folder)].map((entry) => entry.name).sort();
  const [names, bytes] = [look(), readIfThere(path)];
  assert.throws(() => new SqliteStore(path), (thrown) => {
    assert.ok(thrown instanceof MeshnetError, `${name}: ${thrown}`);
    assert.equal(thrown.code, "state/unreadable", name);
    assert.match(thrown.message, new RegExp(`^Cannot open state ${path}: `), name);
    assert.match(thrown.message, message, name);
    assert.match(
      thrown.hint!,
      new RegExp(`Restore ${folder} .*meshnet reset --state-dir ${folder}.* loses `),
      name,
    );
    return true;
  });
  assert.deepEqual(look(), names, name);
  assert.deepEqual(readIfThere(path), bytes, name);
}

function readIfThere(path: string): Uint8Array | undefined {
  try {
    return Deno.readFileSync(path);
  } catch {
    return undefined;
  }
}

Deno.test("SqliteStore refuses a file it cannot use, and leaves it as it is", () => {
  using folder = temporaryFolder();
  const path = `${folder.path}/meshnet.db`;
  const schema = (version: number) => () => {
    writeStore(path, 1);
    const database = new DatabaseSync(path);
    database.exec(`PRAGMA user_version = ${version}`);
    database.close();
  };
  const damage: [name: string, message: RegExp, make: () => void][] = [
    ["no database", /it is no SQLite database$/, () => Deno.writeTextFileSync(path, "x".repeat(4096))],
    ["zeros", /it is no SQLite database$/, () => Deno.writeFileSync(path, new Uint8Array(8192))],
    ["empty", /it is empty, as power loss/, () => Deno.writeTextFileSync(path, "")],
    ["cut header", /it is cut off, only 60 bytes are left$/, () => {
      Deno.writeFileSync(path, writeStore(path, 1).subarray(0, 60));
    }],
    ["damaged pages", /./, () => {
      const bytes = writeStore(path, 200);
      bytes.fill(0xa5, 4096, bytes.length);
      Deno.writeFileSync(path, bytes);
    }],
    ["newer schema", /version 99, and this release knows version 1; a newer meshnet wrote it/, schema(99)],
    ["negative schema", /version -7, .* no release of meshnet writes that$/, schema(-7)],
    ["no schema", /version 0, .* no release of meshnet writes that$/, schema(0)],
    ["missing table", /its records are missing: no such table: record$/, () => {
      writeStore(path, 1);
      const database = new DatabaseSync(path);
      database.exec("DROP TABLE record");
      database.close();
    }],
    ["link to nothing", /it is a link to a file that is not there/, () => {
      Deno.symlinkSync(`${folder.path}/elsewhere/meshnet.db`, path);
    }],
    ["folder", /it is no file$/, () => Deno.mkdirSync(path)],
    ["log without database", /it is missing, but its log .*meshnet.db-wal is there$/, () => {
      Deno.writeTextFileSync(`${path}-wal`, "");
    }],
  ];
  for (const [name, message, make] of damage) {
    make();
    assertRefused(path, message, name);
    for (const entry of Deno.readDirSync(folder.path)) Deno.removeSync(`${folder.path}/${entry.name}`);
  }
});

Deno.test("SqliteStore refuses a file that was cut anywhere", () => {
  using folder = temporaryFolder();
  const path = `${folder.path}/meshnet.db`;
  const whole = writeStore(path, 300);
  assert.ok(whole.length > 5 * 4096);
  const lengths = new Set([0, 1, 16, 99, 100, 101, 511, 512, 4095, 4096, 4097, whole.length - 1]);
  for (let at = 0; at < whole.length; at += 1500) lengths.add(at);
  for (const length of lengths) {
    Deno.writeFileSync(path, whole.subarray(0, length));
    assertRefused(path, /./, `${length} of ${whole.length} bytes`);
  }
});

Deno.test("SqliteStore sees a newer schema also when it is still in the log", () => {
  using folder = temporaryFolder();
  const path = `${folder.path}/meshnet.db`;
  writeStore(path, 1);
  const writer = new DatabaseSync(path);
  writer.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA user_version = 99");
  const copy = `${folder.path}/copy`; // what a killed daemon leaves
  Deno.mkdirSync(copy);
  for (const end of ["", "-wal"]) Deno.copyFileSync(path + end, `${copy}/meshnet.db${end}`);
  writer.close();
  assert.throws(() => new SqliteStore(`${copy}/meshnet.db`), {
    code: "state/unreadable",
    message: /version 99/,
  });
});

Deno.test("SqliteStore goes on after a first start that crashed at any step", () => {
  using folder = temporaryFolder();
  const path = `${folder.path}/meshnet.db`;
  Deno.writeTextFileSync(`${path}.new-abc`, ""); // killed while it made the file
  Deno.writeTextFileSync(`${path}.new-abc-wal`, "x");
  {
    using store = openStore(folder.path); // killed before anything was stored
    assert.deepEqual(store.list(""), []);
    assert.deepEqual([...Deno.readDirSync(folder.path)].filter(({ name }) => /new-/.test(name)), []);
  }
  using store = openStore(folder.path);
  store.put("identity", "me");
});

Deno.test("createStoreFile() leaves a file alone that another start has made", () => {
  using folder = temporaryFolder();
  const path = `${folder.path}/meshnet.db`;
  const bytes = writeStore(path, 3);
  createStoreFile(path);
  assert.deepEqual(Deno.readFileSync(path), bytes);
});

const CAUSES: [code: string | undefined, text: string, message: RegExp, hint: RegExp][] = [
  [
    "ENOSPC",
    "No space left",
    /^Cannot write state in FOLDER: its file system is full$/,
    /^Make room on .*FOLDER$/,
  ],
  ["EDQUOT", "Disk quota exceeded", /quota is used up$/, /^Make room in FOLDER, or raise the quota$/],
  ["EROFS", "Read-only file system", /is read-only$/, /^Mount the file system of FOLDER for writing/],
  ["EACCES", "Permission denied", /this user may not write there$/, /right to write in FOLDER$/],
  ["EPERM", "Operation not permitted", /this user may not write there$/, /right to write in FOLDER$/],
  ["EIO", "Input/output error", /its disk reports an error$/, /dmesg/],
  ["ENAMETOOLONG", "File name too long (os error 36): x", /: File name too long$/, /right folder/],
  [undefined, "database or disk is full", /its file system is full$/, /^Make room/],
  [undefined, "disk I/O error", /its disk reports an error$/, /dmesg/],
  [undefined, "attempt to write a readonly database", /readonly database$/, /may write there/],
  [undefined, "unable to open database file: x", /unable to open/, /may write there/],
];

Deno.test("storeError() names folder, cause and fix", () => {
  using folder = temporaryFolder();
  for (const [code, text, message, hint] of CAUSES) {
    const thrown = Object.assign(
      new Error(text),
      code === undefined ? { code: "ERR_SQLITE_ERROR" } : { code },
    );
    const { path } = folder;
    const error = code === undefined
      ? storeError(`${path}/meshnet.db`, "write state", thrown)
      : notWritable(path, "write state", thrown);
    assert.equal(error.code, "state/not-writable", text);
    assert.match(error.message.replaceAll(path, "FOLDER"), message);
    assert.match(error.hint!.replaceAll(path, "FOLDER"), hint);
  }
  assert.deepEqual([...Deno.readDirSync(folder.path)], []); // what was written to find out has gone
});

Deno.test("openStore() names the folder it cannot make", () => {
  using folder = temporaryFolder();
  Deno.writeTextFileSync(`${folder.path}/file`, "");
  assert.throws(() => openStore(`${folder.path}/file/state`), {
    code: "state/not-writable",
    message: /^Cannot make files in .*: a file is in its place$/,
  });
});
