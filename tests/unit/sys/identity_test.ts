import assert from "node:assert/strict";
import { parsePeerName, type PeerName, type ShortId } from "../../../mod/core/names.ts";
import {
  type Identity,
  loadIdentity,
  nameFromSystemIds,
  readSystemIds,
  settleName,
  storeShortId,
  type SystemIds,
  takeAnotherName,
} from "../../../mod/sys/identity.ts";
import { MemoryStore } from "../memory_store.ts";
import { seededRandom } from "../properties.ts";
import { loadVectors } from "../vectors.ts";

const MACHINE: SystemIds = {
  machineId: "0123456789abcdef0123456789abcdef\n",
  productUuid: "4C4C4544-0042\n",
};
const NONE: SystemIds = { machineId: "", productUuid: "" };
const random = seededRandom();

function load(store: MemoryStore, ids: SystemIds, name?: string): Promise<Identity> {
  return loadIdentity(store, { ids, random, name: name === undefined ? undefined : parsePeerName(name)! });
}

Deno.test("nameFromSystemIds() gives the names that original peers take", async () => {
  const vectors = loadVectors<{
    peer_name_from_system_ids: { machine_id_file: string; product_uuid_file: string; peer_name: string }[];
  }>("dataplane-fastdp").peer_name_from_system_ids;
  for (const v of vectors) {
    const ids = { machineId: v.machine_id_file, productUuid: v.product_uuid_file };
    assert.equal(await nameFromSystemIds(ids), v.peer_name);
  }
  assert.equal(await nameFromSystemIds(NONE), undefined);
});

Deno.test("loadIdentity() keeps name and short id over restarts", async () => {
  const store = new MemoryStore();
  const first = await load(store, MACHINE);
  assert.equal(first.name, await nameFromSystemIds(MACHINE));
  assert.equal(first.origin, "system-ids");
  assert.equal(first.gaveUp, undefined);
  assert.deepEqual(await load(store, MACHINE), first);
  storeShortId(store, 77 as ShortId);
  assert.deepEqual(await load(store, MACHINE), { ...first, shortId: 77 });
});

Deno.test("loadIdentity() draws a name where there are no ids, and keeps it", async () => {
  const store = new MemoryStore();
  const first = await load(store, NONE);
  assert.equal(first.origin, "random");
  assert.equal(parseInt(first.name.slice(0, 2), 16) & 3, 2);
  assert.notEqual((await load(new MemoryStore(), NONE)).name, first.name);
  assert.deepEqual(await load(store, NONE), first);
  assert.deepEqual(await load(store, MACHINE), first); // ids that appear later change nothing
});

Deno.test("loadIdentity() takes a name given, and keeps it when it is no longer given", async () => {
  const store = new MemoryStore();
  const shortId = (await load(store, MACHINE)).shortId;
  const given = await load(store, MACHINE, "02:00:00:00:00:07");
  const never = { gaveUp: undefined, canRename: false, formerName: undefined };
  assert.deepEqual(given, { name: "02:00:00:00:00:07", origin: "option", shortId, ...never });
  assert.deepEqual(await load(store, MACHINE), given);
});

Deno.test("takeAnotherName() is for hosts that were in no mesh under a name of their own, and for few times", async () => {
  const store = new MemoryStore();
  const names = [(await load(store, MACHINE)).name];
  for (let i = 0; i < 3; i++) {
    assert.ok((await load(store, MACHINE)).canRename);
    names.push(takeAnotherName(store, random));
    const now = await load(store, MACHINE);
    assert.deepEqual([now.name, now.formerName, now.origin], [names.at(-1), names.at(-2), "random"]);
  }
  assert.equal(new Set(names).size, 4);
  assert.ok(!(await load(store, MACHINE)).canRename, "something else is wrong");
  const settled = new MemoryStore();
  await load(settled, MACHINE);
  settleName(settled);
  assert.ok(!(await load(settled, MACHINE)).canRename);
  assert.ok(!(await load(new MemoryStore(), MACHINE, "02:00:00:00:00:07")).canRename, "it was given");
});

Deno.test("loadIdentity() does not give up a name of an earlier release, which says nothing of its use", async () => {
  const store = new MemoryStore();
  await load(store, MACHINE);
  const { settled: _, ...older } = JSON.parse(store.get("identity")!);
  store.put("identity", JSON.stringify(older));
  assert.ok(!(await load(store, MACHINE)).canRename);
});

