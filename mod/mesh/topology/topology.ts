/** Who is in the mesh and who is linked to whom (source: spec mesh.md, sections 5.2, 6). */
import type { PeerName, PeerUid, ShortId } from "../../core/names.ts";
import type { TopologyView } from "../../core/overlay_port.ts";
import type { Random } from "../../core/ports.ts";
import type { LinkRecord, PeerRecord, PeerSummary } from "../../core/topology_record.ts";
import { TopologyEncoder } from "../../wire/mesh/mesh_message.ts";
import { type Graph, unicastRoutes } from "./routes.ts";
import { ShortIds } from "./short_ids.ts";
import { GraphBuilder, type GraphNode } from "./topology_graph.ts";
import type { CollectResult, MergeResult, TopologyEffects } from "./topology_results.ts";

/** Most peers that gossip can make us know: what exceeds it is refused, so that nobody can fill our memory. */
export const MAX_PEERS = 8192;
/** Most bytes, as counted by `stateSize`, that gossip can make us know. */
export const MAX_STATE_BYTES = 32 * 1024 * 1024;

/** A peer as its features or our own configuration describe it. */
export interface PeerIdentity {
  /** What stays when everything else changes. */
  readonly name: PeerName;
  /** For people. */
  readonly nickname: string;
  /** Incarnation of the process. */
  readonly uid: PeerUid;
  /** The short id it claims. */
  readonly shortId: ShortId | undefined;
}

/** No version is above it. */
const LAST_VERSION = 2n ** 64n - 1n;

interface Entry extends GraphNode {
  record: PeerRecord;
  /** Live connection objects that refer to the peer. */
  retained: number;
  /** Small number for tables by peer; used again after the peer is gone. */
  readonly slot: number;
  /** Grows whenever any record changes: equal stamps mean equal records, even across peers with the same slot. */
  stamp: number;
  /** The address at which it was last seen dialled: nearly every record repeats it. */
  dialled: string | undefined;
  /** See recordSize(). */
  size: number;
}

/**
 * All records, ours included. Merging is commutative, associative and idempotent as long as equal (version, uid) of
 * one peer mean equal records; nothing here depends on time, so when to collect is the caller's business.
 */
export class Topology {
  /** Our name. */
  readonly self: PeerName;
  readonly #random: Random;
  readonly #entries = new Map<PeerName, Entry>();
  readonly #links = new Map<PeerName, LinkRecord>();
  readonly #shortIds = new ShortIds();
  readonly #graphs = new GraphBuilder();
  readonly #encoder = new TopologyEncoder();
  readonly #freeSlots: number[] = [];
  #all: Graph | undefined;
  #established: Graph | undefined;
  #view: TopologyView | undefined;
  /** All names, ascending, until a peer comes or goes. */
  #names: PeerName[] | undefined;
  #forged = 0n;
  #stamp = 0;
  #stateSize = 0;
  #noShortIdFree = false;

  /** Knows ourselves only. `version` is 0 unless an earlier one is continued. */
  constructor(self: PeerIdentity & { readonly version?: bigint }, random: Random) {
    this.self = self.name;
    this.#random = random;
    this.#add({ ...self, version: self.version ?? 0n, links: [] });
  }

