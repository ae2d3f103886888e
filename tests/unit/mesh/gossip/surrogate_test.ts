import assert from "node:assert/strict";
import type { SurrogateLimits } from "../../../../mod/mesh/gossip/surrogate.ts";
import { decodeGossipFrame, encodeGossipFrame } from "../../../../mod/wire/mesh/mesh_message.ts";
import { at, drain, engineOf, linkTo, SetChannel } from "./gossip_samples.ts";
import { peer } from "../topology/topology_samples.ts";

const payloadOf = (value: number, size = 8) => new Uint8Array(size).fill(value);

/** Peer 1 between 2 and 3: `gossip` and `broadcast` come from 2, `taken` is what 3 gets. */
function relay(surrogates: Partial<SurrogateLimits> = {}) {
  const { engine } = engineOf(1, [2, 3], { surrogates });
  const send = (tag: "gossip" | "broadcast") => (channel: string, payload: Uint8Array, now = 0) => {
    const result = engine.receive(
      linkTo(2),
      encodeGossipFrame({ tag, channel, source: peer(2), payload }),
      at(now),
    );
    assert.equal(result.ok, true);
  };
  const taken = () =>
    drain(engine, 3).map((message) => {
      const decoded = decodeGossipFrame(message);
      assert(decoded.ok);
      return `${decoded.value.tag} ${decoded.value.channel} ${decoded.value.payload[0]}`;
    });
  return { engine, gossip: send("gossip"), broadcast: send("broadcast"), taken };
}

Deno.test("surrogates send each of several waiting messages as its own frame", () => {
  const { gossip, broadcast, taken } = relay();
  for (const value of [1, 2]) gossip("x", payloadOf(value));
  for (const value of [3, 3]) broadcast("x", payloadOf(value));
  gossip("y", payloadOf(1));
  assert.deepEqual(taken(), ["gossip x 1", "gossip x 2", "gossip y 1", "broadcast x 3", "broadcast x 3"]);
});

Deno.test("surrogates forget what they saw only when something new is stored later than 30 s", () => {
  const { gossip, taken } = relay();
  gossip("x", payloadOf(1), 0);
  gossip("x", payloadOf(1), 40_000);
  assert.deepEqual(taken(), ["gossip x 1"], "suppressed for longer than 30 s");
  gossip("x", payloadOf(2), 40_000);
  gossip("x", payloadOf(1), 40_001);
  assert.deepEqual(taken(), ["gossip x 2", "gossip x 1"]);
});

Deno.test("surrogates tell different messages apart that have the same checksum", () => {
  const { gossip, taken } = relay();
  // FNV-1a, 32 bits, of both is 0xe20e47d2.
  const collide = ["declinate", "macallums"].map((text) => new TextEncoder().encode(text));
  for (const payload of collide) gossip("x", payload);
  for (const payload of collide) gossip("x", payload);
  assert.equal(taken().length, 2);
});

Deno.test("surrogates pass nothing on that they have no room to remember, by number and by bytes", () => {
  const { engine, gossip, taken } = relay({ seen: 2, seenBytes: 200 });
  for (const value of [1, 2, 3]) gossip("x", payloadOf(value));
  assert.deepEqual(taken(), ["gossip x 1", "gossip x 2"]);
  gossip("x", payloadOf(4, 300), 31_000);
  assert.deepEqual(taken(), []);
  assert.equal(engine.counters().surrogatesDropped, 2);
  gossip("x", payloadOf(5), 31_000);
  assert.deepEqual(taken(), ["gossip x 5"], "there is room again when what was seen is old");
});

Deno.test("surrogates drop the oldest message that waits for a slow connection, and count it", () => {
  const { engine, broadcast, taken } = relay({ waiting: 3, waitingBytes: 100 });
  for (const value of [1, 2, 3, 4]) broadcast("x", payloadOf(value));
  broadcast("y", payloadOf(5));
  assert.deepEqual(taken(), ["broadcast x 3", "broadcast x 4", "broadcast y 5"]);
  assert.equal(engine.counters().surrogatesDropped, 2);
  for (const value of [6, 7]) broadcast("x", payloadOf(value, 60));
  assert.deepEqual(taken(), ["broadcast x 7"]);
});

Deno.test("surrogates give way to newer channels together with what waits for them", () => {
  const { broadcast, taken } = relay({ channels: 2 });
  broadcast("a", payloadOf(1));
  broadcast("b", payloadOf(2));
  broadcast("a", payloadOf(3));
  broadcast("c", payloadOf(4));
  assert.deepEqual(taken(), ["broadcast a 1", "broadcast a 3", "broadcast c 4"]);
});

Deno.test("surrogates have nothing to do with channels of endless names", () => {
  const { engine, gossip, broadcast, taken } = relay();
  gossip("x".repeat(257), payloadOf(1));
  broadcast("x".repeat(257), payloadOf(1));
  assert.deepEqual(taken(), []);
  assert.equal(engine.counters().surrogatesDropped, 2);
});

Deno.test("surrogates end when their channel is registered", () => {
  const { engine, broadcast, taken } = relay();
  broadcast("set", payloadOf(1));
  const channel = new SetChannel("set");
  engine.register(channel);
  broadcast("set", payloadOf(2, 1));
  assert.deepEqual(channel.notes, [`broadcast ${peer(2)} 2`]);
  assert.deepEqual(taken(), ["broadcast set 2"]);
});
