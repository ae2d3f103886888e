/** The connection maker: which addresses to dial, and when (source: spec mesh.md, section 9). */
import { type Endpoint, formatEndpoint, type Ip, parseEndpoint } from "../../core/addr.ts";
import type { PeerName } from "../../core/names.ts";
import type { Random } from "../../core/ports.ts";
import { after, type Millis } from "../../core/time.ts";
import type { AttemptId } from "../mesh_ids.ts";
import { Discovery } from "./candidates.ts";
import type { AttemptEnd, ConnectorEffect, ConnectorView } from "./connector_types.ts";
import { type DialTarget, type NameNews, nameNews, type TargetView, viewOf } from "./dial_target.ts";
import {
  firstInterval,
  reached,
  RENEW_SPREAD,
  retryAfterChange,
  retryAfterFailure,
  retryAfterLoss,
  type RetryContext,
} from "./retry.ts";
import { reachedBy, waitFor, yields } from "./reach.ts";
import { Renewal } from "./renewal.ts";
import { dialAddress, parseDialTarget } from "./target.ts";

const MAX_ATTEMPTS = 32;
const MAX_ADDRESSES = 16;
/** A peer whose connection is lost is dialled where it may be for this long, milliseconds. */
export const FOLLOW_TIME = 600_000;
const MAX_FOLLOWED = 256;

/** Decides which addresses to dial. Call `request()` after every change and `due()` whenever `nextWake()` has passed;
 * report each attempt's fate with `resolved()`, `connected()` and `ended()`. Unknown attempts are ignored. */
export class Connector {
  readonly #targets = new Map<string, DialTarget>();
  readonly #discovery: Discovery;
  readonly #attempts = new Map<AttemptId, DialTarget>();
  #serial = 0;
  #evaluateAt = Infinity;
  #evaluated = -Infinity;
  #nextTry = Infinity;
  readonly #renewal = new Renewal();
  #followed = 0;
  /** What isGiven() looks at; undefined when it has to be made anew. */
  #given: Set<Ip> | undefined;

  constructor(
    readonly options: {
      readonly self: PeerName;
      /** Our own mesh port. */
      readonly port: number;
      /** Whether addresses learnt from other peers are dialled. */
      readonly discovery: boolean;
      readonly random: Random;
    },
  ) {
    this.#discovery = new Discovery(options);
  }

  /** The direct targets, as given. */
  get direct(): readonly string[] {
    return [...this.#targets.values()].filter((t) => t.direct !== undefined).map((t) => t.key);
  }

  /** Whether this address is one of a direct target, or one at which a lost peer is looked for. */
  isGiven(ip: Ip): boolean {
    this.#given ??= this.#addressesGiven();
    return this.#given.has(ip);
  }

  #addressesGiven(): Set<Ip> {
    const given = new Set<Ip>();
    for (const { direct, until, addresses } of this.#targets.values()) {
      if (direct === undefined && until === undefined) continue;
      for (const address of addresses) given.add(parseEndpoint(address)!.ip);
    }
    return given;
  }

  /** Adds direct targets, or makes them due now if they are known; `replace` forgets all others first. Returns the
   * reasons for which texts were refused. */
  connect(texts: readonly string[], options: { readonly replace: boolean; readonly now: Millis }): string[] {
    const refused: string[] = [];
    if (options.replace) this.forget(this.direct.filter((key) => !texts.includes(key)));
    for (const text of texts) {
      const known = this.#targets.get(text);
      const spec = parseDialTarget(text);
      if (!spec.ok) {
        refused.push(spec.reason);
      } else if (known?.direct === undefined) {
        if (known !== undefined) this.#drop(known);
        const { ip, port } = spec.value;
        const addresses = ip === undefined ? [] : [dialAddress(ip, port, this.options.port)];
        this.#add({ key: text, direct: spec.value, addresses, tryAt: options.now });
      } else if (known.phase === "idle") {
        if (known.peer === this.options.self) known.peer = undefined;
        known.satisfied = false;
        known.tryAt = options.now;
        known.interval = firstInterval(known);
      }
    }
    this.request(options.now);
    return refused;
  }

