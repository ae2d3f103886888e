/** Who came to this host lately and was not let in: from where, why, how often. */
import type { Ip } from "../../core/addr.ts";
import type { PeerName } from "../../core/names.ts";
import type { Millis } from "../../core/time.ts";
import type { Connection, ConnectionEnd } from "./connection.ts";
import { sourceOf } from "./doorman.ts";

/** What is older is forgotten, milliseconds. */
export const REFUSAL_MEMORY = 600_000;
/** Most that are remembered: one more takes the place of the one that was quiet for longest. */
export const MAX_REFUSALS = 64;
/** Spans in which refusals are counted together, milliseconds. */
const SPAN = 60_000;
const SPANS = REFUSAL_MEMORY / SPAN;

/** One host that was not let in, for one reason. */
export interface RefusalView {
  readonly ip: Ip;
  /** The name that it gave; undefined: it did not come that far. */
  readonly peer: PeerName | undefined;
  readonly nickname: string | undefined;
  /** A sentence without full stop. */
  readonly reason: string;
  /** How often in the last ten minutes. */
  readonly count: number;
  /** Milliseconds since the last time. */
  readonly agoMs: number;
}

interface Refusal {
  ip: Ip;
  peer: PeerName | undefined;
  nickname: string | undefined;
  reason: string;
  last: Millis;
  /** By span: how often, and which span that was. */
  readonly counts: { span: number; count: number }[];
}

/** Remembers refusals by source and kind, so that nobody fills the table with texts of his choice. */
export class Refusals {
  readonly #known = new Map<string, Refusal>();
  /** Where a peer was let in lately, and when. */
  readonly #letIn = new Map<Ip, Millis>();

  /** A connection of others ended before it was one of a peer. Duplicates are no refusals: the peer is connected. */
  ended(connection: Connection, { kind = "introduction", reason }: ConnectionEnd, now: Millis): void {
    const { outbound, remote: { ip } } = connection.origin;
    if (outbound || kind === "duplicate" || this.#isCrossing(connection, kind)) return;
    const { name: peer, nickname } = connection.introduced?.remote ?? {};
    this.#note({ ip, peer, nickname, reason }, kind, now);
  }

  /** A connection was not even greeted: its source had its share. */
  turnedAway(ip: Ip, now: Millis): void {
    const reason = "too many connections came from there, or from strangers altogether";
    this.#note({ ip, peer: undefined, nickname: undefined, reason }, "turned-away", now);
  }

  /** A peer is connected from there now: what went wrong on the way to that is of no interest. */
  letIn(ip: Ip, now: Millis): void {
    for (const kind of ["introduction", "turned-away"]) {
      const key = `${kind} ${sourceOf(ip)}`;
      if (this.#known.get(key)?.ip === ip) this.#known.delete(key);
    }
    this.#letIn.delete(ip);
    this.#letIn.set(ip, now);
    if (this.#letIn.size > MAX_REFUSALS) this.#letIn.delete(this.#letIn.keys().next().value!);
  }

  /** Those of the last ten minutes, the latest first. */
  list(now: Millis): readonly RefusalView[] {
    return [...this.#known.values()].filter(({ last }) => now - last < REFUSAL_MEMORY).reverse()
      .map(({ counts, ip, last, nickname, peer, reason }) => ({
        ...{ ip, peer, nickname, reason },
        count: counts.filter(({ span }) => spanOf(now) - span < SPANS).reduce(
          (sum, { count }) => sum + count,
          0,
        ),
        agoMs: Math.max(0, now - last),
      }));
  }

  /** Two hosts that dial each other close one of both connections, perhaps before it is introduced. */
  #isCrossing({ origin, since }: Connection, kind: string): boolean {
    return kind === "introduction" && (this.#letIn.get(origin.remote.ip) ?? -Infinity) >= since;
  }

  #note(
    { ip, ...said }: Pick<Refusal, "ip" | "peer" | "nickname" | "reason">,
    kind: string,
    now: Millis,
  ): void {
    const key = `${kind} ${sourceOf(ip)}`;
    const refusal: Refusal = this.#known.get(key) ?? { ip, ...said, last: now, counts: [] };
    Object.assign(refusal, { ip, ...said, last: now });
    const span = spanOf(now);
    const place = span % SPANS;
    const counted = refusal.counts[place];
    refusal.counts[place] = { span, count: (counted?.span === span ? counted.count : 0) + 1 };
    this.#known.delete(key); // the table is in order of time
    this.#known.set(key, refusal);
    if (this.#known.size > MAX_REFUSALS) this.#known.delete(this.#known.keys().next().value!);
  }
}

function spanOf(now: Millis): number {
  return Math.floor(now / SPAN);
}
