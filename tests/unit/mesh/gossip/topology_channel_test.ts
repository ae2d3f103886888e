import assert from "node:assert/strict";
import { fromHex } from "../../../../mod/core/bytes.ts";
import type { PeerName, ShortId } from "../../../../mod/core/names.ts";
import type { GossipData } from "../../../../mod/core/ports.ts";
import type { PeerRecord } from "../../../../mod/core/topology_record.ts";
import {
  COLLECT_DELAY_MS,
  LEAN_STATE_BYTES,
  TopologyChannel,
  UPDATE_DELAY_MS,
} from "../../../../mod/mesh/gossip/topology_channel.ts";
import { decodeTopology } from "../../../../mod/wire/mesh/mesh_message.ts";
import { check, fc, seededRandom } from "../../properties.ts";
import { loadVectors } from "../../vectors.ts";
import { at } from "./gossip_samples.ts";
import { link, peer, record, stateOf, topologyOf } from "../topology/topology_samples.ts";
import { encodeTopology } from "../../wire/mesh/encode_topology.ts";
import { type PeerJson, recordOf } from "../../wire/mesh/topology_json.ts";

interface MergeVector {
  readonly description: string;
  readonly self: PeerName;
  readonly state_before: PeerJson[];
  readonly update_hex: string;
  readonly state_after_merge: PeerJson[];
  readonly state_after_gc: PeerJson[];
  readonly changed_names: PeerName[];
}

const random = seededRandom();

/** The channel of peer 1 with neighbours 2 and 3. */
function channelOf(others: readonly PeerRecord[] = []): TopologyChannel {
  return new TopologyChannel(
    topologyOf(record(1, 2, [2, 3]), [record(2, 1, [1]), record(3, 1, [1]), ...others], random),
  );
}

/** A full mesh of peers 1 to `size`, at peer 1. */
function largeChannel(size = 20): TopologyChannel {
  const all = Array.from({ length: size }, (_, i) => i + 1);
  const recordOf = (n: number) => record(n, 50, all.filter((to) => to !== n));
  return new TopologyChannel(topologyOf(recordOf(1), all.slice(1).map(recordOf), random));
}

function records(payloads: Iterable<Uint8Array>): PeerRecord[] {
  return [...payloads].flatMap((payload) => {
    const decoded = decodeTopology(payload);
    assert(decoded.ok);
    return decoded.value;
  });
}

function namesIn(data: GossipData | undefined, to?: number): PeerName[] {
  return records(data?.encode(to === undefined ? undefined : peer(to)) ?? []).map(({ name }) => name);
}

function gossip(channel: TopologyChannel, from: number, sent: readonly PeerRecord[], now = 0) {
  const result = channel.onGossip(encodeTopology(sent), at(now), peer(from));
  assert(result.ok);
  return result.value;
}

Deno.test("TopologyChannel passes on changed peers of a gossip, and nothing when there are none", () => {
  const channel = channelOf();
  const news = gossip(channel, 2, [record(2, 2, [1, 4]), record(3, 1, [1])]);
  assert.deepEqual(namesIn(news), [peer(2)]);
  assert.equal(gossip(channel, 2, [record(2, 2, [1, 4])]), undefined);
});

Deno.test("TopologyChannel passes on named peers of a broadcast, and nothing when there are none", () => {
  const channel = channelOf();
  const named = channel.onBroadcast(peer(2), encodeTopology([record(2, 0), record(3, 1, [1])]), at(0));
  assert(named.ok);
  assert.deepEqual(namesIn(named.value), [peer(2), peer(3)]);
  assert.deepEqual(channel.onBroadcast(peer(2), new Uint8Array(0), at(0)), { ok: true, value: undefined });
});

