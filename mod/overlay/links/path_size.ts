/** What the path of a user-space link carries: the MTU, proven as often as somebody depends on it, and fragments. */
import { after, type Millis } from "../../core/time.ts";
import type { SleeveOverheads } from "../../wire/mesh/sleeve.ts";
import { MTU_KICK, type SpecialFrame } from "../../wire/mesh/sleeve_special.ts";
import { ETHERNET_HEADER } from "../../wire/packet/ethernet.ts";
import type { LinkUse, PathMtus } from "../ports/sleeve_port.ts";
import type { ForwarderEvent } from "./forwarder.ts";
import type { WatchEvent } from "./sleeve_watch.ts";
import { MtuSearch, SURELY_GOOD } from "./mtu_search.ts";

/** While large datagrams go out, the path is proven to carry such this often: routers may keep silent about a change. */
export const MTU_RECHECK_MS = 3_000;
/** Interval of tests whether fragments arrive. */
export const FRAG_TEST_MS = 300_000;
/** Size that makes the kernel say what the interface takes. */
const KICK_MTU = MTU_KICK - ETHERNET_HEADER;
const NO_EVENTS: readonly SpecialEvent[] = [];

/** A special frame to send. */
export type SpecialEvent = Extract<ForwarderEvent, { readonly kind: "special" }>;

/** How it is known whether a path that loses large packets carries anything at all. */
export interface PathWatch {
  /** Whether the peer has answered a small packet since then. */
  answeredSince(time: Millis): boolean;
  /** Sends a small packet that is answered. */
  announce(now: Millis): readonly WatchEvent[];
}

/** What a path's size is made of. */
export interface PathSizeOptions {
  readonly overheads: SleeveOverheads;
  /** FRAG_TEST_MS unless given. */
  readonly fragTestMs?: number | undefined;
  /** Undefined between ends that cannot ask each other: then what is lost is lost for its size. */
  readonly watch: PathWatch | undefined;
}

/** See above. Methods return what is to be sent. */
export class PathSize {
  /** What user space says about the datagrams that it sends. */
  readonly use: LinkUse;
  readonly #search: MtuSearch;
  readonly #surelyGood: number;
  #fragmentsArrive = false;
  #nextFragTest = Infinity;
  #nextRecheck = Infinity;

  constructor(readonly options: PathSizeOptions) {
    this.#search = new MtuSearch(options.overheads);
    this.#surelyGood = SURELY_GOOD + options.overheads.df - options.overheads.outer;
    this.use = { largest: this.#surelyGood, asleep: true };
  }

  /** Largest inner IP packet. */
  get mtu(): number {
    return this.#search.mtu;
  }
  /** Largest UDP payload with DF. */
  get maxPayload(): number {
    return this.#search.maxPayload;
  }
  /** Whether the MTU will probably rise again in a moment. */
  get unsettled(): boolean {
    return this.#search.unsettled;
  }
  /** Whether large datagrams arrive when they are fragmented on the way. */
  get fragmentsArrive(): boolean {
    return this.#fragmentsArrive;
  }

  /** The link works: test everything. */
  start(now: Millis): readonly SpecialEvent[] {
    return [...this.#testFragments(now), kick()];
  }

  /** Traffic comes to this path that went elsewhere until now. */
  check(now: Millis): readonly SpecialEvent[] {
    return probe(this.#search.prove(this.mtu, now));
  }

  /** This may be another path than before. */
  look(): readonly SpecialEvent[] {
    return [kick()];
  }

  /** Nothing arrives any more. */
  lost(): void {
    this.#search.abandon();
  }

  /** Fragments have arrived. */
  fragments(): void {
    this.#fragmentsArrive = this.#nextFragTest < Infinity;
  }

  /** A probe for inner packets of this size has arrived. */
  verified(mtu: number, now: Millis): readonly SpecialEvent[] {
    return this.#searching(now, () => this.#search.verified(mtu, now));
  }

  /** The kernel refused a DF packet, see MtuSearch.refused(). */
  refused(mtus: PathMtus, now: Millis): readonly SpecialEvent[] {
    return probe(this.#search.refused(mtus, now));
  }

  /** Traffic goes out, perhaps large: see `use`. */
  trafficBegins(now: Millis): void {
    if (this.use.largest > this.#surelyGood && this.#nextRecheck === Infinity) {
      this.#nextRecheck = after(now, MTU_RECHECK_MS);
    }
  }

  /** Time has passed. `works`: whether the link does. */
  wake(now: Millis, works: boolean): readonly WatchEvent[] {
    const events: WatchEvent[] = [];
    if (now >= this.#nextFragTest) events.push(...this.start(now));
    if (now >= this.#nextRecheck) events.push(...this.#recheck(now, works));
    if (now >= this.#search.nextWake()) events.push(...this.#searchOn(now));
    return events;
  }

  /** Earliest time at which wake() does something. */
  nextWake(): number {
    return Math.min(this.#nextFragTest, this.#nextRecheck, this.#search.nextWake());
  }

  /** Proves that the path carries datagrams as large as the largest that went out since the last time. */
  #recheck(now: Millis, works: boolean): readonly SpecialEvent[] {
    const { use } = this;
    const payload = use.largest;
    use.largest = this.#surelyGood;
    use.asleep = payload <= this.#surelyGood;
    this.#nextRecheck = use.asleep ? Infinity : after(now, MTU_RECHECK_MS);
    if (use.asleep || !works) return NO_EVENTS;
    const { df, outer } = this.options.overheads;
    return probe(this.#search.prove(payload + outer - df, now));
  }

  #searchOn(now: Millis): readonly WatchEvent[] {
    const { watch } = this.options;
    const alive = (since: Millis) => watch === undefined || watch.answeredSince(since);
    const events = this.#searching(now, () => this.#search.wake(now, alive));
    if (events.length === 0) return NO_EVENTS;
    if (this.#search.stalled) return [...events, kick()];
    // A small packet beside the large one: if neither arrives, it is not the size.
    return this.#search.lastAttempt ? [...events, ...watch?.announce(now) ?? NO_EVENTS] : events;
  }

  #testFragments(now: Millis): readonly SpecialEvent[] {
    this.#nextFragTest = now + (this.options.fragTestMs ?? FRAG_TEST_MS);
    this.#fragmentsArrive = false;
    return [{ kind: "special", df: false, frame: { kind: "frag-test" } }];
  }

  /** A step of the search. A path that swallows large packets in silence may do so with fragments, which are as large:
   * until that is known, packets are better cut here. */
  #searching(now: Millis, step: () => number): readonly SpecialEvent[] {
    const before = this.#search.mtu;
    const events = probe(step());
    return this.#search.mtu < before ? [...events, ...this.#testFragments(now)] : events;
  }
}

function probe(mtu: number): readonly SpecialEvent[] {
  return mtu === 0 ? NO_EVENTS : [special({ kind: "mtu-probe", mtu })];
}

function kick(): SpecialEvent {
  return special({ kind: "mtu-probe", mtu: KICK_MTU });
}

function special(frame: SpecialFrame): SpecialEvent {
  return { kind: "special", df: true, frame };
}
