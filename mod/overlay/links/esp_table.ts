/** Paths that are guarded because a link over them must be sealed, and what outlives the links: see mod/ipsec/README.md. */
import type { Ip } from "../../core/addr.ts";
import { after, type Millis } from "../../core/time.ts";
import type { EspPath, EspSa, WantedPath, XfrmEffect, XfrmNews } from "../ports/esp_port.ts";
import type { EspSession } from "./esp_session.ts";
import { HOLD_MAX_MS } from "../paths/hold.ts";

/** After the last sealed link of a path has ended in order, flows of the kernel still have to go. */
export const RELEASE_MS = 10_000;
/** Associations of a link that broke stay so long once another link carries. */
export const SUPERSEDED_MS = 60_000;
/** Policies and associations are looked at this often, whatever the kernel tells. */
export const KEEP_MS = 30_000;
/** And at most this often, when the kernel tells that other programs change them. */
export const LEAST_KEEP_MS = 20;
/** What an earlier run left is removed when nobody has claimed it. */
export const EARLIER_MS = HOLD_MAX_MS;

/** A guarded pair of hosts. */
interface Pair {
  readonly local: Ip;
  readonly remote: Ip;
  /** The sessions of the links of this pair, newest last. */
  readonly sessions: Set<EspSession>;
  /** By UDP port: why it is not guarded; "" is guarded; undefined: not answered yet. */
  readonly ports: Map<number, string | undefined>;
  /** What is in use on each port. */
  readonly carried: Map<number, number>;
  old: { readonly sa: EspSa; until: Millis }[];
  releaseAt: number;
}

/** The pairs. Effects are appended to `out`. */
export class EspTable {
  readonly #pairs = new Map<string, Pair>();
  #earlierAt = Infinity;
  #keepAt = Infinity;
  #keptAt = -Infinity;

  constructor(
    readonly ports: () => readonly number[],
    readonly out: { readonly effects: { push(effect: XfrmEffect): void } },
  ) {}

  /** The data plane has started: what an earlier run left may go after a while. */
  start(now: Millis): void {
    this.#earlierAt = now + EARLIER_MS;
  }

  /** A link that must be sealed is prepared: nothing leaks from now on. */
  hold(session: EspSession): void {
    const { local, remote, port } = session.options.path;
    const key = `${local}>${remote}`;
    let pair = this.#pairs.get(key);
    if (pair === undefined) {
      const parts = { sessions: new Set<EspSession>(), ports: new Map(), carried: new Map() };
      pair = { local, remote, ...parts, old: [], releaseAt: Infinity };
      this.#pairs.set(key, pair);
    }
    pair.sessions.add(session);
    pair.releaseAt = Infinity;
    for (const each of new Set([port, ...this.ports()])) this.#guard(pair, each);
  }

