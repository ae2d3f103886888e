/** The gossip channel of names: bytes to events and back, and how neighbours of our make compare what they have. */
import { bad, type Decoded, good } from "../../core/brand.ts";
import { type PeerName, UNKNOWN_PEER } from "../../core/names.ts";
import type { GossipChannel, GossipData, Parting } from "../../core/ports.ts";
import type { Millis } from "../../core/time.ts";
import {
  decodeDnsGossip,
  type DnsDigest,
  type DnsEntry,
  type DnsGossip,
  encodeDnsGossip,
  entryIdentity,
} from "../../wire/dns/dns_gossip.ts";
import type { Directory } from "./directory.ts";
import type { DirectoryEffect, DirectoryEvent } from "./directory_types.ts";

/** What the channel is called on the wire. */
export const DNS_CHANNEL = "nameserver";
/** Announced by peers that compare what they have. */
export const NAMES_EXTENSION = "names";
/** Entries of one message: about 64 KiB. */
const CHUNK = 512;
/** One neighbour gets digests, and entries that it lacks, no more often than this; milliseconds. */
const REPLY_MS = 2_000;
/** A neighbour that has the same is told our total so seldom: every so manieth time, each of them about half a minute. */
const MAX_OMITTED = 20;

/** What passed between us and a neighbour. */
interface Neighbour {
  /** When it was last sent digests, and entries. */
  digests: number;
  entries: number;
  /** The totals that it was last told and has told. */
  told: number | undefined;
  heard: number | undefined;
  /** How often our total was left out since. */
  omitted: number;
}

/** What the shell carries out for the channel. */
export type ChannelEffect =
  /** All peers are to get this. */
  | { readonly kind: "broadcast"; readonly data: GossipData }
  /** One peer of our make is to get this. */
  | { readonly kind: "unicast"; readonly to: PeerName; readonly payload: Uint8Array<ArrayBuffer> }
  | Extract<DirectoryEffect, { kind: "outcome" | "knock" }>;

/** What a channel is made of. */
export interface ChannelOptions {
  /** Whether a neighbour has announced that it compares digests; others get everything every time. */
  readonly compares: (peer: PeerName) => boolean;
  /** Carries out what a step comes to, at once. */
  readonly perform: (effect: ChannelEffect) => void;
  /** Is told after each step: when the directory has to be woken may have changed. */
  readonly stepped?: () => void;
  /** Is told why gossip was refused, which ends the connection that it came on. */
  readonly refused?: (reason: string) => void;
}

/**
 * Connects a directory to gossip. Everything that changes the directory goes through here.
 *
 *     A                                                 B
 *     | ---- its total, every 30 s, as gossip --------> |  nothing more if B's is the same; seldom if both know so
 *     | <--- B's sums, one for each origin ------------ |
 *     | ---- what B lacks, A's sums of these origins -> |
 *     | <--- what A lacks ----------------------------- |
 */