  /** A peer to which the connection is lost, or probably is, may be at this address: it is dialled there for a while,
   * no matter which end dialled before. */
  follow(peer: PeerName, endpoint: Endpoint, now: Millis): void {
    const address = formatEndpoint(endpoint);
    // A target that led to the very connection that is lost now is still in use: another one takes its turn.
    const keys = [`${peer}@${address}`, `${peer}@${address} again`] as const;
    const key = this.#targets.get(keys[0])?.phase === "connected" ? keys[1] : keys[0];
    const known = this.#targets.get(key);
    const until = after(now, FOLLOW_TIME);
    if (known !== undefined) {
      known.until = until;
    } else if (this.#followed < MAX_FOLLOWED && endpoint.port !== 0) {
      const tryAt = after(now, this.options.random.below(RENEW_SPREAD.direct));
      this.#add({ key, direct: undefined, addresses: [address], tryAt, peer, until });
      this.#followed++;
    }
    this.request(now);
  }

  /** Forgets direct targets by the text they were given as; existing connections stay. */
  forget(texts: readonly string[]): void {
    for (const text of texts) {
      const target = this.#targets.get(text);
      if (target?.direct !== undefined) this.#drop(target);
    }
  }

  /** Asks for a new evaluation. After a quiet time it is made at once. Otherwise it waits: the larger the mesh, the longer. */
  request(now: Millis): void {
    this.#evaluateAt = Math.min(this.#evaluateAt, Math.max(now, this.#evaluated + this.#gap()));
  }

  /** This host's interfaces, addresses or routes have changed: what failed before may work now. `come`: addresses that it
   * has got. */
  networkChanged(now: Millis, come: readonly Ip[] = []): void {
    this.#renewal.changed(come, now);
  }

  /** A name was looked up: its addresses, or why it has none. Gives what is news of that. */
  resolved(attempt: AttemptId, answer: readonly Ip[] | string, now: Millis): NameNews | undefined {
    const target = this.#attempts.get(attempt);
    if (target?.phase !== "resolving") return undefined;
    this.#attempts.delete(attempt);
    if (typeof answer === "string" || answer.length === 0) {
      const reason = typeof answer === "string" ? answer : `${target.direct?.host} has no address`;
      this.#later(target, { reason, absent: true }, now);
      return nameNews(target, reason);
    }
    const port = target.direct?.port;
    target.addresses = answer.slice(0, MAX_ADDRESSES).map((ip) => dialAddress(ip, port, this.options.port));
    this.#given = undefined;
    target.at = 0;
    target.phase = "ready";
    this.#evaluateAt = now;
    return nameNews(target, undefined);
  }

  /** The connection of an attempt was added to the table. */
  connected(attempt: AttemptId, peer: PeerName, now: Millis): void {
    const target = this.#attempts.get(attempt);
    if (target === undefined) return;
    target.since = now;
    target.phase = "connected";
    target.peer = peer;
    target.error = undefined;
  }