  /** Number of known peers, ourselves and placeholders included. */
  get size(): number {
    return this.#entries.size;
  }
  /** About how many bytes all records take when encoded. */
  get stateSize(): number {
    return this.#stateSize;
  }
  /** A peer's record. */
  get(name: PeerName): PeerRecord | undefined {
    return this.#entries.get(name)?.record;
  }
  /** Our own record. */
  get own(): PeerRecord {
    return this.#me.record;
  }
  /** All records, in no particular order. */
  *all(): Iterable<PeerRecord> {
    for (const entry of this.#entries.values()) yield entry.record;
  }
  /** All records, ascending by name. */
  sorted(): PeerRecord[] {
    this.#names ??= [...this.#entries.keys()].sort();
    return this.#names.map((name) => this.#entries.get(name)!.record);
  }
  /** A small number for tables by peer, a number that grows whenever the peer's record changes, and its recordSize(). */
  mark(name: PeerName): { readonly slot: number; readonly stamp: number; readonly size: number } | undefined {
    return this.#entries.get(name);
  }
  /** The owner of a short id. */
  ownerOf(id: ShortId): PeerName | undefined {
    return this.#shortIds.ownerOf(id);
  }
  /** The short id that a peer owns; undefined when it has none or a lower-named peer owns it. */
  shortIdOf(name: PeerName): ShortId | undefined {
    const id = this.get(name)?.shortId;
    return id !== undefined && this.#shortIds.ownerOf(id) === name ? id : undefined;
  }

  /**
   * Makes sure that the remote of a new connection is known; a known record is left alone. `restarted`: it was known
   * with another UID, be it as a placeholder.
   */
  ensure(peer: PeerIdentity): TopologyEffects & { readonly restarted: boolean } {
    const known = this.get(peer.name);
    if (known !== undefined) {
      return { restarted: known.uid !== peer.uid, invalidated: false, selfChanged: false };
    }
    const { name, nickname, uid, shortId } = peer;
    const invalidated = this.#add({ name, nickname, uid, shortId, version: 0n, links: [] });
    return { restarted: false, ...this.#defendShortId(invalidated) };
  }

  /** A live connection object refers to the peer: it is not collected until it is released as often. */
  retain(name: PeerName): void {
    const entry = this.#entries.get(name);
    if (entry !== undefined) entry.retained++;
  }

  /** Undoes one `retain()`. */
  release(name: PeerName): void {
    const entry = this.#entries.get(name);
    if (entry !== undefined && entry.retained > 0) entry.retained--;
  }

  /** Adds or replaces a connection of ours; raises our version. */
  setLink(link: LinkRecord): void {
    this.#reference(link.peer);
    this.#links.set(link.peer, link);
    this.#changeSelf({});
  }

  /** Removes a connection of ours, if there; raises our version then. */
  removeLink(peer: PeerName): void {
    if (this.#links.delete(peer)) this.#changeSelf({});
  }

  /** Marks a connection of ours as established, if it is not; raises our version then. */
  setEstablished(peer: PeerName): void {
    const link = this.#links.get(peer);
    if (link === undefined || link.established) return;
    this.#links.set(peer, { ...link, established: true });
    this.#changeSelf({});
  }

  /** Whether merging a record with this summary could change anything. */
  isNews(summary: PeerSummary): boolean {
    const known = this.get(summary.name);
    if (known === undefined) return true;
    if (summary.name === this.self) return summary.uid !== known.uid && summary.version >= known.version;
    if (summary.version !== known.version) return summary.version > known.version;
    if (summary.uid !== known.uid) return summary.uid > known.uid;
    return summary.shortId !== undefined && known.shortId === undefined;
  }

  /** Merges one payload (spec mesh.md 6.3). Costs what is new in it, not what is known. */
  merge(records: readonly PeerRecord[]): MergeResult {
    const changed = new Set<PeerName>();
    let invalidated = false;
    let selfOutdated = false;
    let refused = 0;
    for (const record of records) {
      const forged = record.name === this.self && record.uid === this.own.uid &&
        record.version < LAST_VERSION;
      if (forged && record.version > this.#forged) this.#forged = record.version;
      if (!this.isNews(record)) continue;
      if (record.name === this.self) {
        this.#changeSelf({ version: record.version });
        selfOutdated = true;
        continue;
      }
      if (!this.#hasRoomFor(record)) {
        refused++;
        continue;
      }
      if (this.#take(record)) invalidated = true;
      changed.add(this.get(record.name)!.name);
    }
    // Only now: a peer that one record refers to may have its own record later in the payload.
    for (const record of records) {
      for (const link of record.links) if (!this.#reference(link.peer, MAX_PEERS)) refused++;
    }
    const named = [...new Set(records.map((record) => record.name))];
    return { named, changed: [...changed], selfOutdated, refused, ...this.#defendShortId(invalidated) };
  }

  /** Removes peers that cannot be reached from us over published connections, unless retained (spec mesh.md 6.4). */
  collect(): CollectResult {
    const graph = this.allGraph();
    const via = unicastRoutes(graph, graph.indexOf(this.self));
    const removed: PeerRecord[] = [];
    let invalidated = false;
    graph.names.forEach((name, index) => {
      const entry = this.#entries.get(name)!;
      if (via[index] !== -1 || entry.retained > 0) return;
      if (this.#remove(entry)) invalidated = true;
      removed.push(entry.record);
    });
    if (removed.length > 0) this.#noShortIdFree = false;
    return { removed, ...this.#defendShortId(invalidated) };
  }

  /** The payload of those of `names` that are still known, as their records are now. */
  encode(names: Iterable<PeerName>): Uint8Array {
    const records: PeerRecord[] = [];
    for (const name of new Set(names)) {
      const record = this.get(name);
      if (record !== undefined) records.push(record);
    }
    return this.#encoder.encode(records.sort((a, b) => a.name < b.name ? -1 : 1));
  }

  /** All connections as published; the same object until something changes. */
  allGraph(): Graph {
    return this.#all ??= this.#graphs.all(this.#entries);
  }

  /** Connections that both ends publish as established; the same object until something changes. */
  establishedGraph(): Graph {
    return this.#established ??= this.#graphs.established(this.#entries);
  }

  /** What the data plane has to know; the same object until something changes. */
  view(): TopologyView {
    return this.#view ??= this.#makeView();
  }

  #makeView(): TopologyView {
    const graph = this.establishedGraph();
    const edges = new Uint32Array(2 * graph.neighbours.reduce((sum, row) => sum + row.length, 0));
    let at = 0;
    graph.neighbours.forEach((row, from) => {
      for (const to of row) {
        edges[at++] = from;
        edges[at++] = to;
      }
    });
    const shortIds = Int16Array.from(graph.names, (name) => this.shortIdOf(name) ?? -1);
    return { names: graph.names, self: graph.indexOf(this.self), shortIds, edges };
  }

  get #me(): Entry {
    return this.#entries.get(this.self)!;
  }

  /** Adds a record; true when cached short ids have to go. */
  #add(record: PeerRecord): boolean {
    const slot = this.#freeSlots.pop() ?? this.#entries.size;
    const entry: Entry = {
      record,
      retained: 0,
      slot,
      stamp: 0,
      dialled: undefined,
      row: undefined,
      size: recordSize(record),
    };
    this.#entries.set(record.name, entry);
    this.#names = undefined;
    this.#stateSize += entry.size;
    this.#touch(entry);
    return record.shortId !== undefined && this.#shortIds.claim(record.shortId, record.name);
  }

  /** Removes an entry; true when cached short ids have to go. */
  #remove(entry: Entry): boolean {
    const { name, shortId } = entry.record;
    this.#entries.delete(name);
    this.#names = undefined;
    this.#freeSlots.push(entry.slot);
    this.#stateSize -= entry.size;
    this.#touch(entry);
    return shortId !== undefined && this.#shortIds.release(shortId, name);
  }

  /** Replaces an entry's record; true when cached short ids have to go. */
  #replace(entry: Entry, record: PeerRecord): boolean {
    const { name, shortId } = entry.record;
    const size = recordSize(record);
    this.#stateSize += size - entry.size;
    entry.size = size;
    entry.record = record;
    this.#touch(entry);
    if (shortId === record.shortId) return false;
    const released = shortId !== undefined && this.#shortIds.release(shortId, name);
    const claimed = record.shortId !== undefined && this.#shortIds.claim(record.shortId, name);
    return released || claimed;
  }

  #touch(entry: Entry): void {
    entry.stamp = ++this.#stamp;
    this.#all = undefined;
    this.#established = undefined;
    this.#view = undefined;
  }

  #hasRoomFor(record: PeerRecord): boolean {
    const before = this.#entries.get(record.name);
    if (before === undefined && this.size >= MAX_PEERS) return false;
    const grows = recordSize(record) - (before?.size ?? 0);
    return grows <= 0 || this.#stateSize + grows <= MAX_STATE_BYTES;
  }

  #take(record: PeerRecord): boolean {
    const entry = this.#entries.get(record.name);
    return entry === undefined ? this.#add(record) : this.#replace(entry, record);
  }

  /** Makes sure that a peer referred to is known, at least as a placeholder; false when there is no room. */
  #reference(name: PeerName, limit = Infinity): boolean {
    if (this.#entries.has(name)) return true;
    if (this.size >= limit) return false;
    this.#add({ name, nickname: "", uid: 0n as PeerUid, version: 0n, shortId: undefined, links: [] });
    return true;
  }

  /** Shares the strings of a record that was just taken with those we hold already: a full mesh repeats them. */
  intern(name: PeerName): void {
    const entry = this.#entries.get(name);
    if (entry === undefined) return;
    const links = entry.record.links.map((link): LinkRecord => {
      const target = this.#entries.get(link.peer);
      if (target === undefined) return link;
      const address = link.outbound && target.dialled === link.address ? target.dialled : link.address;
      if (link.outbound) target.dialled = address;
      return { peer: target.record.name, address, outbound: link.outbound, established: link.established };
    });
    entry.record = { ...entry.record, links };
  }

  /** Whether somebody published a later version of our own record: then nobody takes news of us until `overtake()`. */
  get outdone(): boolean {
    return this.#forged > this.own.version;
  }

  /** Raises our version above the one that outdoes it. */
  overtake(): void {
    if (this.outdone) this.#changeSelf({ version: this.#forged });
  }

  /** Raises our version above `version` or, without it, by one. */
  #changeSelf(change: { version?: bigint; shortId?: ShortId }): boolean {
    const { record } = this.#me;
    const version = BigInt.asUintN(64, (change.version ?? record.version) + 1n);
    const shortId = change.shortId ?? record.shortId;
    return this.#replace(this.#me, { ...record, version, shortId, links: [...this.#links.values()] });
  }

  /** Takes another short id if a lower-named peer has taken ours (spec mesh.md 6.5). */
  #defendShortId(invalidated: boolean): TopologyEffects {
    const id = this.#me.record.shortId;
    const ours = id === undefined || this.#shortIds.ownerOf(id) === this.self;
    if (ours || this.#noShortIdFree) return { invalidated, selfChanged: false };
    const shortId = this.#shortIds.pick(this.#random);
    if (shortId === undefined) {
      this.#noShortIdFree = true;
      return { invalidated, selfChanged: false };
    }
    return { invalidated: this.#changeSelf({ shortId }) || invalidated, selfChanged: true };
  }
}

/** About how many bytes a record takes when encoded. */
export function recordSize(record: PeerRecord): number {
  return record.links.reduce((sum, link) => sum + 16 + link.address.length, 64 + record.nickname.length);
}