export class DnsChannel implements GossipChannel {
  /** What it is called on the wire. */
  readonly name: string = DNS_CHANNEL;
  readonly #directory: Directory;
  readonly #options: ChannelOptions;
  readonly #neighbours = new Map<PeerName, Neighbour>();
  readonly #full: GossipData = {
    merge: () => this.#full,
    encode: (to) => this.#encodeFull(to),
  };

  /** A channel of a directory. */
  constructor(directory: Directory, options: ChannelOptions) {
    this.#directory = directory;
    this.#options = options;
  }

  /** Feeds the directory an event of this host, and carries out what comes of it. */
  feed(event: DirectoryEvent, now: Millis): Decoded<GossipData | undefined> {
    let passed: GossipData | undefined;
    let reason: string | undefined;
    for (const effect of this.#directory.step(event, now)) {
      if (effect.kind === "refuse") reason ??= effect.reason;
      else if (effect.kind === "relay") passed = this.#news(effect.entries);
      else if (effect.kind === "broadcast") {
        this.#options.perform({ kind: "broadcast", data: this.#news(effect.entries) });
      } else this.#options.perform(effect);
    }
    this.#options.stepped?.();
    if (reason === undefined) return good(passed);
    this.#options.refused?.(reason);
    return bad(reason);
  }

  /** All that we know, as it is when it is sent. */
  fullState(): GossipData {
    return this.#full;
  }

  /** What a neighbour knows; what of it is new to us is passed on. */
  onGossip(payload: Uint8Array, now: Millis, from?: PeerName): Decoded<GossipData | undefined> {
    const gossip = decodeDnsGossip(payload);
    if (!gossip.ok) return gossip;
    const taken = this.feed({ kind: "gossip", gossip: gossip.value, broadcast: false }, now);
    if (taken.ok && from !== undefined) this.#compare(from, gossip.value, now);
    return taken;
  }

  /** A change that goes round. */
  onBroadcast(_source: PeerName, payload: Uint8Array, now: Millis): Decoded<GossipData | undefined> {
    const gossip = decodeDnsGossip(payload);
    return gossip.ok ? this.feed({ kind: "gossip", gossip: gossip.value, broadcast: true }, now) : gossip;
  }

  /** A step of a comparison. What others lack of it, they find out by comparing themselves. */
  onUnicast(source: PeerName, payload: Uint8Array, now: Millis): Decoded<undefined> {
    const taken = this.onGossip(payload, now, source);
    return taken.ok ? good(undefined) : taken;
  }

  /** Peers that the mesh has forgotten. */
  onPeersRemoved(peers: readonly PeerName[], partings?: ReadonlyMap<PeerName, Parting>): void {
    for (const peer of peers) this.#neighbours.delete(peer);
    this.feed({ kind: "left", peers, partings }, 0 as Millis); // a step takes an old time for its last one
  }

  /** Another process of a peer may ask at once, and knows nothing. */
  onNeighbour(peer: PeerName, now: Millis): void {
    this.#neighbours.delete(peer);
    this.feed({ kind: "back", peer }, now);
  }

  #news(entries: readonly DnsEntry[]): News {
    return new News(entries.map((entry) => ({ origin: entry.origin, identity: entryIdentity(entry) })), {
      encode: (changed) => this.#encodeNews(changed),
      full: this.#full,
    });
  }

  *#encodeNews(changed: Iterable<Changed>): Iterable<Uint8Array> {
    const { store } = this.#directory;
    const entries = [...changed].flatMap(({ origin, identity }) => store.get(origin, identity) ?? []);
    yield* this.#messages(entries, []);
  }

  *#encodeFull(to: PeerName | undefined): Iterable<Uint8Array> {
    if (to !== undefined && this.#options.compares(to)) {
      if (!this.#isAgreed(this.#neighbour(to))) yield* this.#messages([], [this.#total]);
      return;
    }
    yield* this.#messages(entriesOf(this.#directory, this.#directory.store.origins()), []);
  }

  #neighbour(peer: PeerName): Neighbour {
    const found = this.#neighbours.get(peer) ??
      { digests: -Infinity, entries: -Infinity, told: undefined, heard: undefined, omitted: 0 };
    this.#neighbours.set(peer, found);
    return found;
  }

  /** Whether a neighbour need not be told our total: it knows it, and has the same. Otherwise it is told now. */
  #isAgreed(neighbour: Neighbour): boolean {
    const { total } = this.#directory.store;
    const { heard, omitted, told } = neighbour;
    const agreed = told === total && heard === total && omitted < MAX_OMITTED;
    neighbour.omitted = agreed ? omitted + 1 : 0;
    neighbour.told = total;
    return agreed;
  }

  /** All together, as if it were one origin's: that of nobody. */
  get #total(): DnsDigest {
    return { origin: UNKNOWN_PEER, sum: this.#directory.store.total };
  }

  /** The next step of a comparison, if a message has digests and what they stand for differs. */
  #compare(from: PeerName, { digests }: DnsGossip, now: Millis): void {
    const { store } = this.#directory;
    if (digests.length === 0) return;
    const sums = new Map(digests.map(({ origin, sum }) => [origin, sum]));
    const total = sums.get(UNKNOWN_PEER);
    const replied = this.#neighbour(from);
    if (total !== undefined) replied.heard = total;
    if (total === store.total) return;
    if (total !== undefined && sums.size === 1) {
      if (now < replied.digests + REPLY_MS) return;
      replied.digests = now;
      // With nothing here there is no sum to send: 0 for the neighbour's own entries says that there are none.
      const mine = store.digests();
      return this.#unicast(from, [], mine.length > 0 ? mine : [{ origin: from, sum: 0 }]);
    }
    if (now < replied.entries + REPLY_MS) return;
    replied.entries = now;
    sums.delete(UNKNOWN_PEER);
    // Without a total these are all sums of the sender; with one, only those in which we differed.
    const compared = total === undefined ? new Set([...sums.keys(), ...store.origins()]) : sums.keys();
    const mine = new Map(store.digests().map(({ origin, sum }) => [origin, sum]));
    const differing = [...compared].filter((origin) => (mine.get(origin) ?? 0) !== (sums.get(origin) ?? 0));
    const reply = differing.map((origin) => ({ origin, sum: mine.get(origin) ?? 0 }));
    const asks = total === undefined && reply.length > 0;
    this.#unicast(from, entriesOf(this.#directory, differing), asks ? [this.#total, ...reply] : []);
  }

  #unicast(to: PeerName, entries: Iterable<DnsEntry>, digests: readonly DnsDigest[]): void {
    for (const payload of this.#messages(entries, digests)) {
      this.#options.perform({ kind: "unicast", to, payload });
    }
  }

  /** Messages with these entries. The digests go with the last one, when the others have been taken in. */
  *#messages(entries: Iterable<DnsEntry>, digests: readonly DnsDigest[]): Iterable<Uint8Array<ArrayBuffer>> {
    let batch: DnsEntry[] = [];
    for (const entry of entries) {
      if (batch.length === CHUNK) {
        yield this.#message(batch, []);
        batch = [];
      }
      batch.push(entry);
    }
    if (batch.length > 0 || digests.length > 0) yield this.#message(batch, digests);
  }

  #message(entries: readonly DnsEntry[], digests: readonly DnsDigest[]): Uint8Array<ArrayBuffer> {
    return encodeDnsGossip({ timestamp: this.#directory.wallSeconds(), entries, digests });
  }
}

/** The entries of some origins as they are when their turn comes: between two messages anything may change. */
function* entriesOf({ store }: Directory, origins: readonly PeerName[]): Iterable<DnsEntry> {
  for (const origin of origins) yield* [...store.of(origin)];
}

/** An entry that changed. */
interface Changed {
  readonly origin: PeerName;
  readonly identity: string;
}

/**
 * Changes that wait for a connection. They are looked up when they are sent, so a slow connection gets the latest.
 * Connections share them: what one of them adds, another one may send too, which does no harm.
 */
class News implements GossipData {
  readonly #changed = new Map<string, Changed>();

  constructor(
    changed: readonly Changed[],
    readonly channel: {
      readonly encode: (changed: Iterable<Changed>) => Iterable<Uint8Array>;
      readonly full: GossipData;
    },
  ) {
    for (const each of changed) this.#changed.set(`${each.origin} ${each.identity}`, each);
  }

  merge(other: GossipData): GossipData {
    if (!(other instanceof News)) return this.channel.full;
    for (const [key, each] of other.#changed) this.#changed.set(key, each);
    return this;
  }

  encode(): Iterable<Uint8Array> {
    return this.channel.encode(this.#changed.values());
  }
}