for (const vector of loadVectors<{ merges: MergeVector[] }>("mesh-topology").merges) {
  Deno.test(`TopologyChannel takes as little as it can and follows the vector: ${vector.description}`, () => {
    const before = vector.state_before.map(recordOf);
    const self = before.find(({ name }) => name === vector.self)!;
    const channel = new TopologyChannel(topologyOf(self, before.filter((each) => each !== self), random));
    const taken = channel.onGossip(fromHex(vector.update_hex), at(0), peer(99));
    assert(taken.ok);
    assert.deepEqual(namesIn(taken.value), vector.changed_names);
    assert.deepEqual(stateOf(channel.topology), vector.state_after_merge.map(recordOf));
    channel.wake(at(COLLECT_DELAY_MS));
    assert.deepEqual(stateOf(channel.topology), vector.state_after_gc.map(recordOf));
  });
}

Deno.test("TopologyChannel makes placeholders for what news refers to, a former self's included, and nothing else", () => {
  const channel = channelOf([record(4, 5)]);
  gossip(channel, 2, [record(4, 5, [60]), record(4, 4, [61]), record(1, 2, [62])]);
  for (const number of [60, 61, 62]) assert.equal(channel.topology.get(peer(number)), undefined);
  gossip(channel, 2, [record(4, 6, [63]), record(1, 9, [64], { uid: 5 })]);
  for (const number of [63, 64]) assert.equal(channel.topology.get(peer(number))?.uid, 0n);
  assert.equal(channel.topology.own.version, 10n);
});

Deno.test("TopologyChannel ends up as if it had read everything, once it has collected", () => {
  const number = fc.integer({ min: 1, max: 6 });
  // Equal (name, version, uid) mean equal records, as with real peers.
  const some = fc.tuple(number, fc.nat(4), fc.boolean()).map(([n, version, restarted]) => {
    const uid = n * 100 + (restarted ? 1 : 0);
    const draw = seededRandom(uid * 100 + version);
    return record(n, version, [1, 2, 3, 4, 5, 6, 7, 8].filter((to) => to !== n && draw.below(3) === 0), {
      uid,
    });
  });
  check(fc.property(fc.array(fc.array(some, { maxLength: 5 }), { maxLength: 6 }), (payloads) => {
    const channel = channelOf();
    const { topology } = channelOf();
    for (const sent of payloads) {
      const data = gossip(channel, 2, sent);
      const merged = topology.merge(sent);
      assert.deepEqual(namesIn(data), merged.changed.toSorted());
    }
    channel.collect(at(0));
    topology.collect();
    assert.deepEqual(stateOf(channel.topology), stateOf(topology));
  }));
});

Deno.test("TopologyChannel refuses unicasts and payloads that are cut", () => {
  const channel = channelOf();
  assert.equal(channel.onUnicast().ok, false);
  const payload = encodeTopology([record(2, 2, [1, 4])]);
  assert.equal(channel.onGossip(payload.subarray(0, payload.length - 1), at(0), peer(2)).ok, false);
  assert.equal(channel.topology.get(peer(2))?.version, 1n, "nothing of it was taken");
});

Deno.test("TopologyChannel sends a deferred update 1 s after the first request, with all names asked for", () => {
  const channel = channelOf();
  assert.equal(channel.nextWake(), Infinity);
  channel.requestUpdate([peer(2)], at(500));
  channel.requestUpdate([peer(3), peer(77)], at(1200));
  assert.equal(channel.nextWake(), 500 + UPDATE_DELAY_MS);
  assert.equal(channel.wake(at(1499)), undefined);
  assert.deepEqual(namesIn(channel.wake(at(1500))), [peer(1), peer(2), peer(3)]);
  assert.equal(channel.nextWake(), Infinity);
  channel.requestUpdate([], at(3000));
  assert.deepEqual(namesIn(channel.wake(at(9000))), [peer(1)]);
});

Deno.test("TopologyChannel asks for an update of ourselves when a former self or a short id demands it", () => {
  const outdated = channelOf();
  gossip(outdated, 2, [record(1, 9, [], { uid: 5 })], 100);
  assert.equal(outdated.nextWake(), 100 + UPDATE_DELAY_MS);
  assert.deepEqual(records(outdated.wake(at(1100))?.encode() ?? []).map(({ version }) => version), [10n]);
  const self = { ...record(5, 0), shortId: 7 as ShortId };
  const collided = new TopologyChannel(topologyOf(self, [], random));
  gossip(collided, 2, [record(2, 1, [], { shortId: 7 })], 100);
  const news = collided.takeOutcome();
  assert.deepEqual([news.selfChanged, news.invalidated, news.changed], [true, true, true]);
  assert.equal(collided.nextWake(), 100 + UPDATE_DELAY_MS);
});

