/** Requests of this host: tried once, and again whenever something has changed (source: spec ipam.md, section 6). */
import { type Cidr, formatCidr, type Ip } from "../core/addr.ts";
import type { PeerName } from "../core/names.ts";
import type { IpamRange } from "../wire/ipam/ipam_types.ts";
import type { AllocatorEvent, IpamRefusal, RequestId } from "./allocator_types.ts";
import { ASIDE, NOBODY } from "./owned.ts";
import type { Parts } from "./parts.ts";
import { commonSpan, type Span, subnetFault } from "./universe.ts";
import { badSubnet, exhausted, noRing, outOfRange, ownedByOther, refusal, waitsToBeHeard } from "./words.ts";

/** A peer that was asked for space is given so long before another one is asked. */
export const ASK_MS = 5_000;
/** Most requests that wait. */
const MAX_WAITING = 4_096;
/** A claim whose owner cannot be reached is given up at this try. */
const CLAIM_TRIES = 6;

type Allocate = Extract<AllocatorEvent, { kind: "allocate" }>;
type Claim = Extract<AllocatorEvent, { kind: "claim" }>;
type Prime = Extract<AllocatorEvent, { kind: "prime" }>;
/** A request that can wait. */
export type Waiting =
  | { readonly kind: "prime"; readonly event: Prime }
  | { readonly kind: "claim"; readonly event: Claim; tries: number; answered: boolean }
  | { readonly kind: "allocate"; readonly event: Allocate };

/** What others were asked about one range. */
interface Inquiry {
  /** Whose answer is awaited, until a time. */
  asked: { readonly peer: PeerName; readonly until: number; readonly moves: number } | undefined;
  /** Who has nothing for us, and until when we believe that. */
  readonly denied: Map<PeerName, number>;
}

/** In which order they are tried. */
const ORDER = ["prime", "claim", "allocate"] as const;

/** What waits, and how it is tried. */
export class Requests {
  readonly #parts: Parts;
  readonly #establish: () => void;
  readonly #waiting = new Map<RequestId, Waiting>();
  /** Whom we have asked for space, by the range asked for. */
  readonly #inquiries = new Map<string, Inquiry>();

  /** `establish` sees to it that there will be a ring. */
  constructor(parts: Parts, establish: () => void) {
    this.#parts = parts;
    this.#establish = establish;
  }

  /** What waits. */
  get waiting(): Iterable<Waiting> {
    return this.#waiting.values();
  }

  /** How many requests wait. */
  get count(): number {
    return this.#waiting.size;
  }