  /** An attempt failed, or its connection ended. */
  ended(attempt: AttemptId, end: AttemptEnd, now: Millis): void {
    const target = this.#attempts.get(attempt);
    if (target === undefined) return;
    this.#attempts.delete(attempt);
    if (end.peer !== undefined) target.peer = end.peer;
    if (end.used && !end.never) {
      retryAfterLoss(target, this.#at(now), true);
      this.#idle(target, end.reason);
    } else if (target.phase === "dialing" && !end.never && end.peer === undefined && this.#another(target)) {
      target.error = end.reason;
      this.#evaluateAt = now;
      return;
    } else {
      this.#later(target, end, now);
    }
    this.request(now);
  }

  /** Evaluates the targets and starts what is due; nothing before `nextWake()`. */
  due(view: ConnectorView, now: Millis): readonly ConnectorEffect[] {
    if (now < this.nextWake()) return [];
    this.#evaluateAt = Infinity;
    this.#evaluated = now;
    this.#refresh(view, now);
    const effects: ConnectorEffect[] = now < this.#renewal.at ? [] : this.#renew(view, now);
    let inFlight = 0;
    for (const { phase, direct } of this.#targets.values()) {
      if (phase === "dialing" && direct === undefined) inFlight++;
    }
    this.#nextTry = Infinity;
    const coming = new Set(view.introducing());
    for (const target of this.#targets.values()) {
      if (target.satisfied) continue;
      if (coming.size > 0 && target.tryAt <= now) waitFor(coming, target, now);
      if (target.phase === "idle" && target.tryAt <= now) {
        if (view.full) {
          this.#later(target, { reason: "the connection limit is reached: raise --conn-limit" }, now);
        } else if (target.direct !== undefined || inFlight++ < MAX_ATTEMPTS) {
          this.#start(target, effects, now);
        }
      }
      if (target.phase === "ready") this.#dial(target, effects, now);
      if (target.phase === "idle" && target.tryAt > now) {
        this.#nextTry = Math.min(this.#nextTry, target.tryAt);
      }
    }
    return effects;
  }

  /** Earliest time at which `due()` could do something. */
  nextWake(): number {
    const next = Math.max(this.#nextTry, this.#evaluated + this.#gap());
    return Math.min(this.#evaluateAt, this.#renewal.at, next);
  }

  /** All targets, direct ones first, for people. */
  views(): readonly TargetView[] {
    const views = [...this.#targets.values()].map((target) => viewOf(target, this.options.self));
    return [...views.filter((v) => v.direct), ...views.filter((v) => !v.direct)];
  }

  /** Least time between two evaluations: each looks at all links of the mesh. */
  #gap(): number {
    return Math.min(2_000, Math.max(10, this.#discovery.size / 20));
  }

  #add(
    fresh: Pick<DialTarget, "key" | "direct" | "addresses" | "tryAt" | "until"> & {
      readonly peer?: PeerName;
    },
  ): void {
    const state = {
      at: 0,
      phase: "idle",
      attempt: undefined,
      error: undefined,
    } as const;
    const interval = firstInterval(fresh);
    const times = { interval, pause: interval, since: -Infinity };
    this.#given = undefined;
    this.#targets.set(fresh.key, { peer: undefined, satisfied: false, ...state, ...times, ...fresh });
  }

  #drop(target: DialTarget): void {
    this.#given = undefined;
    if (this.#targets.delete(target.key) && target.until !== undefined) this.#followed--;
    if (target.attempt !== undefined) this.#attempts.delete(target.attempt);
  }

  #attempt(target: DialTarget, phase: "resolving" | "dialing", now: Millis): AttemptId {
    const attempt = ++this.#serial as AttemptId;
    target.since = now;
    target.phase = phase;
    target.attempt = attempt;
    this.#attempts.set(attempt, target);
    return attempt;
  }

  #start(target: DialTarget, effects: ConnectorEffect[], now: Millis): void {
    if (target.direct !== undefined && target.direct.ip === undefined) {
      const attempt = this.#attempt(target, "resolving", now);
      effects.push({ kind: "resolve", attempt, host: target.direct.host });
    } else {
      target.at = 0;
      target.phase = "ready";
    }
  }

  #dial(target: DialTarget, effects: ConnectorEffect[], now: Millis): void {
    const address = parseEndpoint(target.addresses[target.at]!)!; // addresses are made by dialAddress or checked
    const attempt = this.#attempt(target, "dialing", now);
    const direct = target.direct !== undefined;
    effects.push({ kind: "dial", attempt, address, direct, expected: direct ? undefined : target.peer });
  }

  #another(target: DialTarget): boolean {
    if (target.at + 1 >= target.addresses.length) return false;
    target.at++;
    target.phase = "ready";
    target.attempt = undefined;
    return true;
  }

