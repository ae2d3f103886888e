/** The gossip channel `topology`: when records are sent, and to whom they are no news (source: spec mesh.md, 6, 7). */
import { bad, type Decoded, good } from "../../core/brand.ts";
import type { PeerName } from "../../core/names.ts";
import type { GossipChannel, GossipData } from "../../core/ports.ts";
import { after, type Millis } from "../../core/time.ts";
import type { PeerRecord } from "../../core/topology_record.ts";
import { decodeTopology } from "../../wire/mesh/mesh_message.ts";
import type { GossipAnswer, GossipOutcome } from "./gossip_outcome.ts";
import { KnownStates } from "./known_states.ts";
import { Digest, DIGEST_CHANNEL, type DigestPurpose } from "./topology_digest.ts";
import { MAX_PEERS, type Topology } from "../topology/topology.ts";

/** Deferred updates are sent this long after the first request, in milliseconds. */
export const UPDATE_DELAY_MS = 1_000;
/** Unreachable peers are collected this long after a merge, in milliseconds. */
export const COLLECT_DELAY_MS = 1_000;
/** When another peer publishes our record with a later version, we publish a newer one at most this often, milliseconds. */
const OVERTAKE_DELAY_MS = 2_000;
/** Beyond so many bytes of records it is later by a millisecond for every so many more. */
const COLLECT_SMALL_BYTES = 64 * 1024;
const COLLECT_BYTES_PER_MS = 300;
/** The least time between two questions for the records of placeholders, in milliseconds. */
const ASK_INTERVAL_MS = 5_000;
/** From this size of all records on, neighbours are sent only what they are not known to have. Below, peers of other
 * makes get a complete state every 30 s, as they send it. */
export const LEAN_STATE_BYTES = 6 * 1024;
/** About how many bytes of records go into one payload. */
const PAYLOAD_BYTES = 64 * 1024;
/** In a lean mesh each complete state repeats about so many bytes to one neighbour that does not understand digests,
 * even if that neighbour has them. */
const REFRESH_BYTES = 8 * 1024;

type Effects = Omit<GossipOutcome, "relays">;

const NO_EFFECTS: Effects = {
  changed: false,
  removed: [],
  refused: 0,
  invalidated: false,
  selfChanged: false,
};

/** Decodes payloads of the channel; simulations of many peers in one process share one that remembers records. */
export type TopologyDecoder = typeof decodeTopology;

/**
 * Gossip of a Topology, its deferred updates and its collections. After `engine.receive()`, `collect()` and `wake()`
 * the router takes `takeOutcome()`; it calls `wake()` at `nextWake()` and sends what that gives to random neighbours.
 *
 * When all records together are large ("lean"), a neighbour is not sent what it is known to have: records it sent us,
 * and those we sent it. It may have lost a record since, by collecting a peer that became reachable again. Then it has a
 * placeholder of that peer and sends it to its neighbours; a neighbour that knows more answers with the record.
 * Comparing digests repairs what else may go wrong; to neighbours without digests the state is repeated bit by bit.
 */
export class TopologyChannel implements GossipChannel {
  /** The channel's name on the wire. */
  readonly name = "topology";
  readonly #known = new KnownStates();
  readonly #updateNames = new Set<PeerName>();
  #updateAt = Infinity;
  #collectAt = Infinity;
  #overtakeAt = Infinity;
  #askAt = -Infinity;
  #effects: Effects = NO_EFFECTS;
  /** What the neighbour lacks whose gossip is being handled, and the digest that it asked for. */
  #lacking: PeerName[] = [];
  #digestAsked: DigestPurpose | undefined;
  /** Where the next refresh starts. */
  #refreshFrom = "" as PeerName;
  /** Names to send whatever the receiver is known to have, with the next complete state that is encoded. */
  #refresh: readonly PeerName[] = [];
  /** Neighbours that tell every change of their own record to all their neighbours. */
  readonly #tellers = new Set<PeerName>();
  readonly #digest = new Digest();
  #relays = new Set<PeerName>();

  /** The caller goes on to change our own record in `topology` as connections come and go. */
  constructor(readonly topology: Topology, readonly options: { readonly decode?: TopologyDecoder } = {}) {}

  /** Whether the mesh is so large that neighbours are spared what they know. */
  get lean(): boolean {
    return this.topology.stateSize > LEAN_STATE_BYTES;
  }

  fullState(): GossipData {
    if (this.lean) this.#refresh = this.#nextRefresh();
    return new TopologyData(this, new Set(), true);
  }

  /** Some records, as they are when they are sent. */
  records(names: Iterable<PeerName>): GossipData {
    return new TopologyData(this, new Set(names), false);
  }

  onGossip(payload: Uint8Array, now: Millis, from?: PeerName): Decoded<GossipData | undefined> {
    const merged = this.#merge(payload, now, from);
    if (!merged.ok) return merged;
    const { changed } = merged.value;
    if (this.lean) {
      for (const name of changed) this.#relays.add(name);
      return good(undefined);
    }
    return good(changed.length === 0 ? undefined : this.records(changed));
  }

