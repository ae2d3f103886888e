/** How often those are answered who are no clients of this host: somebody may send queries in another's name. */
import type { Millis } from "../../core/time.ts";

/** Answers to one network of 256 addresses: so many at once, and so many a second. */
const BURST = 100;
const RATE = 50;
/** Networks that are told apart; those that share a place share their answers. */
const PLACES = 4_096;
/** Of the queries beyond the rate, every so many gets an answer that asks to come again over TCP. */
const SLIP = 2;

/** What a query is worth. */
export type Limited = "answer" | "cut" | "drop";

/** Bounded, whatever comes: at most BURST and RATE full answers. Beyond them a victim gets fewer octets than the attacker
 * sends. */
export class ResponseLimit {
  readonly #tokens = new Float64Array(PLACES).fill(BURST);
  readonly #counted = new Float64Array(PLACES);
  /** Queries that were not answered in full. */
  limited = 0;

  /** `seed` is random, so that nobody knows who shares a place. */
  constructor(readonly seed: number) {}

  /** Whether a query from a source is answered, answered without records and marked as cut off, or dropped. */
  judge(source: number, now: Millis): Limited {
    let hash = Math.imul((source >>> 8) ^ this.seed, 0x9e3779b1);
    hash = Math.imul(hash ^ hash >>> 15, 0x85ebca6b);
    const place = (hash ^ hash >>> 13) & (PLACES - 1);
    const gained = Math.max(0, now - this.#counted[place]!) * RATE / 1_000;
    const tokens = Math.min(BURST, this.#tokens[place]! + gained);
    this.#counted[place] = now;
    this.#tokens[place] = tokens >= 1 ? tokens - 1 : tokens;
    if (tokens >= 1) return "answer";
    return this.limited++ % SLIP === 0 ? "cut" : "drop";
  }
}