  /** Whether one needs the range shared out. */
  get needRing(): boolean {
    return [...this.#waiting.values()].some(({ event, kind }) => kind !== "claim" || event.quiet !== true);
  }

  /** When the first of them is due to fail. */
  get firstDue(): number {
    let due = Infinity;
    for (const { event } of this.#waiting.values()) due = Math.min(due, event.patience.until);
    return due;
  }

  /** Tries a request; if it cannot be answered yet, it waits. */
  add(request: Waiting): void {
    const { id } = request.event;
    if (this.#parts.gone) return this.#parts.refuse(id, refusal("shut-down", "This host has left"));
    if (this.#try(request)) return;
    if (this.#expired(request)) return;
    if (this.#waiting.size >= MAX_WAITING) {
      const hint = "Try again when others have been answered";
      return this.#fail(
        request,
        refusal("too-many", `Cannot wait: ${MAX_WAITING} requests wait already`, hint),
      );
    }
    this.#waiting.set(id, request);
  }

  /** Tries everything that waits. */
  retry(): void {
    for (const kind of ORDER) {
      for (const [id, request] of [...this.#waiting]) {
        if (request.kind !== kind || !this.#waiting.has(id)) continue;
        if (this.#try(request) || this.#expired(request)) this.#waiting.delete(id);
      }
    }
    if (this.#waiting.size === 0 || this.#inquiries.size > MAX_WAITING) this.#inquiries.clear();
  }

  /** A peer has answered: it may be asked again if ranges have moved since; else it knows less than we do. */
  heard(peer: PeerName): void {
    for (const inquiry of this.#inquiries.values()) {
      const { asked } = inquiry;
      if (asked?.peer === peer && asked.moves !== this.#parts.moves) inquiry.asked = undefined;
    }
  }

  /** A peer has nothing for us in a range: claims of addresses in it fail, allocations ask others. */
  denied(peer: PeerName, range: IpamRange): void {
    const inquiry = this.#inquiries.get(keyOf(range));
    if (inquiry?.asked?.peer === peer) inquiry.asked = undefined;
    inquiry?.denied.set(peer, this.#parts.now + ASK_MS);
    const { wireStart } = this.#parts.universe;
    for (const [id, request] of [...this.#waiting]) {
      if (request.kind !== "claim") continue;
      const at = this.#parts.universe.offsetOf(request.event.cidr.ip);
      if (at === undefined || wireStart + at < range.start || wireStart + at >= range.end) continue;
      this.#waiting.delete(id);
      this.#fail(request, ownedByOther(formatCidr(request.event.cidr), peer, this.#parts));
    }
    this.retry();
  }

  /** Somebody waits no longer. */
  cancel(matches: (request: Waiting) => boolean): void {
    for (const [id, request] of [...this.#waiting]) {
      if (!matches(request)) continue;
      this.#waiting.delete(id);
      const what = request.kind === "prime"
        ? "Prime"
        : `${request.kind === "claim" ? "Claim" : "Allocate"} request for ${request.event.ident}`;
      this.#fail(request, refusal("cancelled", `${what} cancelled`));
    }
  }

  /** Claims of a holder that were answered already and go on by themselves are wanted no longer: those of one address, or
   * all. Gives whether there were any. */
  withdraw(ident: string, ip: Ip | undefined): boolean {
    const before = this.#waiting.size;
    for (const [id, request] of [...this.#waiting]) {
      if (request.kind !== "claim" || !request.answered || request.event.ident !== ident) continue;
      if (ip === undefined || request.event.cidr.ip === ip) this.#waiting.delete(id);
    }
    return this.#waiting.size < before;
  }

  /** True when the request is answered. */
  #try(request: Waiting): boolean {
    switch (request.kind) {
      case "prime":
        return this.#prime(request.event);
      case "claim":
        return this.#claim(request);
      case "allocate":
        return this.#allocate(request.event);
    }
  }

  /** Fails a request whose patience is at its end. */
  #expired(request: Waiting): boolean {
    const { until, noWait } = request.event.patience;
    const late = this.#parts.now >= until;
    if (!late && !(noWait && !this.#parts.holding && !this.#isAsked(request))) return false;
    this.#fail(request, this.#whyLate(request));
    return true;
  }

  #whyLate(request: Waiting): IpamRefusal {
    const { ring, election, universe } = this.#parts;
    if (ring.isEmpty) {
      const { joins, waitsToJoin } = this.#parts;
      if (joins !== undefined && waitsToJoin) return waitsToBeHeard(joins, this.#parts);
      const known = election?.known.size ?? 0;
      return noRing(election?.quorum ?? 0, known, election === undefined);
    }
    if (request.kind !== "claim") {
      const subnet = request.kind === "allocate" ? universe.spanOf(request.event.subnet) : undefined;
      return exhausted(subnet ?? universe.span, this.#parts);
    }
    const owner = ring.ownerOf(universe.offsetOf(request.event.cidr.ip)!)!;
    return ownedByOther(formatCidr(request.event.cidr), owner, this.#parts);
  }

  #fail(request: Waiting, why: IpamRefusal): void {
    const { id } = request.event;
    if (request.kind === "claim" && request.answered) this.#parts.note("claim-failed", why.message);
    else this.#parts.refuse(id, why);
  }

  #prime({ id }: Prime): boolean {
    this.#parts.joinsNobody(); // it is a person who asks
    this.#establish();
    if (this.#parts.ring.isEmpty) return false;
    this.#parts.answer(id, { kind: "done" });
    return true;
  }

  #allocate({ id, ident, subnet, isContainer }: Allocate): boolean {
    const { universe, owned, ring, space } = this.#parts;
    const fault = subnetFault(subnet);
    if (fault !== undefined) return this.#refused(id, badSubnet(subnet, fault));
    const whole = universe.spanOf(subnet);
    const existing =
      owned.of(ident).find(({ ip, prefix }) =>
        prefix === subnet.prefix && within(universe.offsetOf(ip), whole)
      ) ?? owned.of(ident).find(({ ip }) => within(universe.offsetOf(ip), whole));
    if (existing !== undefined) {
      this.#parts.answer(id, { kind: "address", cidr: existing });
      return true;
    }
    if (whole === undefined || commonSpan(whole, universe.span) === undefined) {
      return this.#refused(id, outOfRange(subnet, universe));
    }
    const blocked = this.#parts.blocked();
    if (blocked !== undefined) return this.#refused(id, blocked);
    if (this.#parts.holding) return false;
    this.#establish();
    if (ring.isEmpty) return false;
    const at = space.allocate({ start: whole.start + 1, end: whole.end - 1 });
    if (at === undefined) {
      this.#ask(whole);
      return false;
    }
    const cidr = this.#parts.cidrAt(at, subnet.prefix);
    this.#parts.hold(ident, cidr, isContainer);
    this.#parts.answer(id, { kind: "address", cidr });
    return true;
  }

  #refused(id: RequestId, why: IpamRefusal): true {
    this.#parts.refuse(id, why);
    return true;
  }

  /** Asks one of those who have free addresses, the more the likelier, unless one was asked a moment ago. */
  #ask(span: Span): void {
    const { ring, options, now } = this.#parts;
    if (this.#isAwaited(span)) return;
    const denied = this.#inquiries.get(keyOf(this.#onWire(span)))?.denied;
    let [best, weight] = [undefined as PeerName | undefined, -1];
    for (const [peer, free] of ring.donors(span)) {
      const drawn = free * (options.random.below(2 ** 30) + 1);
      const may = this.#parts.reaches(peer) && now >= (denied?.get(peer) ?? 0);
      if (may && drawn > weight) [best, weight] = [peer, drawn];
    }
    if (best !== undefined) this.#request(best, span);
  }

  #request(peer: PeerName, span: Span): void {
    const range = this.#onWire(span);
    const key = keyOf(range);
    const inquiry: Inquiry = this.#inquiries.get(key) ?? { asked: undefined, denied: new Map() };
    inquiry.asked = { peer, until: this.#parts.now + ASK_MS, moves: this.#parts.moves };
    this.#inquiries.set(key, inquiry);
    this.#parts.send(peer, { kind: "request", range });
  }

  #onWire({ start, end }: Span): IpamRange {
    const { wireStart } = this.#parts.universe;
    return { start: Math.max(0, wireStart + start), end: Math.min(0xffff_ffff, wireStart + end) };
  }

  /** Whether an answer about a range is awaited. */
  #isAwaited(span: Span): boolean {
    const asked = this.#inquiries.get(keyOf(this.#onWire(span)))?.asked;
    return asked !== undefined && asked.until > this.#parts.now && this.#parts.reaches(asked.peer);
  }

  /** Whether an answer about what a request needs is awaited. */
  #isAsked(request: Waiting): boolean {
    const { universe } = this.#parts;
    if (request.kind === "prime") return false;
    if (request.kind === "allocate") {
      const span = universe.spanOf(request.event.subnet);
      return span !== undefined && this.#isAwaited(span);
    }
    const at = universe.offsetOf(request.event.cidr.ip);
    return at !== undefined && this.#isAwaited({ start: at, end: at + 1 });
  }

  #claim(request: Extract<Waiting, { kind: "claim" }>): boolean {
    const { id, ident, cidr, isContainer, lenient } = request.event;
    const { universe, owned, ring, space } = this.#parts;
    const at = universe.offsetOf(cidr.ip);
    if (request.event.evenAside === true && owned.holderOf(cidr.ip) === ASIDE) {
      this.#parts.release(ASIDE, cidr.ip);
      this.#parts.aside.delete(cidr.ip);
    }
    const holder = owned.holderOf(cidr.ip);
    const ok = (): true => {
      if (!request.answered) this.#parts.answer(id, { kind: "address", cidr });
      return request.answered = true;
    };
    if (at === undefined) {
      const isDead = holder !== undefined && holder !== ident && this.#parts.dead.has(holder);
      if (isDead) this.#parts.release(holder, cidr.ip);
      if (holder === undefined || isDead) this.#parts.hold(ident, cidr, isContainer);
      else if (holder !== ident && ident !== NOBODY) return this.#taken(request, cidr, holder);
      return ok();
    }
    if (holder !== undefined && space.used.has(at)) {
      if (holder === ident || ident === NOBODY) return ok();
      return this.#taken(request, cidr, holder);
    }
    const blocked = this.#parts.blocked();
    if (blocked !== undefined) {
      this.#fail(request, blocked);
      return true;
    }
    if (this.#parts.holding) return false;
    if (request.event.quiet !== true) this.#establish();
    request.tries++;
    const owner = ring.ownerOf(at);
    if (owner === undefined) {
      if (lenient) ok();
      return false;
    }
    if (owner === this.#parts.self) {
      space.claim(at);
      this.#parts.hold(ident, cidr, isContainer);
      return ok();
    }
    if (this.#parts.reaches(owner)) {
      if (!this.#isAsked(request)) this.#request(owner, { start: at, end: at + 1 });
      return false;
    }
    if (lenient) ok();
    else if (request.tries >= CLAIM_TRIES) {
      const why = ownedByOther(formatCidr(cidr), owner, this.#parts);
      const message = `${why.message} - unknown relay destination: ${owner}`;
      this.#fail(request, { ...why, message });
      return true;
    }
    return false;
  }

  #taken(request: Waiting, cidr: Cidr, holder: string): true {
    const text = formatCidr(cidr);
    const filed = holder === cidr.ip;
    const inside = this.#parts.universe.offsetOf(cidr.ip) !== undefined;
    const message = filed
      ? `address ${text} already in use`
      : holder === ASIDE
      ? `address ${text} is set aside: somebody uses it who was not given it`
      : inside
      ? `address ${text} is already owned by ${holder}`
      : `address ${text} already in use by ${holder}`;
    this.#fail(request, refusal("in-use", message, "Choose another address, or release this one first"));
    return true;
  }
}

function keyOf({ start, end }: IpamRange): string {
  return `${start}-${end}`;
}

function within(at: number | undefined, span: Span | undefined): boolean {
  return at !== undefined && span !== undefined && at >= span.start && at < span.end;
}