  onBroadcast(_source: PeerName, payload: Uint8Array, now: Millis): Decoded<GossipData | undefined> {
    const merged = this.#merge(payload, now, undefined);
    if (!merged.ok) return merged;
    return good(merged.value.named.length === 0 ? undefined : this.records(merged.value.named));
  }

  onUnicast(): Decoded<undefined> {
    return bad("topology is not sent to one peer alone");
  }

  onPeersRemoved(peers: readonly PeerName[]): void {
    for (const peer of peers) {
      this.#known.forget(peer);
      this.#tellers.delete(peer);
    }
  }

  onNeighbour(peer: PeerName): void {
    this.#known.forget(peer);
    this.#tellers.delete(peer);
  }

  /** A new neighbour understands digests, and tells its own record to each of its neighbours as we do. */
  onTeller(peer: PeerName): void {
    this.#tellers.add(peer);
  }

  /** Neighbours that understand digests. */
  get tellers(): ReadonlySet<PeerName> {
    return this.#tellers;
  }

  /** The digest of all records as they are when it is sent. */
  digest(purpose: DigestPurpose): GossipData {
    return new DigestData(() => this.#digest.encode(this.topology.sorted(), purpose));
  }

  /** Takes a neighbour's digest. What it lacks and what it asked for are the next answers. */
  onDigest(payload: Uint8Array, from: PeerName): Decoded<undefined> {
    const compared = this.#digest.compare(payload, this.topology.sorted());
    if (!compared.ok) return compared;
    for (const name of compared.value.same) this.#known.add(from, this.topology.mark(name)!);
    for (const name of compared.value.lacking) {
      this.#known.remove(from, this.topology.mark(name)!);
      this.#lacking.push(name);
    }
    this.#digestAsked = compared.value.reply;
    return good(undefined);
  }

  /** What the neighbour that sent the last message turned out to lack, and the digest that it asked for; once. */
  takeAnswers(): readonly GossipAnswer[] {
    const answers: GossipAnswer[] = [];
    if (this.#lacking.length > 0) answers.push({ channel: this.name, data: this.records(this.#lacking) });
    if (this.#digestAsked !== undefined) {
      answers.push({ channel: DIGEST_CHANNEL, data: this.digest(this.#digestAsked) });
    }
    this.#lacking = [];
    this.#digestAsked = undefined;
    return answers;
  }

  /** Asks for our record and those of `names` to be sent soon (spec mesh.md 7.4). */
  requestUpdate(names: Iterable<PeerName>, now: Millis): void {
    for (const name of names) this.#updateNames.add(name);
    if (this.#updateAt === Infinity) this.#updateAt = after(now, UPDATE_DELAY_MS);
  }

  /** Removes unreachable peers; to be called at once when a connection of ours was removed. */
  collect(now: Millis): void {
    this.#collectAt = Infinity;
    const { removed, ...effects } = this.topology.collect();
    this.#note({ ...effects, removed, changed: removed.length > 0, refused: 0 }, now);
  }

  /** Earliest time at which `wake()` has something to do; Infinity when there is none. */
  nextWake(): number {
    return Math.min(this.#updateAt, this.#collectAt, this.#overtakeAt);
  }

  /** Does what is due; returns what to send to random neighbours. */
  wake(now: Millis): GossipData | undefined {
    const names: PeerName[] = [];
    if (now >= this.#collectAt) {
      this.collect(now);
      names.push(...this.#questions(now));
    }
    if (now >= this.#updateAt) {
      this.#updateAt = Infinity;
      names.push(this.topology.self, ...this.#updateNames);
      this.#updateNames.clear();
    }
    if (now >= this.#overtakeAt) {
      this.#overtakeAt = Infinity;
      this.topology.overtake();
      names.push(this.topology.self);
    }
    return names.length === 0 ? undefined : this.records(names);
  }

  /** What happened since the last call. */
  takeOutcome(): GossipOutcome {
    const outcome = { ...this.#effects, relays: this.#relays };
    this.#effects = NO_EFFECTS;
    if (this.#relays.size > 0) this.#relays = new Set();
    return outcome;
  }

  /** Whether the next outcome will say that routes have to be recalculated. */
  get routesStale(): boolean {
    return this.#effects.changed;
  }

  /** The payloads of some records for neighbour `to`; a record is read when its payload is made. */
  *payloads(names: Iterable<PeerName>, complete: boolean, to: PeerName | undefined): Iterable<Uint8Array> {
    // A neighbour that understands digests gets no complete states, in a small mesh too, and needs no refreshing.
    const digests = to !== undefined && this.#tellers.has(to);
    const lean = to !== undefined && (this.lean || (complete && digests));
    const refresh = complete && lean && !digests;
    const forced = new Set(refresh ? this.#refresh : []);
    if (refresh) this.#refresh = [];
    let batch: PeerName[] = [];
    let size = 0;
    for (const name of [...names].sort()) {
      const record = this.topology.get(name);
      const mark = this.topology.mark(name);
      if (record === undefined || mark === undefined) continue;
      if (lean && !forced.has(name) && (this.#known.has(to, mark) || this.#tells(record, to))) continue;
      // A placeholder is a question, so it is asked again.
      if (to !== undefined && record.uid !== 0n) this.#known.add(to, mark);
      batch.push(name);
      size += mark.size;
      if (size < PAYLOAD_BYTES) continue;
      yield this.topology.encode(batch);
      batch = [];
      size = 0;
    }
    if (batch.length > 0) yield this.topology.encode(batch);
  }

  /** Whether a peer tells `to` of itself, so that nobody else needs to. */
  #tells(record: PeerRecord, to: PeerName): boolean {
    return this.#tellers.has(record.name) && record.links.some((link) => link.peer === to);
  }

  #merge(payload: Uint8Array, now: Millis, from: PeerName | undefined) {
    const { decode = decodeTopology } = this.options;
    const decoded = decode(payload, (summary) => this.topology.isNews(summary));
    if (!decoded.ok) return decoded;
    const result = this.topology.merge(decoded.value);
    if (decode === decodeTopology) { for (const name of result.changed) this.topology.intern(name); }
    if (from !== undefined) decoded.value.forEach((record) => this.#learn(from, record));
    if (this.#collectAt === Infinity) this.#collectAt = after(now, this.#collectDelay());
    if (this.topology.outdone && this.#overtakeAt === Infinity) {
      this.#overtakeAt = after(now, OVERTAKE_DELAY_MS);
    }
    if (result.selfOutdated) this.requestUpdate([], now);
    this.#note({ ...result, changed: result.changed.length > 0, removed: [] }, now);
    return good(result);
  }

  /** Searching a large mesh takes its time, and its peers go one by one. */
  #collectDelay(): number {
    const more = Math.max(0, this.topology.stateSize - COLLECT_SMALL_BYTES) / COLLECT_BYTES_PER_MS;
    return COLLECT_DELAY_MS + Math.min(4_000, Math.floor(more));
  }

  /** Notes which of our records the sender of `record` has, now that it is merged. */
  #learn(from: PeerName, record: PeerRecord): void {
    const ours = this.topology.get(record.name);
    const mark = this.topology.mark(record.name);
    if (ours === undefined || mark === undefined) return;
    if (ours.version === record.version && ours.uid === record.uid && ours.shortId === record.shortId) {
      this.#known.add(from, mark);
      return;
    }
    this.#known.remove(from, mark);
    if (record.uid === 0n && this.lean) this.#lacking.push(record.name);
  }

  #note(news: Effects, now: Millis): void {
    const before = this.#effects;
    this.#effects = {
      changed: before.changed || news.changed,
      removed: news.removed.length === 0 ? before.removed : [...before.removed, ...news.removed],
      refused: before.refused + news.refused,
      invalidated: before.invalidated || news.invalidated,
      selfChanged: before.selfChanged || news.selfChanged,
    };
    if (news.selfChanged) this.requestUpdate([], now);
  }

  /** Placeholders to ask random neighbours about. In a small mesh the next complete state or
   * comparison brings what is missing. */
  #questions(now: Millis): PeerName[] {
    if (!this.lean || now < this.#askAt) return [];
    const names: PeerName[] = [];
    for (const record of this.topology.all()) if (record.uid === 0n) names.push(record.name);
    if (names.length > 0) this.#askAt = after(now, ASK_INTERVAL_MS);
    return names;
  }

  /** The next names in order that make up about REFRESH_BYTES, round and round. */
  #nextRefresh(): PeerName[] {
    const { names } = this.topology.allGraph();
    const start = names.findIndex((name) => name >= this.#refreshFrom);
    const chosen: PeerName[] = [];
    for (let i = 0, size = 0; i < names.length && size < REFRESH_BYTES; i++) {
      const name = names[(Math.max(start, 0) + i) % names.length]!;
      chosen.push(name);
      size += this.topology.mark(name)!.size;
      this.#refreshFrom = `${name}!` as PeerName; // sorts right after it
    }
    return chosen;
  }
}

/** Records waiting to be sent: a set of names, or all. Merging is their union. */
class TopologyData implements GossipData {
  constructor(
    readonly channel: TopologyChannel,
    readonly names: ReadonlySet<PeerName>,
    readonly complete: boolean,
  ) {}

  merge(other: GossipData): GossipData {
    if (!(other instanceof TopologyData)) return this;
    const complete = this.complete || other.complete;
    const names = complete ? new Set<PeerName>() : this.names.union(other.names);
    // Names of peers that have gone may pile up for a connection that takes nothing.
    return new TopologyData(this.channel, names, complete || names.size > MAX_PEERS);
  }

  encode(to?: PeerName): Iterable<Uint8Array> {
    const names = this.complete ? [...this.channel.topology.all()].map((record) => record.name) : this.names;
    return this.channel.payloads(names, this.complete, to);
  }
}

/** A digest waiting to be sent: a later one replaces it. */
class DigestData implements GossipData {
  constructor(readonly make: () => Uint8Array) {}

  merge(other: GossipData): GossipData {
    return other;
  }

  *encode(): Iterable<Uint8Array> {
    yield this.make();
  }
}