Deno.test("TopologyChannel collects 1 s after the first merge and tells who has gone, once", () => {
  const channel = channelOf();
  gossip(channel, 2, [record(8, 1)], 100);
  gossip(channel, 2, [record(9, 1)], 600);
  assert.deepEqual(channel.takeOutcome().changed, true);
  assert.equal(channel.routesStale, false);
  assert.equal(channel.nextWake(), 100 + COLLECT_DELAY_MS);
  assert.equal(channel.wake(at(1100)), undefined);
  assert.equal(channel.routesStale, true);
  assert.deepEqual(channel.takeOutcome().removed.map(({ name }) => name), [peer(8), peer(9)]);
  assert.deepEqual(channel.takeOutcome().removed, []);
  assert.equal(channel.nextWake(), Infinity);
});

Deno.test("TopologyChannel of a small mesh repeats everything to everybody who does not understand digests", () => {
  const channel = channelOf();
  assert.equal(channel.lean, false);
  for (let i = 0; i < 3; i++) assert.deepEqual(namesIn(channel.fullState(), 2), [1, 2, 3].map(peer));
  channel.onTeller(peer(3));
  namesIn(channel.fullState(), 3);
  assert.deepEqual(namesIn(channel.fullState(), 3), [], "it has what was sent");
  channel.topology.merge([record(2, 51, [1])]);
  const changes = channel.records([peer(2)]).merge(channel.fullState());
  assert.deepEqual(namesIn(changes, 3), [peer(2)], "a change is sent though it waits with a complete state");
  assert.deepEqual(namesIn(channel.fullState(), 2), [1, 2, 3].map(peer));
});

Deno.test("TopologyChannel of a large mesh refreshes nobody who understands digests", () => {
  const channel = largeChannel();
  channel.onTeller(peer(2));
  for (const to of [2, 3]) namesIn(channel.fullState(), to);
  const state = channel.fullState();
  assert.deepEqual(namesIn(state, 2), []);
  assert.ok(namesIn(state, 3).length > 5);
});

Deno.test("TopologyChannel tells others of us again when somebody published our record with a higher version", () => {
  const channel = channelOf();
  const { own } = channel.topology;
  gossip(channel, 2, [{ ...own, version: own.version + 5n }], 0);
  channel.wake(at(1000));
  assert.equal(channel.topology.own.version, own.version, "such a record is ignored");
  assert.deepEqual(namesIn(channel.wake(at(2000)), 3), [peer(1)]);
  assert.equal(channel.topology.own.version, own.version + 6n);
});

Deno.test("TopologyChannel merges waiting data to the union of names", () => {
  const channel = channelOf();
  assert.deepEqual(namesIn(channel.records([peer(3)]).merge(channel.records([peer(2)]))), [peer(2), peer(3)]);
  assert.deepEqual(namesIn(channel.records([peer(3)]).merge(channel.fullState())), [1, 2, 3].map(peer));
});

Deno.test("TopologyChannel cuts a large state into several payloads, made one by one", () => {
  const channel = largeChannel(100);
  const payloads = channel.fullState().encode(peer(2))[Symbol.iterator]();
  const first = payloads.next().value as Uint8Array;
  assert.ok(first.length > 30_000 && first.length < 80_000, `${first.length} bytes`);
  channel.topology.merge([record(100, 51, [1], { nickname: "changed meanwhile" })]);
  const rest = records({ [Symbol.iterator]: () => payloads } as Iterable<Uint8Array>);
  assert.equal(records([first]).length + rest.length, 100);
  assert.equal(rest.at(-1)?.nickname, "changed meanwhile");
});

