/** All entries of the cluster, by origin: merged in any order, bounded, and summed up for comparison. */
import type { PeerName } from "../../core/names.ts";
import { type DnsDigest, type DnsEntry, entryIdentity } from "../../wire/dns/dns_gossip.ts";

/** Most entries, deleted ones included: together, and of one origin. */
export const MAX_DNS_ENTRIES = { together: 100_000, origin: 20_000 } as const;

/** Sums have 52 bits, so that two of them can be added exactly. */
const SUM = 2 ** 52;

/** Is told of each change: what was, and what is. */
export type EntryWatcher = (before: DnsEntry | undefined, after: DnsEntry | undefined) => void;

/** The entries of one origin by identity. */
interface Share {
  readonly entries: Map<string, DnsEntry>;
  /** Identities of those that are deleted for good, the oldest deletion first. */
  readonly deleted: Set<string>;
  sum: number;
}

/**
 * Which of two entries with one identity holds: the higher version, then the later deletion, then the one that says its
 * target does not answer. This is an order of all of them, so merging comes to the same in any sequence.
 */
function outranks(a: DnsEntry, b: DnsEntry): boolean {
  if (a.version !== b.version) return a.version > b.version;
  if (a.tombstone !== b.tombstone) return a.tombstone > b.tombstone;
  return a.unhealthy && !b.unhealthy;
}

/** See the file. */
export class EntryStore {
  readonly #shares = new Map<PeerName, Share>();
  readonly #watch: EntryWatcher;
  #size = 0;
  #total = 0;

  /** `watch` is told of each change, after it was made. Entries of `own` never make way for those of others. */
  constructor(
    watch: EntryWatcher,
    readonly limits: { together: number; origin: number } = MAX_DNS_ENTRIES,
    readonly own?: PeerName,
  ) {
    this.#watch = watch;
  }

  /** How many entries there are, deleted ones included. */
  get size(): number {
    return this.#size;
  }

  /** Equal for equal contents. */
  get total(): number {
    return this.#total;
  }

  /** What there is of each origin, in short. */
  digests(): readonly DnsDigest[] {
    return [...this.#shares].map(([origin, { sum }]) => ({ origin, sum }));
  }

  /** The entry of an origin with an identity. */
  get(origin: PeerName, identity: string): DnsEntry | undefined {
    return this.#shares.get(origin)?.entries.get(identity);
  }

  /** The entries of an origin; do not change anything while you go through them. */
  of(origin: PeerName): Iterable<DnsEntry> {
    return this.#shares.get(origin)?.entries.values() ?? [];
  }

  /** How many entries an origin has. */
  sizeOf(origin: PeerName): number {
    return this.#shares.get(origin)?.entries.size ?? 0;
  }

  /** Who has entries. */
  origins(): PeerName[] {
    return [...this.#shares.keys()];
  }

  /** Takes in what is newer than what is there. The result is whether it was, and there was room. */
  merge(entry: DnsEntry): boolean {
    const mine = this.get(entry.origin, entryIdentity(entry));
    return mine !== undefined && !outranks(entry, mine) ? false : this.put(entry);
  }

  /** Puts an entry in place of the one with its identity, whatever that says. False: there is no room. */
  put(entry: DnsEntry): boolean {
    const { origin } = entry;
    const identity = entryIdentity(entry);
    const before = this.get(origin, identity);
    if (before === undefined && !this.#makeRoom(origin)) return false;
    let share = this.#shares.get(origin);
    if (share === undefined) {
      this.#shares.set(origin, share = { entries: new Map(), deleted: new Set(), sum: 0 });
    }
    share.entries.set(identity, entry);
    share.deleted.delete(identity);
    if (entry.tombstone > 0 && !entry.unhealthy) share.deleted.add(identity);
    if (before === undefined) this.#size++;
    else this.#add(share, SUM - hashOf(before, identity));
    this.#add(share, hashOf(entry, identity));
    this.#watch(before, entry);
    return true;
  }

  /** Removes an entry without a trace. */
  drop(entry: DnsEntry): void {
    const identity = entryIdentity(entry);
    const share = this.#shares.get(entry.origin);
    const before = share?.entries.get(identity);
    if (share === undefined || before === undefined) return;
    share.entries.delete(identity);
    share.deleted.delete(identity);
    this.#size--;
    this.#add(share, SUM - hashOf(before, identity));
    if (share.entries.size === 0) this.#shares.delete(entry.origin);
    this.#watch(before, undefined);
  }

  /** Removes all entries of an origin without a trace. */
  dropOrigin(origin: PeerName): void {
    for (const entry of [...this.of(origin)]) this.drop(entry);
  }

  /**
   * Room for one more entry of an origin: a deleted one of its own makes way, and if all is full, one of the largest
   * other than this host's own, unless that is the one that asks.
   */
  #makeRoom(origin: PeerName): boolean {
    if (this.sizeOf(origin) >= this.limits.origin) return this.#evict(origin, true);
    if (this.#size < this.limits.together) return true;
    let largest = origin;
    for (const [other, { entries }] of this.#shares) {
      if (other !== this.own && entries.size > this.sizeOf(largest)) largest = other;
    }
    return this.#evict(largest, largest === origin);
  }

  /** Removes the oldest deleted entry of an origin, or its oldest one at all. At once, for a flood comes this way. */
  #evict(origin: PeerName, deletedOnly: boolean): boolean {
    const { entries, deleted } = this.#shares.get(origin) ?? {};
    const [identity] = deleted?.size || deletedOnly ? deleted ?? [] : entries?.keys() ?? [];
    if (identity === undefined) return false;
    this.drop(entries!.get(identity)!);
    return true;
  }

  #add(share: Share, hash: number): void {
    share.sum = (share.sum + hash) % SUM;
    this.#total = (this.#total + hash) % SUM;
  }
}

/** A hash of all that an entry says, 52 bits. Not for those who choose entries so that they collide: they gain nothing. */
function hashOf({ origin, version, tombstone, unhealthy }: DnsEntry, identity: string): number {
  let high = 0x811c9dc5, low = 0x9e3779b9;
  const text = `${origin} ${version} ${tombstone} ${unhealthy} ${identity}`;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    high = Math.imul(high ^ code, 0x01000193);
    low = Math.imul(low ^ code, 0x85ebca6b);
    low ^= low >>> 13;
  }
  return (high >>> 6) * 2 ** 26 + (low >>> 6);
}