  #idle(target: DialTarget, error: string | undefined): void {
    target.phase = "idle";
    target.attempt = undefined;
    target.error = error;
    this.#nextTry = Math.min(this.#nextTry, target.tryAt);
  }

  #later(target: DialTarget, end: AttemptEnd, now: Millis): void {
    if (end.never) target.tryAt = Infinity;
    else retryAfterFailure(target, this.#at(now), end.absent ?? false);
    this.#idle(target, end.reason);
  }

  /** Makes all targets due soon that wait although the network may work by now, and gives up what hangs. */
  #renew(view: ConnectorView, now: Millis): ConnectorEffect[] {
    this.#renewal.begun(now);
    const effects: ConnectorEffect[] = [];
    for (const target of this.#targets.values()) {
      const { attempt } = target;
      if (this.#renewal.hangs(target, now) && !view.hasConnection(attempt!)) {
        this.#attempts.delete(attempt!);
        effects.push({ kind: "abandon", attempt: attempt! });
        this.#idle(target, target.error);
      }
      if (target.phase !== "idle" || target.satisfied || target.tryAt === Infinity) continue;
      retryAfterChange(target, this.#at(now));
    }
    return effects;
  }

  #at(now: Millis): RetryContext {
    return { now, random: this.options.random };
  }

  /** Brings targets in line with the connections and with what other peers publish. */
  #refresh(view: ConnectorView, now: Millis): void {
    const byAddress = new Map<string, PeerName>();
    const inbound = new Map<Ip, PeerName>();
    for (const { peer, address, ip, outbound } of view.connections()) {
      byAddress.set(address, peer);
      if (!outbound) inbound.set(ip, peer);
    }
    const taken = new Set<string>();
    const busy = new Set<string>(); // direct targets that dial these, or soon will
    for (const target of this.#targets.values()) {
      if (target.direct === undefined) continue;
      for (const address of target.addresses) taken.add(address);
      if (target.phase !== "connected") { for (const address of target.addresses) busy.add(address); }
      if (target.phase !== "idle" && target.phase !== "ready") continue;
      const self = target.peer === this.options.self;
      const peer = self ? target.peer : reachedBy(target, { view, byAddress, inbound });
      if (peer !== undefined && !target.satisfied) reached(target, now);
      if (peer === undefined && target.satisfied) retryAfterLoss(target, this.#at(now), false);
      target.satisfied = peer !== undefined;
      if (peer !== undefined) target.peer = peer;
      if (target.satisfied) target.phase = "idle";
    }
    // While enough discovered addresses wait for their turn, it is enough to drop those that are reached by now.
    const found = this.#discovery.search(view, { now, enough: this.#waiting(view) >= MAX_ATTEMPTS });
    for (const target of [...this.#targets.values()]) {
      if (target.direct !== undefined || target.phase === "dialing" || target.phase === "connected") continue;
      if (target.until !== undefined) {
        const idle = now < target.until && !view.isConnected(target.peer!) && !busy.has(target.addresses[0]!);
        if (!idle) this.#drop(target);
        continue;
      }
      const gone = found !== undefined
        ? !found.has(target.key)
        : target.peer !== undefined && view.isConnected(target.peer);
      if (gone || byAddress.has(target.key) || taken.has(target.key)) this.#drop(target);
    }
    for (const [address, peer] of found ?? []) {
      if (this.#targets.has(address) || byAddress.has(address) || taken.has(address)) continue;
      const endpoint = parseEndpoint(address);
      if (endpoint === undefined || endpoint.port === 0 || formatEndpoint(endpoint) !== address) continue;
      // Both ends discover each other at the same moment: one of them lets the other dial first.
      const patience = Math.min(4_000, 500 + Math.sqrt(this.#discovery.size) * 20);
      const pause = yields(this.options.self, peer) ? patience + this.options.random.below(500) : 0;
      this.#add({ key: address, direct: undefined, addresses: [address], tryAt: after(now, pause), peer });
    }
  }

  /** Discovered addresses that are being tried, or worth a try and not tried yet. */
  #waiting(view: ConnectorView): number {
    let count = 0;
    for (const { direct, phase, error, peer } of this.#targets.values()) {
      if (direct !== undefined || phase === "connected" || (phase === "idle" && error !== undefined)) {
        continue;
      }
      if (peer !== undefined && !view.isConnected(peer)) count++;
    }
    return count;
  }
}
