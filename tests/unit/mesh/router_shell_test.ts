import assert from "node:assert/strict";
import { connect } from "node:net";
import type { Ip } from "../../../mod/core/addr.ts";
import { type PeerName, peerNameFromNumber, type PeerUid, toShortId } from "../../../mod/core/names.ts";
import { Faults } from "../../../mod/core/faults.ts";
import type { LogFields } from "../../../mod/core/ports.ts";
import type { Millis } from "../../../mod/core/time.ts";
import { type Router, startRouter, storedTargets, TARGETS_KEY } from "../../../mod/mesh/router_shell.ts";
import { MemoryStore } from "../memory_store.ts";
import { seededRandom } from "../properties.ts";

const HOST = "127.0.0.1" as Ip;
const FULL = new Error("the disk is full");

/** A router on loopback that nobody answers; its alarm never rings. */
function bench(
  store = new MemoryStore(),
): { router: Router; log: string[]; store: MemoryStore } & Disposable {
  const abort = new AbortController();
  const log: string[] = [];
  const note = (event: string, fields: LogFields = {}) => void log.push(`${event} ${fields["reason"]}`);
  const never = () => assert.fail("there is no password");
  const clock = { now: () => 0 as Millis };
  const logger = { debug: note, info: note, warn: note, error: note };
  const router = startRouter({
    name: peerNameFromNumber(1) as PeerName,
    ...{ nickname: "x", uid: 1n as PeerUid, shortId: toShortId(1)! },
    ...{ host: HOST, port: 0, overlays: ["sleeve"], password: undefined, trusted: [], channels: [] },
    ...{ connLimit: 0, discovery: false, minVersion: 1, targets: undefined },
    sealer: { publicKey: never, sessionKey: never, seal: never, open: never },
    random: seededRandom(1),
    ...{ clock, logger },
    faults: new Faults({ clock, logger }),
    alarm: { set: () => {} },
    store,
    overlay: { request: () => {} },
    onShortId: () => {},
    onSettled: () => {},
    onRename: () => {},
    signal: abort.signal,
  });
  return { router, log, store, [Symbol.dispose]: () => abort.abort() };
}

const targetsOf = (router: Router) => router.snapshot().targets.map(({ target }) => target);

Deno.test("Router.retarget() remembers targets, with what goes along, before it acts", () => {
  using made = bench();
  const { router, store } = made;
  router.retarget({ connect: ["127.0.0.1:1", "127.0.0.1:2"] }, [["config", "x"]]);
  assert.deepEqual(storedTargets(store), ["127.0.0.1:1", "127.0.0.1:2"]);
  assert.equal(store.get("config"), "x");
  router.retarget({ forget: ["127.0.0.1:1"] });
  assert.deepEqual(storedTargets(store), ["127.0.0.1:2"]);
  assert.deepEqual(targetsOf(router), ["127.0.0.1:2"]);
});

Deno.test("Router.retarget() that cannot be remembered changes nothing", () => {
  using made = bench();
  const { router, store } = made;
  router.retarget({ connect: ["127.0.0.1:1"] });
  const before = new Map(store.records);
  store.fails = FULL;
  assert.throws(() => router.retarget({ connect: ["127.0.0.1:2"] }), FULL);
  assert.throws(() => router.retarget({ connect: ["127.0.0.1:2"], replace: true }), FULL);
  assert.throws(() => router.retarget({ forget: ["127.0.0.1:1"] }), FULL);
  assert.deepEqual(targetsOf(router), ["127.0.0.1:1"]);
  assert.deepEqual(store.records, before);
  router.retarget({ connect: ["127.0.0.1:1"] }); // to try again needs nothing to be remembered
});

Deno.test("startRouter() goes on when the targets cannot be remembered, and says so", () => {
  const store = new MemoryStore();
  store.put(TARGETS_KEY, `["127.0.0.1:1","not a target:"]`);
  store.fails = FULL;
  using made = bench(store);
  assert.deepEqual(targetsOf(made.router), ["127.0.0.1:1"]);
  assert.ok(made.log.includes("failed, the rest goes on the disk is full"), made.log.join("\n"));
});

Deno.test("Router accepts at once after connections that were reset before it came to them, and logs none of them", async () => {
  using made = bench();
  const { port } = made.router.address;
  const resets = Array.from({ length: 100 }, () =>
    new Promise((resolve) => {
      const from = { host: HOST, port, localAddress: "127.0.0.2" }; // which has a share of its own
      const socket = connect(from, () => socket.resetAndDestroy());
      socket.on("error", () => {});
      socket.on("close", resolve);
    }));
  await Promise.all(resets);
  const conn = await Deno.connect({ hostname: HOST, port });
  const greeting = await conn.read(new Uint8Array(64));
  conn.close();
  assert.ok(greeting! > 0);
  assert.deepEqual(made.log.filter((line) => line.startsWith("failed,")), []);
});
