/** Names of hosts whose daemon is away while the host is there: it restarts, or it has crashed. They stay for a while. */
import type { Endpoint } from "../../core/addr.ts";
import type { PeerName } from "../../core/names.ts";
import type { Knocked, Parting } from "../../core/ports.ts";
import { after, type Millis } from "../../core/time.ts";
import { type DnsEntry, entryIdentity } from "../../wire/dns/dns_gossip.ts";
import type { EntryWatcher } from "./entry_store.ts";

/** How long the names of an absent peer stay: where its kernel carries on without the daemon, and where it does not. */
export const ABSENCE_MS = { carried: 60_000, cut: 10_000 } as const;
/** A peer that is back tells its names within this time; those that it does not tell go then. */
export const RETURNED_MS = 10_000;
/** A restart is over in less: the first look at the host comes after this long. */
export const FIRST_KNOCK_MS = 1_000;
/** How long after an answer the host is asked again: where nobody listens, and where somebody does, who hangs perhaps. */
export const KNOCK_MS = { refused: 2_000, accepted: 10_000 } as const;
/** So many knocks in a row without an answer: the host is dead. */
const MISSES = 2;
/** Most names that are kept for absent peers. Those for which there is no room go at once. */
export const MAX_ABSENT_NAMES = 50_000;

/** A host to be knocked at. */
export interface KnockWanted {
  readonly peer: PeerName;
  readonly address: Endpoint;
}

interface Absent {
  readonly address: Endpoint;
  readonly entries: Map<string, DnsEntry>;
  until: number;
  /** When to knock next; Infinity while a knock is under way. */
  knockAt: number;
  misses: number;
}

/**
 *     left --(its system closed the connection, or its daemon is not heard)--> absent --60 s, or two knocks unanswered--> gone
 *                                                                                 '--is back--> its own word for each name;
 *                                                                                               what is left goes after 10 s
 *
 * The names are no longer those of the store: no other host hears of them. `watch` is told of each change.
 */
export class AbsentNames {
  readonly #peers = new Map<PeerName, Absent>();
  readonly #watch: EntryWatcher;
  #size = 0;

  /** Nobody is absent. */
  constructor(watch: EntryWatcher) {
    this.#watch = watch;
  }

  /** How many names are kept. */
  get size(): number {
    return this.#size;
  }

  /** All that are kept. */
  *entries(): Iterable<DnsEntry> {
    for (const { entries } of this.#peers.values()) yield* entries.values();
  }

  /** Until when the names of a peer are kept; undefined: it is not away. */
  until(peer: PeerName): number | undefined {
    return this.#peers.get(peer)?.until;
  }

  /** A peer is away. What it had comes by add(). */
  begin(peer: PeerName, { address, at, carried }: Parting): void {
    const before = this.#peers.get(peer);
    this.#peers.set(peer, {
      address,
      entries: before?.entries ?? new Map(),
      until: after(at, carried ? ABSENCE_MS.carried : ABSENCE_MS.cut),
      knockAt: after(at, FIRST_KNOCK_MS),
      misses: 0,
    });
  }

  /** Keeps an entry of a peer that is away, if there is room. */
  add(entry: DnsEntry): void {
    const absent = this.#peers.get(entry.origin);
    if (absent === undefined || this.#size >= MAX_ABSENT_NAMES) return;
    const identity = entryIdentity(entry);
    const before = absent.entries.get(identity);
    const kept = { ...entry, away: true };
    absent.entries.set(identity, kept);
    if (before === undefined) this.#size++;
    this.#watch(before, kept);
  }

  /** Removes the kept entry that a newly told one replaces, and returns it. Nobody is told. */
  take(told: DnsEntry): DnsEntry | undefined {
    const absent = this.#peers.get(told.origin);
    if (absent === undefined) return undefined;
    const identity = entryIdentity(told);
    const kept = absent.entries.get(identity);
    if (kept === undefined) return undefined;
    absent.entries.delete(identity);
    this.#size--;
    return kept;
  }

  /** A peer is in the mesh again. */
  back(peer: PeerName, now: Millis): void {
    const absent = this.#peers.get(peer);
    if (absent === undefined) return;
    absent.until = Math.min(absent.until, after(now, RETURNED_MS));
    absent.knockAt = Infinity;
  }

  /** A peer is gone for good. */
  drop(peer: PeerName): void {
    const absent = this.#peers.get(peer);
    if (absent === undefined) return;
    this.#peers.delete(peer);
    this.#size -= absent.entries.size;
    for (const entry of absent.entries.values()) this.#watch(entry, undefined);
  }

  /** A knock has come to something. */
  knocked(peer: PeerName, result: Knocked, now: Millis): void {
    const absent = this.#peers.get(peer);
    if (absent === undefined) return;
    absent.misses = result === "nothing" ? absent.misses + 1 : 0;
    if (absent.misses >= MISSES) return this.drop(peer);
    absent.knockAt = result === "nothing" ? now : after(now, KNOCK_MS[result]);
  }

  /** Time has passed; the result is where to knock. */
  wake(now: Millis): readonly KnockWanted[] {
    const wanted: KnockWanted[] = [];
    for (const [peer, absent] of this.#peers) {
      if (now >= absent.until || absent.entries.size === 0) this.drop(peer); // nothing is kept: nothing to knock for
      else if (now >= absent.knockAt) {
        absent.knockAt = Infinity;
        wanted.push({ peer, address: absent.address });
      }
    }
    return wanted;
  }

  /** Earliest time at which wake() may do something. */
  nextWake(): number {
    let next = Infinity;
    for (const { knockAt, until } of this.#peers.values()) next = Math.min(next, knockAt, until);
    return next;
  }
}
