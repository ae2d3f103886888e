/** Who owns which addresses: the list that all peers agree on (source: spec ipam.md, section 2). */
import type { PeerName } from "../core/names.ts";
import { joined, type Offset, type Span } from "./universe.ts";

/** From `token` on to the next entry, and from the last one round to the first, addresses are `owner`'s. */
export interface Entry {
  /** First address. */
  readonly token: Offset;
  /** Whose the range is. */
  readonly owner: PeerName;
  /** Higher is newer. */
  readonly version: number;
  /** How many of the addresses are free, as the owner last said. */
  readonly free: number;
}

/** What one peer owns. */
export interface Share {
  /** Who. */
  readonly owner: PeerName;
  /** Addresses. */
  readonly size: number;
  /** How many of them are free, as the owner last said. */
  readonly free: number;
}

/** Highest version; one that would be higher stays there. */
export const MAX_VERSION = 0xffff_ffff;

/** Addresses from one token to another in a universe of `size`; all of them when the tokens are equal. */
export function distance(from: Offset, to: Offset, size: number): number {
  return to > from ? to - from : size - from + to;
}

/** The spans from one token to another: two where the range passes the end of the universe. */
export function spansBetween(from: Offset, to: Offset, size: number): Span[] {
  if (to > from) return [{ start: from, end: to }];
  const parts = [{ start: from, end: size }, { start: 0, end: to }];
  return parts.filter(({ start, end }) => start < end);
}

/** Entries as peers share a universe out among them at first: halves of halves, in order of name. */
export function sharedOut(size: number, peers: readonly PeerName[]): Entry[] {
  const entries: Entry[] = [];
  const share = (start: Offset, end: Offset, among: readonly PeerName[]): void => {
    if (end - start === 1 || among.length === 1) {
      entries.push({ token: start, owner: among[0]!, version: 0, free: end - start });
      return;
    }
    const middle = start + Math.floor((end - start) / 2);
    const half = Math.floor(among.length / 2);
    share(start, middle, among.slice(0, half));
    share(middle, end, among.slice(half));
  };
  if (peers.length > 0) share(0, size, peers);
  return entries;
}

/** Our copy of the ring. Entries are values: a change makes new ones. */
export class Ring {
  #entries: readonly Entry[];
  #seeds: readonly PeerName[];

  /** A ring in a universe of `size` addresses; without entries it is not known yet. */
  constructor(
    readonly size: number,
    readonly self: PeerName,
    entries: readonly Entry[] = [],
    seeds: readonly PeerName[] = [],
  ) {
    this.#entries = entries;
    this.#seeds = seeds;
  }

  /** Ascending by token. */
  get entries(): readonly Entry[] {
    return this.#entries;
  }

  /** Among whom the universe was shared out at first; ascending. */
  get seeds(): readonly PeerName[] {
    return this.#seeds;
  }

  /** Whether there is no ring yet. */
  get isEmpty(): boolean {
    return this.#entries.length === 0;
  }

  /** Shares the universe out among peers. */
  seed(peers: readonly PeerName[]): void {
    this.#seeds = [...new Set(peers)].sort();
    this.#entries = sharedOut(this.size, this.#seeds);
  }

  /** Replaces everything with what a merge came to. */
  install(entries: readonly Entry[], seeds: readonly PeerName[]): void {
    this.#entries = entries;
    this.#seeds = seeds;
  }

