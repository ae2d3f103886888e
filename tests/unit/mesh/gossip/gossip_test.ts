import assert from "node:assert/strict";
import { fromHex, toHex } from "../../../../mod/core/bytes.ts";
import { GOSSIP_INTERVAL_MS, type GossipEngine } from "../../../../mod/mesh/gossip/gossip.ts";
import {
  decodeGossipFrame,
  encodeGossipFrame,
  type GossipFrame,
} from "../../../../mod/wire/mesh/mesh_message.ts";
import { fuzz } from "../../fuzz.ts";
import { loadVectors } from "../../vectors.ts";
import { at, drain, engineOf, linkTo, SetChannel, SetData } from "./gossip_samples.ts";
import { link, peer, record } from "../topology/topology_samples.ts";

interface RelayVector {
  readonly kind: string;
  readonly received_from_33?: string;
  readonly sent_to_02?: string;
  readonly received_by_02?: string;
  readonly sent_to_01?: string;
}

const bytes = (...values: number[]) => Uint8Array.from(values);

function frame(
  tag: "gossip" | "broadcast",
  source: number,
  payload: Uint8Array,
  channel = "set",
): Uint8Array {
  return encodeGossipFrame({ tag, channel, source: peer(source), payload });
}

function unicast(source: number, destination: number, payload: Uint8Array, channel = "set"): Uint8Array {
  return encodeGossipFrame({
    tag: "unicast",
    channel,
    source: peer(source),
    destination: peer(destination),
    payload,
  });
}

function sent(engine: GossipEngine, to: number): GossipFrame[] {
  return drain(engine, to).map((message) => {
    const decoded = decodeGossipFrame(message);
    assert(decoded.ok);
    return decoded.value;
  });
}

/** `tag channel source payload` of everything that waits for a connection. */
function shown(engine: GossipEngine, to: number): string[] {
  return sent(engine, to).map((each) =>
    `${each.tag} ${each.channel} ${each.source.slice(-2)} ${toHex(each.payload)}`
  );
}

for (const vector of loadVectors<{ cases: RelayVector[] }>("mesh-relay").cases) {
  Deno.test(`GossipEngine relays an unknown channel as observed: ${vector.kind}`, () => {
    const [self, to] = vector.received_by_02 === undefined ? [1, 2] : [2, 1];
    const { engine } = engineOf(self, [to, 0x33]);
    const received = fromHex(vector.received_from_33 ?? vector.received_by_02!);
    assert(engine.receive(linkTo(0x33), received, at(0)).ok);
    assert.deepEqual(drain(engine, to).map(toHex), [vector.sent_to_02 ?? vector.sent_to_01]);
    assert.deepEqual(drain(engine, 0x33), []);
    assert(engine.receive(linkTo(0x33), received, at(1)).ok);
    if (vector.kind.startsWith("gossip")) assert.deepEqual(drain(engine, to), [], "seen before");
  });
}

Deno.test("GossipEngine passes on what a gossip had that was new, to others than its sender", () => {
  const { engine } = engineOf(1, [2, 3, 4]);
  engine.register(new SetChannel("set", [7]));
  assert(engine.receive(linkTo(2), frame("gossip", 2, bytes(7, 9)), at(0)).ok);
  assert.deepEqual(engine.ready(), [linkTo(3), linkTo(4)]);
  assert.deepEqual(shown(engine, 3), ["gossip set 01 09"]);
  assert.deepEqual(shown(engine, 4), ["gossip set 01 09"]);
  assert(engine.receive(linkTo(3), frame("gossip", 3, bytes(7, 9)), at(0)).ok);
  assert.deepEqual(engine.ready(), []);
});

Deno.test("GossipEngine merges what waits: one gossip for a channel, one broadcast for a channel and source", () => {
  const { engine } = engineOf(1, [2, 3, 4], { links: { 2: [1, 5], 3: [1], 4: [1], 5: [2] } });
  engine.register(new SetChannel("set"));
  engine.broadcast("set", new SetData([1]));
  for (const payload of [bytes(2), bytes(3)]) {
    engine.receive(linkTo(2), frame("broadcast", 5, payload), at(0));
  }
  engine.broadcast("set", new SetData([4]));
  for (const payload of [bytes(5), bytes(6)]) engine.receive(linkTo(2), frame("gossip", 2, payload), at(0));
  assert.deepEqual(shown(engine, 3), [
    "gossip set 01 0506",
    "broadcast set 01 0104",
    "broadcast set 05 0203",
  ]);
  assert.deepEqual(shown(engine, 2), ["broadcast set 01 0104"], "not back towards the source");
});

