/** Finds the largest inner packet that a path carries, whatever routers keep silent about (source: spec dataplane.md 5.6). */
import { after, type Millis } from "../../core/time.ts";
import { FRAG_TEST } from "../../wire/mesh/sleeve_special.ts";
import { ETHERNET_HEADER } from "../../wire/packet/ethernet.ts";
import { LARGEST_PACKET } from "../../wire/packet/inner_frame.ts";
import type { SleeveOverheads } from "../../wire/mesh/sleeve.ts";

/** What every path is believed to carry. */
export const SURELY_GOOD = 552;
/** Every link of IPv4 must carry this much (RFC 791): an interface that seems to carry less is not searched. */
const LEAST_MTU = 68;
/** Probes of the first size before it counts as lost, and the patience after the first; it doubles each time. */
const ATTEMPTS = 8;
const FIRST_TIMEOUT_MS = 10;
/** Probes of each smaller size: fewer, as it is known by then that the path loses packets for their size. */
const LATER_ATTEMPTS = 6;
/** So many probes of the first size unanswered: the kernel is asked what it believes. */
const STALLED_AFTER = 4;

/** No candidate; nothing to send. */
const IDLE = 0;

/** Nothing is searched; it is tested whether the size in use gets through; whether a larger one does; or, as the size in use
 * did not, which smaller one does. */
type Mode = "idle" | "proving" | "raising" | "searching";

/**
 * The search of one path. Methods that return a number tell which size to probe now, 0 for none.
 *
 *     idle --refused(), prove()--> proving m --verified--> idle
 *                                     |
 *                     8 times silent  v
 *                                 searching below m: halves the interval between good and bad --> idle
 *     idle --raise()--> raising to the largest --verified--> idle, with that;  8 times silent --> idle, as it was
 *
 * Only a size that was proven, or that the interface itself refuses, changes the MTU. What routers are said to have told
 * the kernel is where the search looks first.
 */
export class MtuSearch {
  #mtu = LARGEST_PACKET;
  #maxPayload: number;
  #mode: Mode = "idle";
  #good = 0;
  #bad = 0;
  #candidate = IDLE;
  /** What the kernel believes that the path carries; 0: nothing that would help. */
  #hint = 0;
  #attempts = 0;
  /** When the candidate was probed first. */
  #triedAt = 0;
  #firstTimeout = FIRST_TIMEOUT_MS;
  #timeoutAt = Infinity;
  /** The largest MTU that the interface allows. */
  #ceiling = 0;

  constructor(readonly overheads: SleeveOverheads) {
    this.#maxPayload = LARGEST_PACKET - overheads.outer;
  }

  /** Largest inner IP packet to send now; 65535 until the kernel has refused something. */
  get mtu(): number {
    return this.#mtu;
  }
  /** Largest UDP payload to send now with DF. */
  get maxPayload(): number {
    return this.#maxPayload;
  }
  /** Whether it is at work. */
  get searching(): boolean {
    return this.#candidate !== IDLE;
  }
  /** Whether the MTU will probably rise again in a moment: nobody must be told of the present one. */
  get unsettled(): boolean {
    return this.#mode === "searching";
  }
  /** Whether the kernel should be asked again for its path MTU. */
  get stalled(): boolean {
    return this.#mode === "proving" && this.#attempts === STALLED_AFTER;
  }

