import assert from "node:assert/strict";
import { EXPOSED_KEY } from "../../../mod/attach/exposed.ts";
import { EXPOSE_HOLDER } from "../../../mod/core/holders.ts";
import type { PeerName } from "../../../mod/core/names.ts";
import { HEALTH_PREFIX, MEMBER_PREFIX, NAMES_PREFIX } from "../../../mod/core/store_keys.ts";
import { leftToOriginal } from "../../../mod/daemon/left_to_original.ts";
import { STORE_KEY } from "../../../mod/ipam/stored.ts";
import { MemoryStore } from "../memory_store.ts";

const FROM = "02:00:00:00:50:02" as PeerName;

/** A store as a host has it, with an attachment of each of these ids. */
function stored(...ids: readonly string[]): MemoryStore {
  const store = new MemoryStore();
  for (const id of ids) {
    const fields = { namespace: { device: 1, inode: 2 }, processMark: null, interface: "ethmesh", mac: null };
    const target = `netns:${id}`;
    store.put(
      `attachment/${id}`,
      JSON.stringify({ version: 1, id, target, ...fields, addresses: ["10.32.0.1/12"] }),
    );
    store.put(NAMES_PREFIX + target, "{}");
    store.put(HEALTH_PREFIX + target, "{}");
  }
  const { owned, ring } = STORE_KEY;
  const exposed = [EXPOSED_KEY, NAMES_PREFIX + EXPOSE_HOLDER, HEALTH_PREFIX + EXPOSE_HOLDER];
  for (const key of [...exposed, ring, `${owned}a`, `${MEMBER_PREFIX}1`, "names/record/x", "targets"]) {
    store.put(key, "{}");
  }
  return store;
}

Deno.test("leftToOriginal() leaves addresses and what is not here to the original, and keeps the rest", () => {
  const store = stored("00000000aa", "00000000bb");
  const isThere = (name: string) => name === "vmn00000000aa";
  const { records, targets } = leftToOriginal(store, { from: FROM, isThere, leg: "meshnet" });
  store.putAll(records);
  assert.deepEqual(targets, ["netns:00000000bb"]);
  assert.deepEqual(store.list("").map(([key]) => key), [
    "attachment/00000000aa",
    STORE_KEY.joins,
    `${HEALTH_PREFIX}netns:00000000aa`,
    "names/record/x",
    `${NAMES_PREFIX}netns:00000000aa`,
    "targets",
  ]);
  assert.deepEqual(JSON.parse(store.get(STORE_KEY.joins)!), { form: 1, peers: [FROM] });
});

Deno.test("leftToOriginal() keeps the exposure of a host whose network is still there", () => {
  const { records } = leftToOriginal(stored(), { from: FROM, isThere: () => true, leg: "meshnet" });
  assert.ok(!records.some(([key]) => key === EXPOSED_KEY));
});