Deno.test("GossipEngine lets unicasts and merged data take turns", () => {
  const { engine } = engineOf(1, [2]);
  engine.register(new SetChannel("set"));
  for (const value of [1, 2, 3]) engine.unicast("set", peer(2), bytes(value));
  engine.broadcast("set", new SetData([8]));
  engine.gossip("set", new SetData([9]));
  assert.deepEqual(shown(engine, 2), [
    "unicast set 01 01",
    "gossip set 01 09",
    "unicast set 01 02",
    "broadcast set 01 08",
    "unicast set 01 03",
  ]);
});

Deno.test("GossipEngine delivers unicasts for us and forwards others byte for byte", () => {
  const { engine } = engineOf(1, [2, 3], { links: { 2: [1, 4], 3: [1], 4: [2] } });
  const channel = new SetChannel("set");
  engine.register(channel);
  assert(engine.receive(linkTo(2), unicast(4, 1, bytes(1)), at(0)).ok);
  assert.deepEqual(channel.notes, [`unicast ${peer(4)} 1`]);
  const message = unicast(3, 4, bytes(2), "elsewhere");
  assert(engine.receive(linkTo(3), message, at(0)).ok);
  message[message.length - 1] = 0xee; // the engine must not keep the caller's buffer
  assert.deepEqual(shown(engine, 2), ["unicast elsewhere 03 02"]);
  assert(engine.receive(linkTo(3), unicast(3, 1, bytes(1), "unheard"), at(0)).ok);
  assert(engine.receive(linkTo(3), unicast(3, 99, bytes(1)), at(0)).ok);
  assert.equal(engine.counters().unrouted, 1);
});

Deno.test("GossipEngine wants a connection closed for what cannot be decoded or is refused", () => {
  const { engine } = engineOf(1, [2]);
  engine.register(new SetChannel("set"));
  const reason = (message: Uint8Array) => {
    const result = engine.receive(linkTo(2), message, at(0));
    return result.ok ? undefined : result.reason;
  };
  assert.match(reason(bytes(4, 1)) ?? "", /gossip frame/);
  assert.equal(reason(unicast(2, 1, bytes(0xff))), 'Cannot take unicast on channel "set": bad number');
  assert.match(reason(unicast(2, 1, bytes(), "topology")) ?? "", /one peer alone/);
  assert.match(
    reason(frame("gossip", 2, bytes(1, 2, 3), "topology")) ?? "",
    /^Cannot take gossip on channel "topo/,
  );
  assert.equal(engine.receive(linkTo(77), bytes(4, 1), at(0)).ok, true, "a connection that is gone");
});

Deno.test("GossipEngine bounds waiting unicasts by number and bytes, and counts what it drops", () => {
  const { engine } = engineOf(1, [2], { sender: { unicasts: 3, unicastBytes: 1000 } });
  assert.equal(engine.unicast("set", peer(2), new Uint8Array(5000)), true, "one of any size");
  assert.equal(engine.unicast("set", peer(2), bytes(1)), false);
  assert.equal(drain(engine, 2).length, 1);
  assert.deepEqual([1, 2, 3, 4].map((n) => engine.unicast("set", peer(2), bytes(n))), [
    true,
    true,
    true,
    false,
  ]);
  assert.equal(engine.counters().unicastsDropped, 2);
  assert.equal(drain(engine, 2).length, 3);
  assert.equal(engine.unicast("set", peer(2), bytes(1)), true);
});

Deno.test("GossipEngine holds gossip and broadcasts until routes are renewed, merged; unicasts go on", () => {
  const { engine, reroute } = engineOf(1, [2, 3]);
  engine.register(new SetChannel("set"));
  engine.holdRelays();
  assert.equal(engine.holding, true);
  for (const value of [1, 2]) engine.receive(linkTo(2), frame("gossip", 2, bytes(value)), at(0));
  for (const value of [3, 4]) engine.receive(linkTo(2), frame("broadcast", 2, bytes(value)), at(0));
  engine.gossip("set", new SetData([5]));
  engine.broadcast("set", new SetData([6]));
  assert.deepEqual(engine.ready(), []);
  engine.unicast("set", peer(2), bytes(7));
  assert.deepEqual(shown(engine, 2), ["unicast set 01 07"]);
  reroute();
  assert.equal(engine.holding, false);
  assert.deepEqual(shown(engine, 2), ["gossip set 01 05", "broadcast set 01 06"]);
  assert.deepEqual(shown(engine, 3), [
    "gossip set 01 010205",
    "broadcast set 02 0304",
    "broadcast set 01 06",
  ]);
});

