import assert from "node:assert/strict";
import { fromHex } from "../../../../mod/core/bytes.ts";
import type { PeerName, PeerUid, ShortId } from "../../../../mod/core/names.ts";
import type { PeerRecord } from "../../../../mod/core/topology_record.ts";
import { MAX_PEERS, MAX_STATE_BYTES, Topology } from "../../../../mod/mesh/topology/topology.ts";
import { decodeTopology } from "../../../../mod/wire/mesh/mesh_message.ts";
import { check, fc, seededRandom } from "../../properties.ts";
import { loadVectors } from "../../vectors.ts";
import { link, peer, record, stateOf, topologyOf } from "./topology_samples.ts";
import { type PeerJson, recordOf } from "../../wire/mesh/topology_json.ts";

interface MergeVector {
  readonly description: string;
  readonly self: PeerName;
  readonly state_before: PeerJson[];
  readonly update: PeerJson[];
  readonly update_hex: string;
  readonly state_after_merge: PeerJson[];
  readonly state_after_gc: PeerJson[];
  readonly update_names: PeerName[];
  readonly changed_names: PeerName[];
}

const random = seededRandom();
const merges = loadVectors<{ merges: MergeVector[] }>("mesh-topology").merges;

function stateOfVector(peers: readonly PeerJson[]): PeerRecord[] {
  const [self, ...others] = peers.map(recordOf);
  return stateOf(topologyOf(self!, others, random));
}

for (const vector of merges) {
  Deno.test(`Topology.merge() follows the vector: ${vector.description}`, () => {
    const before = vector.state_before.map(recordOf);
    const self = before.find(({ name }) => name === vector.self)!;
    const topology = topologyOf(self, before.filter((each) => each !== self), random);
    assert.deepEqual(stateOf(topology), stateOfVector(vector.state_before));
    const update = decodeTopology(fromHex(vector.update_hex));
    assert(update.ok);
    const { named, changed } = topology.merge(update.value);
    assert.deepEqual(named.sort(), vector.update_names);
    assert.deepEqual(changed.sort(), vector.changed_names);
    assert.deepEqual(stateOf(topology), vector.state_after_merge.map(recordOf));
    const { removed } = topology.collect();
    assert.deepEqual(stateOf(topology), vector.state_after_gc.map(recordOf));
    const gone = vector.state_after_merge.filter(({ name }) =>
      !vector.state_after_gc.some((p) => p.name === name)
    );
    assert.deepEqual(removed.map(({ name }) => name).sort(), gone.map(({ name }) => name));
  });
}

function alone(more: { version?: bigint; shortId?: number } = {}): Topology {
  const { version = 0n, shortId } = more;
  return new Topology({ ...record(1, 0), version, shortId: shortId as ShortId | undefined }, random);
}

Deno.test("Topology.merge() tells that a former self made us outdated", () => {
  const topology = alone({ version: 3n });
  const former = record(1, 7, [2], { uid: 999 });
  const result = topology.merge([former]);
  assert.equal(result.selfOutdated, true);
  assert.deepEqual(result.changed, []);
  assert.equal(topology.own.version, 8n);
  assert.equal(topology.own.uid, 100n);
  assert.equal(topology.merge([former]).selfOutdated, false, "we are ahead of it now");
});

Deno.test("Topology.overtake() outdoes whoever publishes our record with a higher version", () => {
  const topology = alone();
  const { own } = topology;
  topology.merge([{ ...own, version: own.version + 40n }]);
  assert.equal(topology.own.version, own.version, "the record itself is ignored");
  assert.equal(topology.outdone, true);
  topology.overtake();
  assert.equal(topology.own.version, own.version + 41n);
  assert.deepEqual(topology.own.links, own.links);
  assert.equal(topology.outdone, false);
  topology.merge([{ ...own, version: topology.own.version }, { ...own, version: 2n ** 64n - 1n }]);
  assert.equal(topology.outdone, false, "nothing new, and what has nothing above it");
});

Deno.test("Topology.merge() keeps versions within 64 bits", () => {
  const topology = alone();
  topology.merge([{ ...record(1, 0, [], { uid: 5 }), version: 2n ** 64n - 1n }]);
  assert.equal(topology.own.version, 0n);
  topology.merge([{ ...record(2, 0), version: 2n ** 64n - 1n }]);
  assert.equal(topology.get(peer(2))?.version, 2n ** 64n - 1n);
});

