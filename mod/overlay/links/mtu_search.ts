/** Finds the largest inner packet that a path carries, whatever routers keep silent about (source: spec dataplane.md 5.6). */
import { after, type Millis } from "../../core/time.ts";
import { FRAG_TEST } from "../../wire/mesh/sleeve_special.ts";
import { ETHERNET_HEADER } from "../../wire/packet/ethernet.ts";
import { LARGEST_PACKET } from "../../wire/packet/inner_frame.ts";
import type { SleeveOverheads } from "../../wire/mesh/sleeve.ts";

/** What every path is believed to carry. */
const SURELY_GOOD = 552;
/** Below this there is no talking of IP. */
const LEAST_MTU = 68;
/** Probes of one size, and the patience after the first; it doubles each time. */
const ATTEMPTS = 8;
const FIRST_TIMEOUT_MS = 10;
/** So many probes unanswered, after a failure: a size in between is not just slow. */
const STALLED_AFTER = 3;

/** No candidate; nothing to send. */
const IDLE = 0;

/**
 * The search of one path. Methods that return a number tell which size to probe now, 0 for none.
 *
 *     idle --the kernel refused a packet--> probing m --verified--> idle
 *                                            |   ^
 *                            8 times silent  v   |  halve the interval between good and bad
 *                                          probing less
 *     idle --raise--> probing the largest --verified--> idle, with that
 *                       8 times silent --> idle, as it was
 */
export class MtuSearch {
  #mtu = LARGEST_PACKET;
  #maxPayload: number;
  #good = 0;
  #bad = 0;
  #candidate = IDLE;
  #attempts = 0;
  #failures = 0;
  #timeoutAt = Infinity;
  /** The largest MTU that the kernel ever thought possible. */
  #ceiling = 0;
  #raising = false;

  /** With `cautious` the MTU does not stay optimistic all through a search that finds sizes lost: it falls to what is
   * proven as soon as the next size is not answered either. Peers cannot tell the difference. */
  constructor(readonly overheads: SleeveOverheads, readonly options: { readonly cautious: boolean }) {
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

  /** The kernel refused a DF packet: its path takes packets of `pathMtu`, it thinks. */
  tooBig(pathMtu: number, now: Millis): number {
    const packet = Math.min(pathMtu, LARGEST_PACKET);
    const m = packet - this.overheads.df;
    if (m < LEAST_MTU || (this.#candidate !== IDLE && m >= this.#candidate)) return IDLE;
    this.#raising = false;
    this.#ceiling = Math.max(this.#ceiling, m);
    this.#good = Math.min(SURELY_GOOD, m - 1);
    this.#bad = m + 1;
    this.#mtu = m;
    this.#maxPayload = packet - this.overheads.outer;
    this.#failures = 0;
    return this.#try(m, now);
  }

  /** Proves the present MTU again, from the top of a new search. Nothing if there is none yet, or one is being proven. */
  recheck(now: Millis): number {
    return this.searching || this.#mtu === LARGEST_PACKET
      ? IDLE
      : this.tooBig(this.#mtu + this.overheads.df, now);
  }

  /** Tries whether the path carries the largest MTU again that it once seemed to; until that is proven nothing changes. */
  raise(now: Millis): number {
    if (this.searching || this.#mtu >= this.#ceiling) return IDLE;
    this.#raising = true;
    return this.#try(this.#ceiling, now);
  }

  /** The peer received a probe for `mtu`. */
  verified(mtu: number, now: Millis): number {
    if (this.#candidate === IDLE || mtu !== this.#candidate) return IDLE;
    this.#good = mtu;
    if (this.#raising) this.#bad = mtu + 1;
    return this.#next(now);
  }

  /** Time has passed. */
  wake(now: Millis): number {
    if (now < this.#timeoutAt) return IDLE;
    if (this.#attempts < ATTEMPTS) {
      if (this.options.cautious && !this.#raising && this.#failures > 0 && this.#attempts >= STALLED_AFTER) {
        this.#settle();
      }
      return this.#probe(now);
    }
    if (this.#raising) return this.#rest();
    this.#bad = this.#candidate;
    this.#failures++;
    return this.#next(now);
  }

  /** Earliest time at which wake() does something. */
  nextWake(): number {
    return this.#timeoutAt;
  }

  #next(now: Millis): number {
    if (this.#good + 1 < this.#bad) return this.#try(Math.floor((this.#good + this.#bad) / 2), now);
    this.#settle();
    return this.#rest();
  }

  #rest(): number {
    this.#raising = false;
    this.#candidate = IDLE;
    this.#timeoutAt = Infinity;
    return IDLE;
  }

  #try(candidate: number, now: Millis): number {
    // A probe must not look like a fragmentation test: the answer to that is another.
    this.#candidate = candidate + ETHERNET_HEADER === FRAG_TEST ? candidate - 1 : candidate;
    this.#attempts = 0;
    return this.#probe(now);
  }

  #probe(now: Millis): number {
    this.#timeoutAt = after(now, FIRST_TIMEOUT_MS << this.#attempts);
    this.#attempts++;
    return this.#candidate;
  }

  #settle(): void {
    this.#mtu = this.#good;
    this.#maxPayload = this.#good + this.overheads.df - this.overheads.outer;
  }
}