  /** The spans of the entry at an index. */
  spansAt(index: number): Span[] {
    return spansBetween(this.#entries[index]!.token, this.#tokenAfter(index), this.size);
  }

  /** What a peer owns: sorted spans that do not touch. */
  rangesOf(peer: PeerName): Span[] {
    return joined(this.#entries.flatMap(({ owner }, index) => owner === peer ? this.spansAt(index) : []));
  }

  /** Who owns an address; undefined without a ring. */
  ownerOf(at: Offset): PeerName | undefined {
    return this.#entries[this.#indexAt(at)]?.owner;
  }

  /** All owners, in order of token. */
  owners(): PeerName[] {
    return [...new Set(this.#entries.map(({ owner }) => owner))];
  }

  /** What each owner owns. */
  shares(): Share[] {
    const shares = new Map<PeerName, { owner: PeerName; size: number; free: number }>();
    this.#entries.forEach(({ owner, token, free }, index) => {
      const share = shares.get(owner) ?? { owner, size: 0, free: 0 };
      share.size += distance(token, this.#tokenAfter(index), this.size);
      share.free += free;
      shares.set(owner, share);
    });
    return [...shares.values()];
  }

  /** Makes a span that is ours another peer's. */
  grant({ start, end }: Span, to: PeerName): void {
    const entries = [...this.#entries];
    const nextOf = (index: number) => entries[(index + 1) % entries.length]!.token;
    const stop = end === this.size ? 0 : end;
    const room = distance(start, stop, this.size);
    let index = this.#indexAt(start);
    const at = entries[index]!;
    // Where the last entry wraps, `start` may lie before the first token.
    const place = at.token > start ? 0 : index + 1;
    const free = Math.min(distance(start, nextOf(index), this.size), room);
    if (at.token === start) {
      entries[index] = { token: start, owner: to, version: raised(at.version, 1), free };
    } else {
      entries[index] = { ...at, version: raised(at.version, 1), free: distance(at.token, start, this.size) };
      entries.splice(place, 0, { token: start, owner: to, version: 0, free });
      index = place;
    }
    for (let i = index + 1; i < entries.length && entries[i]!.token < end; i++) {
      const { token, version, free } = entries[i]!;
      entries[i] = {
        ...{ token, owner: to },
        version: raised(version, 1),
        free: Math.min(free, distance(token, stop, this.size)),
      };
    }
    const behind = entries.findIndex(({ token }) => token >= stop);
    if (entries[behind]?.token !== stop) {
      const next = entries[behind < 0 ? 0 : behind]!.token;
      const entry = { token: stop, owner: this.self, version: 0, free: distance(stop, next, this.size) };
      entries.splice(behind < 0 ? entries.length : behind, 0, entry);
    }
    this.#entries = entries;
  }

  /** Makes all that one peer owns another's, with versions higher by `by`; returns what moved. */
  transfer(from: PeerName, to: PeerName, by: number): Span[] {
    const moved = this.rangesOf(from);
    this.#entries = this.#entries.map((entry) =>
      entry.owner === from ? { ...entry, owner: to, version: raised(entry.version, by) } : entry
    );
    return moved;
  }

  /** Raises the versions of all our entries. */
  raise(by: number): void {
    this.#entries = this.#entries.map((entry) =>
      entry.owner === this.self ? { ...entry, version: raised(entry.version, by) } : entry
    );
  }

  /** Says of each of our entries how much is free in it now; true when that was news. */
  report(countFree: (span: Span) => number): boolean {
    let changed = false;
    const entries = this.#entries.map((entry, index) => {
      if (entry.owner !== this.self) return entry;
      const free = this.spansAt(index).reduce((sum, span) => sum + countFree(span), 0);
      if (free === entry.free) return entry;
      changed = true;
      return { ...entry, free, version: raised(entry.version, 1) };
    });
    if (changed) this.#entries = entries;
    return changed;
  }

  /** Which others have free addresses in the entries that reach into a span, and how many: whom to ask for space. */
  donors({ start, end }: Span): Map<PeerName, number> {
    const donors = new Map<PeerName, number>();
    this.#entries.forEach(({ token, owner, free }, index) => {
      const last = index === this.#entries.length - 1;
      if (token >= end || free === 0 || owner === this.self) return;
      if (last || this.#entries[index + 1]!.token > start) donors.set(owner, (donors.get(owner) ?? 0) + free);
    });
    return donors;
  }

  #tokenAfter(index: number): Offset {
    return this.#entries[(index + 1) % this.#entries.length]!.token;
  }

  /** Index of the entry an address belongs to; -1 without a ring. */
  #indexAt(at: Offset): number {
    let [low, high] = [0, this.#entries.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#entries[middle]!.token <= at) low = middle + 1;
      else high = middle;
    }
    return low === 0 ? this.#entries.length - 1 : low - 1;
  }
}

/** A version higher by `by`, within bounds. */
export function raised(version: number, by: number): number {
  return Math.min(MAX_VERSION, version + by);
}