Deno.test("Topology raises our version with each change of our links, and only then", () => {
  const topology = alone();
  topology.setLink(link(2, false));
  assert.equal(topology.own.version, 1n);
  topology.setEstablished(peer(2));
  assert.equal(topology.own.version, 2n);
  assert.equal(topology.own.links[0]?.established, true);
  topology.setEstablished(peer(2));
  topology.setEstablished(peer(3));
  topology.removeLink(peer(3));
  assert.equal(topology.own.version, 2n);
  topology.removeLink(peer(2));
  assert.equal(topology.own.version, 3n);
  assert.deepEqual(topology.own.links, []);
});

Deno.test("Topology.ensure() leaves a known peer alone and sees that it restarted", () => {
  const topology = alone();
  const identity = { ...record(2, 0), shortId: 7 as ShortId };
  assert.equal(topology.ensure(identity).restarted, false);
  assert.equal(topology.ensure(identity).restarted, false);
  assert.equal(topology.ensure({ ...identity, nickname: "new", uid: 201n as PeerUid }).restarted, true);
  assert.equal(topology.get(peer(2))?.nickname, "n2");
  assert.equal(topology.shortIdOf(peer(2)), 7);
  topology.setLink(link(3));
  assert.equal(topology.ensure(record(3, 0)).restarted, true, "a placeholder counts");
});

Deno.test("Topology.ensure() makes us give way to a lower-named peer with our short id", () => {
  const topology = new Topology({ ...record(5, 0), shortId: 77 as ShortId }, random);
  const effects = topology.ensure({ ...record(2, 0), shortId: 77 as ShortId });
  assert.deepEqual(effects, { restarted: false, invalidated: true, selfChanged: true });
  assert.equal(topology.ownerOf(77 as ShortId), peer(2));
  assert.equal(topology.own.version, 1n);
  assert.equal(topology.shortIdOf(peer(5)), topology.own.shortId);
});

Deno.test("Topology.collect() spares retained peers until they are released as often", () => {
  const topology = alone();
  topology.ensure(record(2, 0));
  topology.retain(peer(2));
  topology.retain(peer(2));
  topology.release(peer(2));
  assert.deepEqual(topology.collect().removed, []);
  topology.release(peer(2));
  assert.deepEqual(topology.collect().removed.map(({ name }) => name), [peer(2)]);
  assert.equal(topology.size, 1);
});

Deno.test("Topology.collect() tells that a short id goes to the next claimant", () => {
  const topology = alone({ shortId: 1 });
  topology.merge([record(2, 1, [], { shortId: 9 }), record(3, 1, [], { shortId: 9 })]);
  topology.setLink(link(3));
  assert.equal(topology.shortIdOf(peer(3)), undefined);
  assert.deepEqual(topology.collect(), {
    removed: [record(2, 1, [], { shortId: 9 })],
    invalidated: true,
    selfChanged: false,
  });
  assert.equal(topology.shortIdOf(peer(3)), 9);
});

Deno.test("Topology finds a free short id again after a collection when all were taken", () => {
  const topology = new Topology({ ...record(9000, 0), shortId: 5 as ShortId }, random);
  const others = Array.from({ length: 4096 }, (_, id) => record(id + 1, 1, [], { shortId: id }));
  const result = topology.merge(others);
  assert.equal(result.selfChanged, false);
  assert.equal(topology.own.shortId, 5);
  assert.equal(topology.shortIdOf(peer(9000)), undefined);
  for (const { name } of others.slice(1)) topology.retain(name);
  assert.equal(topology.collect().selfChanged, true);
  assert.equal(topology.own.shortId, 0);
  assert.equal(topology.shortIdOf(peer(9000)), 0);
});

Deno.test("Topology.merge() refuses more peers than it has room for", () => {
  const topology = alone();
  const many = Array.from({ length: MAX_PEERS + 50 }, (_, i) => i + 2);
  const { refused } = topology.merge([record(2, 1, many), ...many.slice(100).map((n) => record(n, 1))]);
  assert.equal(topology.size, MAX_PEERS);
  assert.ok(refused > 0);
  assert.equal(topology.merge([record(2, 2)]).refused, 0, "what is known can still change");
});

Deno.test("Topology.merge() refuses records that would take too much memory", () => {
  const topology = alone();
  const large = (n: number, version = 1) =>
    record(n, version, [], { nickname: "x".repeat(MAX_STATE_BYTES / 4) });
  const { refused, changed } = topology.merge([2, 3, 4, 5, 6].map((n) => large(n)));
  assert.equal(changed.length, 3);
  assert.equal(refused, 2);
  assert.equal(topology.merge([record(2, 2)]).changed.length, 1);
  assert.equal(topology.merge([large(5)]).changed.length, 1, "room was made");
});

