/** Index graphs of published records, rebuilt only where something changed. */
import type { PeerName } from "../../core/names.ts";
import type { PeerRecord } from "../../core/topology_record.ts";
import { type Graph, IndexedGraph } from "./routes.ts";

/** What has to be known of a peer here; `row` belongs to this file. */
export interface GraphNode {
  /** The peer's current record; another object whenever it changed. */
  readonly record: PeerRecord;
  /** What was made of the record last; undefined at first. */
  row: GraphRow | undefined;
}

/** A record's links as indexes, ascending. */
export interface GraphRow {
  /** The record it was made of. */
  readonly record: PeerRecord;
  /** The names that the indexes are of. */
  readonly names: readonly PeerName[];
  /** Every peer that it lists. */
  readonly all: readonly number[];
  /** Those that it lists as established. */
  readonly established: readonly number[];
}

const LISTED = 1;
const ESTABLISHED = 2;

/** Builds both graphs; keeps the rows of records that did not change while the set of peers stays the same. */
export class GraphBuilder {
  #names: readonly PeerName[] = [];
  #indexes = new Map<PeerName, number>();

  /** All connections as published (spec mesh.md 8.1 b). */
  all(nodes: ReadonlyMap<PeerName, GraphNode>): Graph {
    const rows = this.#rows(nodes);
    return new IndexedGraph(this.#names, rows.map((row) => row.all));
  }

  /** Connections that both ends publish as established (spec mesh.md 8.1 a). */
  established(nodes: ReadonlyMap<PeerName, GraphNode>): Graph {
    const rows = this.#rows(nodes);
    const inbound: number[][] = rows.map(() => []);
    // Peers are visited in ascending order, so each list of inbound links ascends as well.
    rows.forEach((row, from) => row.established.forEach((to) => inbound[to]!.push(from)));
    return new IndexedGraph(this.#names, rows.map((row, index) => common(row.established, inbound[index]!)));
  }

  #rows(nodes: ReadonlyMap<PeerName, GraphNode>): GraphRow[] {
    if (!this.#isCurrent(nodes)) {
      this.#names = [...nodes.keys()].sort();
      this.#indexes = new Map(this.#names.map((name, index) => [name, index]));
    }
    return this.#names.map((name) => this.#row(nodes.get(name)!));
  }

  #isCurrent(nodes: ReadonlyMap<PeerName, GraphNode>): boolean {
    return nodes.size === this.#names.length && this.#names.every((name) => nodes.has(name));
  }

  #row(node: GraphNode): GraphRow {
    const { record, row } = node;
    if (row?.record === record && row.names === this.#names) return row;
    // Marks instead of sorting: in a full mesh this is done for hundreds of links at a time.
    const marks = new Uint8Array(this.#names.length);
    for (const link of record.links) {
      const index = this.#indexes.get(link.peer);
      if (index === undefined || link.peer === record.name) continue;
      marks[index]! |= link.established ? LISTED | ESTABLISHED : LISTED;
    }
    const all: number[] = [];
    const established: number[] = [];
    for (let index = 0; index < marks.length; index++) {
      if (marks[index] === 0) continue;
      all.push(index);
      if ((marks[index]! & ESTABLISHED) !== 0) established.push(index);
    }
    const fresh = { record, names: this.#names, all, established };
    node.row = fresh;
    return fresh;
  }
}

/** What two ascending lists have in common. */
function common(a: readonly number[], b: readonly number[]): number[] {
  const both: number[] = [];
  for (let i = 0, j = 0; i < a.length && j < b.length;) {
    const difference = a[i]! - b[j]!;
    if (difference === 0) both.push(a[i]!);
    if (difference <= 0) i++;
    if (difference >= 0) j++;
  }
  return both;
}