  /** The interface refused a DF packet: it takes packets of `interfaceMtu`; the route, so the kernel believes, `routeMtu`. */
  refused({ interfaceMtu, routeMtu }: { interfaceMtu: number; routeMtu: number }, now: Millis): number {
    const top = Math.min(interfaceMtu, LARGEST_PACKET) - this.overheads.df;
    if (top < LEAST_MTU) return IDLE;
    this.#ceiling = top;
    this.#hint = routeMtu < interfaceMtu ? routeMtu - this.overheads.df : 0;
    if (this.searching && this.#mode !== "raising" && top >= this.#candidate) return IDLE;
    if (top > this.#mtu) return this.raise(now);
    this.#settle(top);
    return this.#prove(top, now);
  }

  /** Proves that the path still carries inner packets of this size; no more than the MTU. Nothing if there is no MTU yet, or
   * something is being proven. */
  prove(size: number, now: Millis): number {
    return this.searching || this.#mtu === LARGEST_PACKET
      ? IDLE
      : this.#prove(Math.min(size, this.#mtu), now);
  }

  /** Tries whether the path carries the largest MTU that the interface allows; until that is proven nothing changes. */
  raise(now: Millis): number {
    if (this.searching || this.#mtu >= this.#ceiling) return IDLE;
    this.#mode = "raising";
    return this.#try(this.#ceiling, now);
  }

  /** The peer received a probe for `mtu`. */
  verified(mtu: number, now: Millis): number {
    if (this.#candidate === IDLE || mtu !== this.#candidate) return IDLE;
    if (this.#mode !== "searching") {
      if (this.#mode === "raising") this.#settle(mtu);
      return this.#rest();
    }
    this.#firstTimeout = Math.min(
      Math.max(FIRST_TIMEOUT_MS, (now - this.#triedAt) >> 4),
      4 * FIRST_TIMEOUT_MS,
    );
    this.#settle(mtu);
    this.#good = mtu;
    return this.#next(now);
  }

  /** Time has passed. `alive(since)`: whether small packets arrived since then; as long as none do, nothing is learnt about
   * large ones. */
  wake(now: Millis, alive: (since: Millis) => boolean): number {
    if (now < this.#timeoutAt) return IDLE;
    const attempts = this.#mode === "searching" ? LATER_ATTEMPTS : ATTEMPTS;
    if (this.#attempts < attempts) return this.#probe(now);
    if (this.#mode === "raising") return this.#rest();
    if (!alive(this.#triedAt as Millis)) {
      this.#attempts--; // the last one again
      return this.#probe(now);
    }
    this.#bad = this.#candidate;
    if (this.#mode === "proving") {
      this.#mode = "searching";
      this.#good = Math.min(SURELY_GOOD, this.#bad - 1);
      this.#settle(this.#good);
    }
    return this.#next(now);
  }

  /** Nothing arrives any more, whatever its size: a search that has not ended says nothing. */
  abandon(): void {
    if (this.#mode === "searching") this.#settle(this.#ceiling);
    this.#rest();
  }

  /** Earliest time at which wake() does something. */
  nextWake(): number {
    return this.#timeoutAt;
  }

  /** Whether the candidate counts as lost if its present probe is not answered. */
  get lastAttempt(): boolean {
    return this.#attempts >= (this.#mode === "searching" ? LATER_ATTEMPTS : ATTEMPTS);
  }

  #prove(size: number, now: Millis): number {
    this.#mode = "proving";
    this.#firstTimeout = FIRST_TIMEOUT_MS;
    return this.#try(size, now);
  }

  #next(now: Millis): number {
    if (this.#good + 1 >= this.#bad) return this.#rest();
    return this.#try(this.#guess() ?? Math.floor((this.#good + this.#bad) / 2), now);
  }

  /** The size that the kernel believes in; when that is proven, the one above it. */
  #guess(): number | undefined {
    const guess = this.#hint;
    if (guess === 0) return undefined;
    this.#hint = 0;
    if (guess === this.#good) return guess + 1;
    if (guess <= this.#good || guess >= this.#bad) return undefined;
    this.#hint = guess;
    return guess;
  }

  #rest(): number {
    this.#mode = "idle";
    this.#candidate = IDLE;
    this.#timeoutAt = Infinity;
    return IDLE;
  }

  #try(candidate: number, now: Millis): number {
    // A probe must not look like a fragmentation test: the answer to that is another.
    this.#candidate = candidate + ETHERNET_HEADER === FRAG_TEST ? candidate - 1 : candidate;
    this.#attempts = 0;
    this.#triedAt = now;
    return this.#probe(now);
  }

  #probe(now: Millis): number {
    const first = this.#mode === "searching" ? this.#firstTimeout : FIRST_TIMEOUT_MS;
    this.#timeoutAt = after(now, first << this.#attempts);
    this.#attempts++;
    return this.#candidate;
  }

  #settle(mtu: number): void {
    this.#mtu = mtu;
    this.#maxPayload = mtu + this.overheads.df - this.overheads.outer;
  }
}
