/** Which local port or which peer a MAC address is behind (source: spec dataplane.md 2.4, 6.1 to 6.3, with moves). */
import type { Mac } from "../../core/addr.ts";
import type { Millis } from "../../core/time.ts";
import { isLocalPlace, type Place } from "./place.ts";

/** An address unseen for this long is forgotten. */
export const MAC_MAX_AGE_MS = 600_000;
/** An address that a peer showed this recently is not believed at a local port: it may be our own frame coming round. */
export const LOOP_GUARD_MS = 2_000;

/** This part of all addresses is for local ports only: one peer can speak for many. */
const LOCAL_SHARE = 4;

/** What came of showing an address at a place. */
export type Learnt =
  /** It was known there. */
  | "same"
  /** It is known now. */
  | "new"
  /** It was elsewhere until now. */
  | "moved"
  /** Refused by the loop guard. */
  | "guarded"
  /** Refused by a bound. */
  | "full";

/** Bounds. A place that has used up its own gives up its oldest address that is not in use, never another place's. */
export interface MacLimits {
  readonly total: number;
  readonly perPort: number;
  readonly perPeer: number;
}

interface Binding {
  place: Place;
  /** When it was last known to be in use. */
  seen: Millis;
  /** When a frame last showed it; between sweeps flows carry the others unseen. */
  shown: number;
  /** Concluded from flows found at start, not yet from a frame. */
  tentative: boolean;
  /** It was in use after it was learnt, or since it was last passed over. */
  used: boolean;
  /** When it came to its place. */
  came: number;
}

/** So many that are in use are passed over before one of them is given up. */
const PASSED_OVER = 8;

/**
 * The table. Times must not go back. Everything is O(1) but age() and the methods that forget or rename a place,
 * which are linear in what they look at.
 */
export class MacTable {
  readonly #bindings = new Map<Mac, Binding>();
  readonly #at = new Map<Place, Set<Mac>>();
  #local = 0;
  #evicted: Mac[] = [];
  /** Addresses whose place has changed; whoever reads the set empties it. */
  readonly changed = new Set<Mac>();

  /** `watched`: somebody asks from time to time which addresses have changed their place. */
  constructor(readonly limits: MacLimits, readonly watched = false) {}

  /** Number of addresses known. */
  get size(): number {
    return this.#bindings.size;
  }
  /** Number of addresses known at local ports. */
  get localSize(): number {
    return this.#local;
  }

  /** Where an address is, or undefined. */
  placeOf(mac: Mac): Place | undefined {
    return this.#bindings.get(mac)?.place;
  }

  /** Until when the loop guard refuses an address at local ports; 0 when it does not. */
  guardedUntil(mac: Mac, now: Millis): number {
    const binding = this.#bindings.get(mac);
    if (binding === undefined || isLocalPlace(binding.place)) return 0;
    const until = binding.shown + LOOP_GUARD_MS;
    return until > now ? until : 0;
  }