Deno.test("Topology.encode() takes known peers in order, as they are now", () => {
  const topology = alone();
  topology.merge([record(3, 1), record(2, 1, [1])]);
  const bytes = topology.encode([peer(3), peer(2), peer(8), peer(3)]);
  assert.deepEqual(decodeTopology(bytes), { ok: true, value: [record(2, 1, [1]), record(3, 1)] });
});

Deno.test("Topology.view() has links that both ends publish as established, and owned short ids", () => {
  const topology = alone({ shortId: 4 });
  topology.merge([
    record(2, 1, [1, 3], { shortId: 8 }),
    record(3, 1, [1, 2], { shortId: 8 }),
    record(4, 1, [1]),
  ]);
  topology.setLink(link(2));
  topology.setLink(link(3, false));
  const view = topology.view();
  assert.deepEqual(view.names, [1, 2, 3, 4].map(peer));
  assert.equal(view.self, 0);
  assert.deepEqual([...view.shortIds], [4, 8, -1, -1]);
  assert.deepEqual([...view.edges], [0, 1, 1, 0, 1, 2, 2, 1]);
  assert.equal(topology.view(), view, "nothing changed");
  topology.setEstablished(peer(3));
  assert.deepEqual([...topology.view().edges], [0, 1, 0, 2, 1, 0, 1, 2, 2, 0, 2, 1]);
  assert.deepEqual([...view.edges], [0, 1, 1, 0, 1, 2, 2, 1], "an old view stays as it was");
});

// Equal (name, version, uid) mean equal records, as with real peers.
const someRecord = fc.tuple(fc.integer({ min: 2, max: 7 }), fc.integer({ min: 0, max: 4 }), fc.boolean())
  .map(([number, version, restarted]) => {
    const uid = number * 100 + (restarted ? 1 : 0);
    const draw = seededRandom(uid * 100 + version);
    const links = [1, 2, 3, 4, 5, 6, 7, 8].filter((to) => to !== number && draw.below(3) === 0);
    return record(number, version, links, { uid, shortId: draw.below(4) });
  });

function merged(records: readonly PeerRecord[], size: number): Topology {
  const topology = topologyOf(record(1, 2, [2, 3], { shortId: 100 }), [], random);
  for (let i = 0; i < records.length; i += size) topology.merge(records.slice(i, i + size));
  return topology;
}

Deno.test("Topology.merge() ends in the same state whatever the order, repetition and grouping", () => {
  const shuffled = fc.array(someRecord, { maxLength: 25 }).chain((records) =>
    fc.tuple(
      fc.constant(records),
      fc.shuffledSubarray(records, { minLength: records.length }),
      fc.subarray(records),
      fc.integer({ min: 1, max: 6 }),
      fc.integer({ min: 1, max: 6 }),
    )
  );
  check(
    fc.property(shuffled, ([records, other, again, size, otherSize]) => {
      const a = merged(records, size);
      const b = merged([...other, ...again], otherSize);
      assert.deepEqual(stateOf(a), stateOf(b));
      const order = (from: Topology) => [...from.view().shortIds];
      assert.deepEqual(order(a), order(b));
      assert.deepEqual(a.view(), b.view());
      a.collect();
      b.collect();
      assert.deepEqual(stateOf(a), stateOf(b));
      assert.deepEqual(a.merge(stateOf(b)).changed, [], "idempotent");
    }),
    { runs: 300 },
  );
});

Deno.test("Topology.collect() keeps exactly what an obvious search reaches", () => {
  check(fc.property(fc.array(someRecord, { maxLength: 12 }), (records) => {
    const topology = merged(records, 3);
    const reached = new Set([peer(1)]);
    for (const name of reached) for (const { peer: to } of topology.get(name)?.links ?? []) reached.add(to);
    const expected = stateOf(topology).map(({ name }) => name).filter((name) => reached.has(name));
    topology.collect();
    assert.deepEqual(stateOf(topology).map(({ name }) => name), expected);
  }));
});

Deno.test("Topology.stateSize is the sum over all records after any changes", () => {
  check(fc.property(fc.array(someRecord, { maxLength: 20 }), (records) => {
    const topology = merged(records, 2);
    topology.collect();
    topology.removeLink(peer(3));
    topology.merge(records.slice(0, 3));
    assert.equal(
      topology.stateSize,
      merged(stateOf(topology).slice(1), 100).stateSize - 16 - "10.0.0.3:6783".length,
    );
  }));
});