Deno.test("GossipEngine holds by itself when topology gossip changed routes, and relays by the new ones", () => {
  const { engine, topology, reroute } = engineOf(1, [2, 3]);
  const other = engineOf(2, [1, 8]);
  const payload = other.topology.encode([peer(2)]);
  assert(engine.receive(linkTo(2), frame("gossip", 2, payload, "topology"), at(0)).ok);
  assert.equal(engine.holding, true);
  assert.deepEqual(engine.ready(), []);
  reroute();
  assert.deepEqual(sent(engine, 3).map(({ channel, payload }) => [channel, payload]), [[
    "topology",
    payload,
  ]]);
  assert.deepEqual(drain(engine, 2), []);
  assert.equal(topology.size, 4);
});

Deno.test("GossipEngine encodes when it sends, not when it queues", () => {
  const { engine, topology, channel } = engineOf(1, [2]);
  engine.gossip("topology", channel.records([peer(1), peer(9)]));
  topology.setLink(link(9));
  topology.merge([record(9, 4, [], { nickname: "late" })]);
  const [{ payload }] = sent(engine, 2) as [GossipFrame];
  assert.deepEqual(payload, topology.encode([peer(1), peer(9)]));
});

Deno.test("GossipEngine sends every channel's full state to all of few neighbours every 30 s", () => {
  const { engine } = engineOf(1, [2, 3]);
  engine.register(new SetChannel("set", [5]));
  engine.register(new SetChannel("empty"));
  assert.equal(engine.nextWake(), GOSSIP_INTERVAL_MS);
  engine.wake(at(GOSSIP_INTERVAL_MS - 1));
  assert.deepEqual(engine.ready(), []);
  engine.wake(at(GOSSIP_INTERVAL_MS));
  for (const each of [2, 3]) {
    assert.deepEqual(sent(engine, each).map(({ channel }) => channel), ["topology", "set"]);
  }
  assert.equal(engine.nextWake(), 2 * GOSSIP_INTERVAL_MS);
  engine.wake(at(5.5 * GOSSIP_INTERVAL_MS));
  assert.equal(engine.nextWake(), 6 * GOSSIP_INTERVAL_MS, "missed rounds are not made up for");
});

Deno.test("GossipEngine.sendFullState() goes to one connection", () => {
  const { engine } = engineOf(1, [2, 3]);
  engine.register(new SetChannel("set", [5]));
  engine.sendFullState(linkTo(3));
  assert.deepEqual(engine.ready(), [linkTo(3)]);
  assert.deepEqual(sent(engine, 3).map(({ channel }) => channel), ["topology", "set"]);
});

Deno.test("GossipEngine.removeConnection() drops what waited, also when a newer connection has taken over", () => {
  const { engine } = engineOf(1, [2]);
  engine.register(new SetChannel("set"));
  engine.unicast("set", peer(2), bytes(1));
  engine.removeConnection(linkTo(2));
  assert.equal(engine.take(linkTo(2)), undefined);
  assert.equal(engine.unicast("set", peer(2), bytes(1)), false);
  engine.addConnection(linkTo(20), peer(2), at(0));
  engine.removeConnection(linkTo(2));
  assert.equal(engine.unicast("set", peer(2), bytes(1)), true);
  assert.deepEqual(engine.ready(), [linkTo(20)]);
});

Deno.test("GossipEngine.peersRemoved() tells every channel", () => {
  const { engine } = engineOf(1, [2]);
  const channel = new SetChannel("set");
  engine.register(channel);
  engine.peersRemoved([peer(7)]);
  assert.deepEqual(channel.notes, [`removed ${peer(7)}`]);
});

Deno.test("GossipEngine.receive() returns whatever it is given", () => {
  const { engine, topology, reroute } = engineOf(1, [2, 3]);
  const payload = engineOf(2, [1, 3]).topology.encode([peer(1), peer(2), peer(3)]);
  const samples = [
    frame("gossip", 2, payload, "topology"),
    frame("broadcast", 2, payload, "topology"),
    frame("gossip", 2, bytes(1, 2, 3), "unknown"),
    unicast(2, 3, bytes(1)),
    unicast(2, 1, bytes(1)),
  ];
  fuzz((message) => {
    const result = engine.receive(linkTo(2), message, at(0));
    topology.collect();
    reroute();
    drain(engine, 3);
    return result;
  }, samples);
});
