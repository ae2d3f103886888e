/** Which neighbours gossip goes to (source: spec mesh.md, section 7.5). */
import type { PeerName } from "../../core/names.ts";
import type { Random } from "../../core/ports.ts";
import type { RouteTable } from "../topology/routes.ts";

/**
 * Distinct neighbours drawn by chance, in the order drawn: at most 2 log2 of the number of reachable peers, and
 * rather those through which many peers are reached. With few neighbours it is all of them. Never `except`.
 */
export function randomNeighbours(routes: RouteTable, random: Random, except?: PeerName): PeerName[] {
  const { graph, unicast, self } = routes;
  const weights = new Map<number, number>();
  const excluded = except === undefined ? -1 : graph.indexOf(except);
  for (const via of unicast) {
    if (via !== -1 && via !== self && via !== excluded) weights.set(via, (weights.get(via) ?? 0) + 1);
  }
  const wanted = neighbourCount(routes.reachable, weights.size);
  const chosen: PeerName[] = [];
  let total = weights.values().reduce((sum, weight) => sum + weight, 0);
  while (chosen.length < wanted) {
    let left = random.below(total);
    for (const [index, weight] of weights) {
      left -= weight;
      if (left >= 0) continue;
      chosen.push(graph.names[index]!);
      weights.delete(index);
      total -= weight;
      break;
    }
  }
  return chosen;
}

/** How many of `candidates` neighbours to draw when `known` peers, ourselves included, can be reached. */
export function neighbourCount(known: number, candidates: number): number {
  return known < 1 ? 0 : Math.floor(Math.min(2 * Math.log2(known), candidates));
}
