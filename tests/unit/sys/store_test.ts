import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { MeshnetError } from "../../../mod/core/errors.ts";
import type { Store } from "../../../mod/core/ports.ts";
import { openStore, SqliteStore } from "../../../mod/sys/store.ts";
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

Deno.test("SqliteStore refuses a file it cannot read, and leaves it as it is", () => {
  using folder = temporaryFolder();
  const path = `${folder.path}/meshnet.db`;
  const damage: [name: string, make: () => void][] = [
    ["no database", () => Deno.writeTextFileSync(path, "x".repeat(4096))],
    ["damaged pages", () => {
      {
        using store = new SqliteStore(path);
        for (let i = 0; i < 200; i++) store.put(`key${i}`, "v".repeat(100));
      }
      const bytes = Deno.readFileSync(path);
      bytes.fill(0xa5, 4096, bytes.length);
      Deno.writeFileSync(path, bytes);
    }],
    ["newer schema", () => {
      const database = new DatabaseSync(path);
      database.exec("PRAGMA user_version = 99");
      database.close();
    }],
  ];
  for (const [name, make] of damage) {
    make();
    const before = Deno.readFileSync(path);
    assert.throws(() => new SqliteStore(path), (thrown) => {
      assert.ok(thrown instanceof MeshnetError, String(thrown));
      assert.equal(thrown.code, "state/unreadable", name);
      assert.match(thrown.message, new RegExp(`^Cannot open state ${path}: `));
      assert.match(thrown.hint!, /move/);
      return true;
    });
    if (name !== "newer schema") assert.deepEqual(Deno.readFileSync(path), before, name);
    Deno.removeSync(path);
  }
});

Deno.test("openStore() names the folder it cannot make", () => {
  using folder = temporaryFolder();
  Deno.writeTextFileSync(`${folder.path}/file`, "");
  assert.throws(() => openStore(`${folder.path}/file/state`), {
    code: "state/unreadable",
    message: /Cannot use folder/,
  });
});