Deno.test("TopologyChannel of a large mesh spares a neighbour what it is known to have", () => {
  const channel = largeChannel();
  assert.ok(channel.topology.stateSize > LEAN_STATE_BYTES);
  gossip(channel, 2, [channel.topology.get(peer(2))!, channel.topology.get(peer(3))!]);
  assert.deepEqual(namesIn(channel.records([2, 3, 4].map(peer)), 2), [peer(4)], "it sent us 2 and 3");
  assert.deepEqual(namesIn(channel.records([2, 3, 4].map(peer)), 2), [], "and now we have sent it 4");
  assert.deepEqual(namesIn(channel.records([2, 3, 4].map(peer)), 5), [2, 3, 4].map(peer));
  channel.topology.merge([record(4, 51, [1])]);
  assert.deepEqual(namesIn(channel.records([2, 3, 4].map(peer)), 2), [peer(4)], "it changed");
  gossip(channel, 2, [record(3, 49)]);
  assert.deepEqual(namesIn(channel.records([2, 3, 4].map(peer)), 2), [peer(3)], "it shows that it lacks 3");
  channel.onNeighbour(peer(2));
  assert.deepEqual(namesIn(channel.records([2, 3, 4].map(peer)), 2), [2, 3, 4].map(peer), "a new connection");
});

Deno.test("TopologyChannel of a large mesh does not mistake a peer for one whose place it took", () => {
  const channel = largeChannel();
  channel.topology.merge([record(50, 1)]);
  assert.deepEqual(namesIn(channel.records([peer(50)]), 2), [peer(50)]);
  channel.collect(at(0));
  assert.equal(channel.topology.get(peer(50)), undefined);
  channel.topology.merge([record(51, 1)]);
  assert.deepEqual(namesIn(channel.records([peer(51)]), 2), [peer(51)]);
});

Deno.test("TopologyChannel of a large mesh repeats the whole state little by little to one neighbour each time", () => {
  const channel = largeChannel();
  for (const to of [2, 3]) namesIn(channel.fullState(), to);
  const repeated = new Set<PeerName>();
  for (let round = 0; round < 3; round++) {
    const state = channel.fullState();
    const names = namesIn(state, 2);
    assert.ok(names.length > 5 && names.length < 20, `${names.length} records`);
    assert.deepEqual(namesIn(state, 3), [], "one neighbour only");
    for (const name of names) repeated.add(name);
  }
  assert.equal(repeated.size, 20);
});

Deno.test("TopologyChannel of a large mesh asks about placeholders, at most every 5 s, until they are known", () => {
  const channel = largeChannel();
  gossip(channel, 2, [record(2, 51, [1, 60])], 0);
  assert.deepEqual(namesIn(channel.wake(at(1000)), 3), [peer(60)]);
  gossip(channel, 2, [record(2, 52, [1, 60])], 2000);
  assert.equal(channel.wake(at(3000)), undefined);
  gossip(channel, 2, [record(2, 53, [1, 60])], 5500);
  assert.deepEqual(namesIn(channel.wake(at(6500)), 3), [peer(60)], "asks again");
  gossip(channel, 2, [record(60, 1)], 12_000);
  assert.equal(channel.wake(at(13_000)), undefined);
});

Deno.test("TopologyChannel of a large mesh answers who asks about a peer it knows", () => {
  const channel = largeChannel();
  namesIn(channel.fullState(), 2);
  gossip(channel, 2, [{ ...record(4, 0, [], { uid: 0 }), nickname: "" }, {
    ...record(99, 0, [], { uid: 0 }),
  }]);
  assert.deepEqual(channel.takeAnswers().map(({ channel, data }) => [channel, namesIn(data, 2)]), [
    ["topology", [peer(4)]],
  ]);
  assert.deepEqual(channel.takeAnswers(), []);
  const small = channelOf();
  gossip(small, 2, [{ ...record(3, 0, [], { uid: 0 }) }]);
  assert.deepEqual(small.takeAnswers(), [], "a small mesh replies to nothing");
});

Deno.test("TopologyChannel links of ours are sent as they are at that moment", () => {
  const channel = channelOf();
  const data = channel.records([peer(1)]);
  channel.topology.setLink(link(4));
  assert.deepEqual(records(data.encode())[0]?.links.map((each) => each.peer), [2, 3, 4].map(peer));
});
