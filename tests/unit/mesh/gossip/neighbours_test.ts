import assert from "node:assert/strict";
import { neighbourCount, randomNeighbours } from "../../../../mod/mesh/gossip/neighbours.ts";
import { IndexedGraph, RouteTable } from "../../../../mod/mesh/topology/routes.ts";
import { seededRandom, withSeed } from "../../properties.ts";
import { loadVectors } from "../../vectors.ts";
import { peer } from "../topology/topology_samples.ts";

interface NeighbourVector {
  readonly candidate_neighbours: number;
  readonly known_peers_including_self: number;
  readonly chosen: number;
}

/** Routes at peer 1 with `leaves[i]` peers behind neighbour i. */
function star(leaves: readonly number[]): RouteTable {
  const rows: number[][] = [leaves.map((_, i) => i + 1), ...leaves.map(() => [0])];
  leaves.forEach((count, i) => {
    for (let j = 0; j < count; j++) rows[i + 1]!.push(rows.push([i + 1]) - 1);
  });
  return new RouteTable(new IndexedGraph(rows.map((_, i) => peer(i + 1)), rows), peer(1));
}

Deno.test("neighbourCount() follows the vectors", () => {
  for (const vector of loadVectors<{ vectors: NeighbourVector[] }>("mesh-neighbours").vectors) {
    const { known_peers_including_self: known, candidate_neighbours: candidates, chosen } = vector;
    assert.equal(neighbourCount(known, candidates), chosen, JSON.stringify(vector));
  }
});

Deno.test("randomNeighbours() follows the vectors on routes of that size", () => {
  const random = seededRandom();
  for (const vector of loadVectors<{ vectors: NeighbourVector[] }>("mesh-neighbours").vectors) {
    const { known_peers_including_self: known, candidate_neighbours: candidates, chosen } = vector;
    if (known <= candidates) continue;
    const routes = star([known - 1 - candidates, ...Array<number>(candidates - 1).fill(0)]);
    assert.equal(routes.reachable, known);
    assert.equal(randomNeighbours(routes, random).length, chosen, JSON.stringify(vector));
  }
});

Deno.test("randomNeighbours() draws distinct neighbours and never the excluded one", () => {
  const random = seededRandom();
  const routes = star(Array<number>(40).fill(1));
  withSeed(() => {
    for (let i = 0; i < 100; i++) {
      const chosen = randomNeighbours(routes, random, peer(7));
      assert.equal(chosen.length, 12, "floor(2 log2 81)");
      assert.equal(new Set(chosen).size, 12);
      assert.ok(!chosen.includes(peer(7)));
      for (const name of chosen) assert.ok(name > peer(1) && name <= peer(41));
    }
  });
});

Deno.test("randomNeighbours() takes all of a few, and none where there are none", () => {
  const random = seededRandom();
  assert.deepEqual(randomNeighbours(star([0, 0, 0]), random).sort(), [2, 3, 4].map(peer));
  assert.deepEqual(randomNeighbours(star([0, 0]), random, peer(2)), [peer(3)]);
  assert.deepEqual(randomNeighbours(star([]), random), []);
  assert.deepEqual(
    randomNeighbours(star([0]), random, peer(99)),
    [peer(2)],
    "an unknown peer excludes nobody",
  );
});

Deno.test("randomNeighbours() prefers neighbours through which many are reached", () => {
  const random = seededRandom();
  // 15 neighbours of weight 1, one of weight 85; 13 of 16 are drawn, and the first draw takes the heavy one mostly.
  const routes = star([84, ...Array<number>(15).fill(0)]);
  let first = 0;
  for (let i = 0; i < 400; i++) if (randomNeighbours(routes, random)[0] === peer(2)) first++;
  withSeed(() => assert.ok(first > 400 * 0.78 && first < 400 * 0.92, `drawn first ${first} times of 400`));
});
