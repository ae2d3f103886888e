/**
 * Next hops and broadcast trees, the same on every peer with the same topology (source: spec mesh.md, section 8).
 * Peers are indexes into names that ascend, so that the order of indexes is the order of names.
 */
import type { PeerName } from "../../core/names.ts";
import type { TopologyView } from "../../core/overlay_port.ts";

/** The connections that each peer lists. */
export interface Graph {
  /** Ascending. */
  readonly names: readonly PeerName[];
  /** For each peer those it lists, ascending, without itself. */
  readonly neighbours: readonly (readonly number[])[];
  /** The index of a peer, or -1. */
  indexOf(name: PeerName): number;
}

/** A graph of names that ascend; see Graph for what `neighbours` must be. */
export class IndexedGraph implements Graph {
  #indexes: Map<PeerName, number> | undefined;

  /** Both must not change any more. */
  constructor(readonly names: readonly PeerName[], readonly neighbours: readonly (readonly number[])[]) {}

  indexOf(name: PeerName): number {
    this.#indexes ??= new Map(this.names.map((each, index) => [each, index]));
    return this.#indexes.get(name) ?? -1;
  }
}

/** The graph of what the data plane is told. */
export function graphOfView(view: TopologyView): Graph {
  const neighbours: number[][] = view.names.map(() => []);
  for (let i = 0; i + 1 < view.edges.length; i += 2) neighbours[view.edges[i]!]?.push(view.edges[i + 1]!);
  return new IndexedGraph(view.names, neighbours);
}

/** Next hop towards each peer: its index, `self` itself for ourselves, -1 where there is no way. */
export function unicastRoutes(graph: Graph, self: number): Int32Array {
  const via = new Int32Array(graph.names.length).fill(-1);
  if (self < 0) return via;
  search(graph, self, -1, via);
  return via;
}

/**
 * Our neighbours to which a broadcast that originated at `source` has to be passed on; none when it could not have
 * reached us, all for ourselves as source. It does not matter from whom the broadcast came to us.
 */
export function broadcastHops(graph: Graph, self: number, source: number): readonly number[] {
  if (self < 0 || source < 0) return [];
  const ours = graph.neighbours[self]!;
  if (source === self) return ours;
  // In a dense mesh the first few peers reach all our neighbours: nobody is left to pass anything on to.
  const watched = new Uint8Array(graph.names.length);
  for (const peer of ours) watched[peer] = 1;
  const watch = { peers: watched, left: ours.length };
  const via = new Int32Array(graph.names.length).fill(-1);
  return search(graph, source, self, via, watch) ? ours.filter((peer) => via[peer] === -1) : [];
}

/** Peers whose being reached is counted down. */
interface Watch {
  readonly peers: Uint8Array;
  left: number;
}

/**
 * Breadth-first search from `start`, level by level, each level in ascending order; fills in the first hop by which
 * each peer is reached (`start` itself for `start`). Stops before visiting `goal`, and then returns true; gives up when
 * all watched peers have been reached.
 */
function search(graph: Graph, start: number, goal: number, via: Int32Array, watch?: Watch): boolean {
  // One array holds all levels one after another: peers are appended once, when they are reached.
  const order = new Int32Array(graph.names.length);
  let reached = 1;
  order[0] = start;
  via[start] = start;
  if (watch !== undefined && watch.peers[start] === 1 && --watch.left === 0) return false;
  for (let level = 0; level < reached;) {
    const end = reached;
    order.subarray(level, end).sort();
    for (; level < end; level++) {
      const peer = order[level]!;
      if (peer === goal) return true;
      for (const next of graph.neighbours[peer]!) {
        if (via[next] !== -1) continue;
        via[next] = peer === start ? next : via[peer]!;
        order[reached++] = next;
        if (watch !== undefined && watch.peers[next] === 1 && --watch.left === 0) return false;
      }
    }
  }
  return false;
}

/** The tables of one peer over one graph; both must not change any more. Broadcasts are computed on demand and kept. */
export class RouteTable {
  /** Next hops by index, see unicastRoutes(). */
  readonly unicast: Int32Array;
  /** Index of ourselves, -1 when the graph does not have us. */
  readonly self: number;
  /** Number of peers that can be reached, ourselves included. */
  readonly reachable: number;
  readonly #broadcasts = new Map<PeerName, readonly PeerName[]>();

  /** Searches from `self`, which the graph need not have. */
  constructor(readonly graph: Graph, self: PeerName) {
    this.self = graph.indexOf(self);
    this.unicast = unicastRoutes(graph, this.self);
    this.reachable = this.unicast.reduce((count, via) => via === -1 ? count : count + 1, 0);
  }

  /** Whether a peer can be reached; true for ourselves. */
  reaches(destination: PeerName): boolean {
    return (this.unicast[this.graph.indexOf(destination)] ?? -1) !== -1;
  }

  /** The neighbour through which to reach a peer; undefined for ourselves and where there is no way. */
  nextHop(destination: PeerName): PeerName | undefined {
    const index = this.graph.indexOf(destination);
    return index === this.self ? undefined : this.graph.names[this.unicast[index] ?? -1];
  }

  /** The neighbours to pass a broadcast of `source` on to. */
  broadcast(source: PeerName): readonly PeerName[] {
    const known = this.#broadcasts.get(source);
    if (known !== undefined) return known;
    const index = this.graph.indexOf(source);
    if (index === -1) return []; // not kept: sources are the remote's to name
    const hops = broadcastHops(this.graph, this.self, index).map((hop) => this.graph.names[hop]!);
    this.#broadcasts.set(source, hops);
    return hops;
  }
}