Deno.test("loadIdentity() gives up name and short id of another machine", async () => {
  const other = "ffffffffffffffffffffffffffffffff\n";
  const cases: [name: string, then: SystemIds, now: SystemIds, moved: boolean][] = [
    ["same", MACHINE, MACHINE, false],
    ["line ends and case of files do not matter", MACHINE, {
      ...MACHINE,
      machineId: MACHINE.machineId.trim(),
    }, false],
    ["cloned disk, new machine id", MACHINE, { ...MACHINE, machineId: other }, true],
    ["cloned disk, same machine id, other machine", MACHINE, { ...MACHINE, productUuid: "other\n" }, true],
    ["uuid unreadable this time", MACHINE, { ...MACHINE, productUuid: "" }, false],
    ["machine id missing this time", MACHINE, { ...MACHINE, machineId: "" }, false],
    ["nothing readable", MACHINE, NONE, false],
    ["machine id not yet made", MACHINE, { ...MACHINE, machineId: "uninitialized\n" }, false],
    ["machine id made since", { ...MACHINE, machineId: "" }, MACHINE, false],
  ];
  for (const [name, then, now, moved] of cases) {
    const store = new MemoryStore();
    const before = await load(store, then);
    storeShortId(store, 4095 as ShortId);
    const after = await load(store, now);
    if (moved) {
      assert.equal(after.gaveUp, before.name, name);
      assert.equal(after.name, await nameFromSystemIds(now), name);
      assert.notEqual(after.shortId, 4095, name);
      assert.equal((await load(store, now)).gaveUp, undefined, `${name}, second start`);
    } else {
      assert.deepEqual(after, { ...before, shortId: 4095 }, name);
    }
  }
});

Deno.test("loadIdentity() remembers ids that cannot be read in between", async () => {
  const store = new MemoryStore();
  const { name } = await load(store, MACHINE);
  await load(store, NONE);
  assert.equal((await load(store, { ...MACHINE, productUuid: "other" })).gaveUp, name);
});

Deno.test("loadIdentity() gives a cloned disk a new name even where a name was given once", async () => {
  const store = new MemoryStore();
  await load(store, MACHINE, "02:00:00:00:00:07");
  const clone: SystemIds = { machineId: "ffff\n", productUuid: "ffff\n" };
  assert.equal((await load(store, clone)).gaveUp, "02:00:00:00:00:07");
  const again = new MemoryStore();
  await load(again, MACHINE, "02:00:00:00:00:07");
  const kept = await load(again, clone, "02:00:00:00:00:07"); // given again: meant
  assert.deepEqual([kept.name, kept.gaveUp], ["02:00:00:00:00:07" as PeerName, undefined]);
});

Deno.test("loadIdentity() stores no machine id, and never replaces what it cannot read", async () => {
  const store = new MemoryStore();
  await load(store, MACHINE);
  const text = store.get("identity")!;
  assert.ok(!text.includes(MACHINE.machineId.trim()) && !text.includes(MACHINE.productUuid.trim()));
  const good = JSON.parse(text);
  for (
    const bad of [
      "",
      "null",
      "{}",
      ...["version", "name", "shortId", "origin", "machine"].map((key) =>
        JSON.stringify({ ...good, [key]: "?" })
      ),
    ]
  ) {
    store.put("identity", bad);
    await assert.rejects(load(store, MACHINE), { code: "state/unreadable" });
    assert.equal(store.get("identity"), bad);
  }
});

Deno.test("loadIdentity() does not take state without an identity for a first start", async () => {
  const store = new MemoryStore();
  store.put("attachment/1", "{}");
  await assert.rejects(load(store, MACHINE), { code: "state/unreadable", message: /it is missing$/ });
  assert.deepEqual([...store.records.keys()], ["attachment/1"]);
});

Deno.test("readSystemIds() reads the first file there is", () => {
  const root = Deno.makeTempDirSync({ prefix: "meshnet-ids-" });
  try {
    assert.deepEqual(readSystemIds(root), NONE);
    Deno.mkdirSync(`${root}/var/lib/dbus`, { recursive: true });
    Deno.mkdirSync(`${root}/sys/hypervisor`, { recursive: true });
    Deno.writeTextFileSync(`${root}/var/lib/dbus/machine-id`, "dbus\n");
    Deno.writeTextFileSync(`${root}/sys/hypervisor/uuid`, "xen\n");
    assert.deepEqual(readSystemIds(root), { machineId: "dbus\n", productUuid: "xen\n" });
    Deno.mkdirSync(`${root}/etc`);
    Deno.writeTextFileSync(`${root}/etc/machine-id`, "etc\n");
    assert.equal(readSystemIds(root).machineId, "etc\n");
  } finally {
    Deno.removeSync(root, { recursive: true });
  }
});

Deno.test("loadIdentity() stores with another name what goes with the old one", async () => {
  const store = new MemoryStore();
  const { name: before } = await load(store, MACHINE);
  store.put("ipam/ring", "{}");
  const ids = { ...MACHINE, productUuid: "other\n" };
  const told: PeerName[] = [];
  const moved = (from: PeerName) => {
    told.push(from);
    return [["ipam/ring", undefined]] as const;
  };
  const { formerName } = await loadIdentity(store, { ids, random, name: undefined, moved });
  assert.deepEqual([told, formerName, store.get("ipam/ring")], [[before], before, undefined]);
  assert.equal((await loadIdentity(store, { ids, random, name: undefined, moved })).formerName, before);
  assert.equal(told.length, 1);
});