  /** Takes note that a frame from `mac` came in at `place`. */
  learn(mac: Mac, place: Place, now: Millis): Learnt {
    const binding = this.#bindings.get(mac);
    if (binding === undefined) return this.#add(mac, place, now, false) ? "new" : "full";
    const moves = binding.place !== place;
    if (moves) {
      if (isLocalPlace(place) && this.guardedUntil(mac, now) !== 0) return "guarded";
      if (!this.#hasRoom(place)) return "full"; // to take over others' addresses is no reason to make room
      binding.came = now;
      this.#move(mac, binding, place);
    }
    binding.used = !moves;
    binding.seen = now;
    binding.shown = now;
    binding.tentative = false;
    return moves ? "moved" : "same";
  }

  /** Somebody at `place` sends to `mac`, so `mac` is not there, though a loop may have shown it there. From now on the table
   * takes `mac` at a local port at once, which it would refuse for a while after a loop. Says whether it had it at `place`. */
  disclaim(mac: Mac, place: Place): boolean {
    const binding = this.#bindings.get(mac);
    if (binding === undefined || binding.place !== place) return false;
    binding.shown = -Infinity;
    return true;
  }

  /** Takes note of a conclusion from a flow found at start; never overrides anything. */
  suppose(mac: Mac, place: Place, now: Millis): void {
    if (!this.#bindings.has(mac)) this.#add(mac, place, now, true);
  }

  /** Traffic from `mac` still comes in at `place`: keeps the binding young, and makes a supposed one certain. */
  refresh(mac: Mac, place: Place, now: Millis): void {
    const binding = this.#bindings.get(mac);
    if (binding === undefined || binding.place !== place) return;
    binding.used = true;
    binding.seen = now;
    binding.tentative = false;
  }

  /** Addresses that were given up for others since the last call. */
  takeEvicted(): readonly Mac[] {
    if (this.#evicted.length === 0) return this.#evicted;
    const evicted = this.#evicted;
    this.#evicted = [];
    return evicted;
  }

  /** Gives up an address of a place: the oldest that is not in use, or one of the oldest. */
  #evict(place: Place): boolean {
    const there = this.#at.get(place);
    if (there === undefined) return false;
    let passed = 0;
    for (const mac of there) {
      const binding = this.#bindings.get(mac)!;
      if (binding.used && passed++ < PASSED_OVER) {
        binding.used = false;
        there.delete(mac);
        there.add(mac); // to the end
        continue;
      }
      this.#remove(mac);
      this.#evicted.push(mac);
      return true;
    }
    return false;
  }

  /** Forgets what is too old; returns the addresses forgotten. */
  age(now: Millis): readonly Mac[] {
    return this.#forget((binding) => now - binding.seen >= MAC_MAX_AGE_MS);
  }

  /** Forgets what was only supposed; returns the addresses forgotten. */
  forgetTentative(): readonly Mac[] {
    return this.#forget((binding) => binding.tentative);
  }

  /** Forgets everything at a place; returns the addresses forgotten. */
  forgetPlace(place: Place): readonly Mac[] {
    const macs = [...this.#at.get(place) ?? []];
    for (const mac of macs) this.#remove(mac);
    return macs;
  }

  /** Forgets addresses that came to peers at `since` or later; returns them. */
  forgetRemote(since: Millis): readonly Mac[] {
    return this.#forget(({ came, place }) => came >= since && !isLocalPlace(place));
  }

  /** The peer at `from` is now called `to`: carries its addresses over and returns them. */
  renamePlace(from: Place, to: Place): readonly Mac[] {
    const macs = [...this.#at.get(from) ?? []];
    for (const mac of macs) this.#move(mac, this.#bindings.get(mac)!, to);
    return macs;
  }

  /** Places at which something is known. */
  places(): Iterable<Place> {
    return this.#at.keys();
  }

  #forget(which: (binding: Binding) => boolean): readonly Mac[] {
    const macs: Mac[] = [];
    for (const [mac, binding] of this.#bindings) if (which(binding)) macs.push(mac);
    for (const mac of macs) this.#remove(mac);
    return macs;
  }

  #hasRoom(place: Place): boolean {
    const limit = isLocalPlace(place) ? this.limits.perPort : this.limits.perPeer;
    return (this.#at.get(place)?.size ?? 0) < limit;
  }

  #isFull(place: Place): boolean {
    const { total } = this.limits;
    if (this.#bindings.size >= total || !this.#hasRoom(place)) return true;
    const remote = this.#bindings.size - this.#local;
    return !isLocalPlace(place) && remote >= total - Math.floor(total / LOCAL_SHARE);
  }

  #add(mac: Mac, place: Place, now: Millis, tentative: boolean): boolean {
    if (this.#isFull(place) && (tentative || !this.#evict(place))) return false;
    const shown = tentative ? -Infinity : now;
    this.#bindings.set(mac, { place, seen: now, shown, tentative, used: false, came: shown });
    this.#attach(mac, place);
    return true;
  }

  #remove(mac: Mac): void {
    this.#detach(mac, this.#bindings.get(mac)!.place);
    this.#bindings.delete(mac);
  }

  #move(mac: Mac, binding: Binding, place: Place): void {
    this.#detach(mac, binding.place);
    binding.place = place;
    this.#attach(mac, place);
  }

  #attach(mac: Mac, place: Place): void {
    const there = this.#at.get(place);
    if (there === undefined) this.#at.set(place, new Set([mac]));
    else there.add(mac);
    if (this.watched) this.changed.add(mac);
    if (isLocalPlace(place)) this.#local++;
  }

  #detach(mac: Mac, place: Place): void {
    const there = this.#at.get(place)!;
    if (this.watched) this.changed.add(mac);
    there.delete(mac);
    if (there.size === 0) this.#at.delete(place);
    if (isLocalPlace(place)) this.#local--;
  }
}
