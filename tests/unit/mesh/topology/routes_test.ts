import assert from "node:assert/strict";
import { type PeerName, UNKNOWN_PEER } from "../../../../mod/core/names.ts";
import {
  broadcastHops,
  type Graph,
  graphOfView,
  IndexedGraph,
  RouteTable,
  unicastRoutes,
} from "../../../../mod/mesh/topology/routes.ts";
import { check, fc, seededRandom } from "../../properties.ts";
import { loadVectors } from "../../vectors.ts";
import { peer, topologyOf } from "./topology_samples.ts";
import { type PeerJson, recordOf } from "../../wire/mesh/topology_json.ts";

type Unicast = Readonly<Record<PeerName, PeerName>>;
type Broadcast = Readonly<Record<PeerName, readonly PeerName[]>>;
interface RouteVector {
  readonly description: string;
  readonly self: PeerName;
  readonly topology: readonly PeerJson[];
  readonly unicast: Unicast;
  readonly unicast_all: Unicast;
  readonly broadcast: Broadcast;
  readonly broadcast_all: Broadcast;
}

const random = seededRandom();

function assertTables(table: RouteTable, unicast: Unicast, broadcast: Broadcast): void {
  const reached = table.graph.names.filter((name) => table.reaches(name));
  assert.deepEqual(reached, Object.keys(unicast).sort());
  assert.equal(table.reachable, reached.length);
  for (const [destination, via] of Object.entries(unicast) as [PeerName, PeerName][]) {
    assert.equal(table.nextHop(destination) ?? UNKNOWN_PEER, via, `to ${destination}`);
  }
  for (const [source, hops] of Object.entries(broadcast) as [PeerName, PeerName[]][]) {
    assert.deepEqual(table.broadcast(source), [...hops].sort(), `from ${source}`);
  }
}

for (const vector of loadVectors<{ vectors: RouteVector[] }>("mesh-routes").vectors) {
  Deno.test(`RouteTable follows the vector: ${vector.description}`, () => {
    const records = vector.topology.map(recordOf);
    const self = records.find(({ name }) => name === vector.self)!;
    const topology = topologyOf(self, records.filter((each) => each !== self), random);
    assertTables(new RouteTable(topology.allGraph(), vector.self), vector.unicast_all, vector.broadcast_all);
    assertTables(new RouteTable(topology.establishedGraph(), vector.self), vector.unicast, vector.broadcast);
    const ofView = new RouteTable(graphOfView(topology.view()), vector.self);
    assertTables(ofView, vector.unicast, vector.broadcast);
  });
}

/** A graph from directed pairs; without `size`, as many peers as needed. */
function graphOf(pairs: readonly (readonly [number, number])[], size: number): Graph {
  const rows = Array.from({ length: size }, () => new Set<number>());
  for (const [from, to] of pairs) if (from !== to) rows[from]!.add(to);
  const names = rows.map((_, index) => peer(index + 1));
  return new IndexedGraph(names, rows.map((row) => [...row].sort((a, b) => a - b)));
}

/** The specification's words, level by level, with sets and no care for speed. */
function obviousSearch(graph: Graph, start: number, goal: number | undefined) {
  const via = new Map([[start, start]]);
  for (let level = [start]; level.length > 0;) {
    const next: number[] = [];
    for (const at of level.sort((a, b) => a - b)) {
      if (at === goal) return { via, successful: true };
      for (const to of graph.neighbours[at]!) {
        if (via.has(to)) continue;
        via.set(to, at === start ? to : via.get(at)!);
        next.push(to);
      }
    }
    level = next;
  }
  return { via, successful: false };
}

const SIZE = 9;
const node = fc.integer({ min: 0, max: SIZE - 1 });
const pairs = fc.array(fc.tuple(node, node), { maxLength: 40 });

Deno.test("unicastRoutes() and broadcastHops() agree with an obvious search on any directed graph", () => {
  check(
    fc.property(pairs, node, node, (edges, self, source) => {
      const graph = graphOf(edges, SIZE);
      const { via } = obviousSearch(graph, self, undefined);
      const expected = graph.names.map((_, index) => via.get(index) ?? -1);
      assert.deepEqual([...unicastRoutes(graph, self)], expected);
      const found = obviousSearch(graph, source, self);
      const hops = source === self
        ? graph.neighbours[self]!
        : found.successful
        ? graph.neighbours[self]!.filter((each) => !found.via.has(each))
        : [];
      assert.deepEqual(broadcastHops(graph, self, source), hops);
    }),
    { runs: 500 },
  );
});

Deno.test("broadcastHops() makes a broadcast reach each peer exactly once on connected graphs", () => {
  const tree = fc.tuple(...Array.from({ length: SIZE - 1 }, (_, i) => fc.integer({ min: 0, max: i })));
  check(
    fc.property(tree, pairs, node, (parents, more, source) => {
      const links = [...parents.map((parent, i) => [parent, i + 1] as const), ...more];
      const graph = graphOf(links.flatMap(([a, b]) => [[a, b], [b, a]] as const), SIZE);
      const received = new Array<number>(SIZE).fill(0);
      const moving = [source];
      for (let at = moving.shift(); at !== undefined; at = moving.shift()) {
        assert.equal(++received[at]!, 1, `peer ${at} got it twice`);
        moving.push(...broadcastHops(graph, at, source));
      }
      assert.deepEqual(received, new Array(SIZE).fill(1));
    }),
    { runs: 300 },
  );
});

Deno.test("unicastRoutes() lead to every reachable peer without a loop", () => {
  check(fc.property(pairs, node, node, (edges, from, to) => {
    const graph = graphOf(edges.flatMap(([a, b]) => [[a, b], [b, a]] as const), SIZE);
    const reachable = unicastRoutes(graph, from)[to] !== -1;
    let at = from;
    for (let hops = 0; reachable && at !== to; hops++) {
      assert.ok(hops < SIZE, "loop");
      at = unicastRoutes(graph, at)[to]!;
    }
    assert.equal(at, reachable ? to : from);
  }));
});

Deno.test("RouteTable knows nothing of peers outside its graph", () => {
  const table = new RouteTable(graphOf([[0, 1], [1, 0]], 2), peer(1));
  assert.equal(table.nextHop(peer(9)), undefined);
  assert.equal(table.nextHop(peer(1)), undefined);
  assert.equal(table.reaches(peer(1)), true);
  assert.equal(table.reaches(peer(9)), false);
  assert.deepEqual(table.broadcast(peer(9)), []);
  const stranger = new RouteTable(graphOf([[0, 1]], 2), peer(9));
  assert.equal(stranger.self, -1);
  assert.equal(stranger.reachable, 0);
  assert.equal(stranger.nextHop(peer(1)), undefined);
  assert.deepEqual(stranger.broadcast(peer(1)), []);
});