  #guard(pair: Pair, port: number): void {
    const known = pair.ports.get(port);
    if (pair.ports.has(port) && (known === undefined || known === "")) return;
    pair.ports.set(port, undefined);
    const path = { local: pair.local, remote: pair.remote, port };
    this.out.effects.push({ kind: "xfrm", do: "guard", path });
  }

  /** A tunnel port has come: nobody is to use it around the guard. */
  portAppeared(port: number): void {
    for (const pair of this.#pairs.values()) this.#guard(pair, port);
  }

  /** A link in clear is prepared: what an earlier run left must not be in its way. */
  clear(path: EspPath): void {
    if (!this.#pairs.has(`${path.local}>${path.remote}`)) {
      this.out.effects.push({ kind: "xfrm", do: "unguard", path });
    }
  }

  /** The kernel has answered. */
  guarded({ path, reason }: Extract<XfrmNews, { kind: "xfrm-guarded" }>, now: Millis): void {
    this.#pairs.get(`${path.local}>${path.remote}`)?.ports.set(path.port, reason ?? "");
    this.#keepAt = Math.min(this.#keepAt, now + KEEP_MS);
  }

  /** Why a path is not guarded; "" when it is; undefined: not known yet. */
  guardOf({ local, remote }: EspPath): string | undefined {
    const pair = this.#pairs.get(`${local}>${remote}`);
    if (pair === undefined) return "it is not guarded";
    const answers = [...pair.ports.values()];
    const reason = answers.find((answer) => answer !== undefined && answer !== "");
    return reason ?? (answers.includes(undefined) ? undefined : "");
  }

  /** A session has put its association to the peer into use. */
  carries(session: EspSession, now: Millis): void {
    const { local, remote, port } = session.options.path;
    const pair = this.#pairs.get(`${local}>${remote}`);
    if (pair === undefined || session.outbound === undefined) return;
    pair.carried.set(port, session.outbound);
    for (const each of pair.old) each.until = Math.min(each.until, after(now, SUPERSEDED_MS)) as Millis;
  }

  /** A link has ended. `lost`: it broke while in use, and its way may be held. */
  release(session: EspSession, lost: boolean, now: Millis): void {
    const { path } = session.options;
    const pair = this.#pairs.get(`${path.local}>${path.remote}`);
    if (pair === undefined || !pair.sessions.delete(session)) return;
    const { outbound } = session;
    const inUse = outbound !== undefined && pair.carried.get(path.port) === outbound;
    const heir = [...pair.sessions].findLast((other) => other.ready && other.options.path.port === path.port);
    // While another link comes to work, both ends go on with what they have.
    const others = pair.sessions.size > 0;
    const stays = (lost || others) && inUse && heir === undefined;
    if (inUse && !stays) {
      if (heir === undefined) pair.carried.delete(path.port);
      else pair.carried.set(path.port, heir.outbound!);
      this.out.effects.push({ kind: "xfrm", do: "carry", path, spi: heir?.outbound });
    }
    const until = after(now, stays ? HOLD_MAX_MS + RELEASE_MS : SUPERSEDED_MS);
    for (const sa of session.sas()) {
      if (stays || others) pair.old.push({ sa, until });
      else this.out.effects.push({ kind: "xfrm", do: "forget", sa });
    }
    if (pair.sessions.size === 0) {
      pair.releaseAt = Math.max(
        now + RELEASE_MS,
        ...pair.old.map((o) => o.until),
      );
    }
  }

  /** Time has passed. */
  wake(now: Millis): void {
    for (const [key, pair] of this.#pairs) {
      const due = pair.old.filter(({ until }) => now >= until);
      pair.old = pair.old.filter(({ until }) => now < until);
      if (pair.sessions.size === 0 && now >= pair.releaseAt) {
        this.#pairs.delete(key);
        for (const port of pair.ports.keys()) {
          const path = { local: pair.local, remote: pair.remote, port };
          this.out.effects.push({ kind: "xfrm", do: "unguard", path });
        }
      }
      for (const { sa } of due) this.out.effects.push({ kind: "xfrm", do: "forget", sa });
    }
    if (now >= this.#keepAt) this.#keep(now);
    if (now >= this.#earlierAt) {
      this.#earlierAt = Infinity;
      this.out.effects.push({ kind: "xfrm", do: "forget-earlier" });
    }
  }

  /** Another program has changed something: what is guarded is looked at now, or very soon. */
  disturbed(now: Millis): void {
    if (this.#keepAt < Infinity) this.#keepAt = Math.max(now, this.#keptAt + LEAST_KEEP_MS);
  }

  #keep(now: Millis): void {
    this.#keepAt = this.#pairs.size === 0 ? Infinity : now + KEEP_MS;
    this.#keptAt = now;
    const wanted: WantedPath[] = [];
    for (const { local, remote, ports, carried } of this.#pairs.values()) {
      for (const [port, state] of ports) {
        if (state === "") wanted.push({ path: { local, remote, port }, spi: carried.get(port) });
      }
    }
    if (wanted.length > 0) this.out.effects.push({ kind: "xfrm", do: "keep", wanted });
  }

  /** Earliest time at which wake() may do something. */
  nextWake(): number {
    let next = Math.min(this.#earlierAt, this.#keepAt);
    for (const { old, releaseAt, sessions } of this.#pairs.values()) {
      if (sessions.size === 0) next = Math.min(next, releaseAt);
      for (const { until } of old) next = Math.min(next, until);
    }
    return next;
  }
}
