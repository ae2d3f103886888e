/** Keeps strangers from filling the log, whatever text they choose. */
import type { Millis } from "../../core/time.ts";
import { TokenBucket } from "../../core/token_bucket.ts";

/** The same kind of fault of the same source is logged at most this often, milliseconds. */
export const LOG_INTERVAL = 300_000;
/** Lines of all sources and kinds that may come at once, and milliseconds until one more may. */
export const LOG_RATE = { burst: 30, refill: 10_000 } as const;
const MAX_KEYS = 1_024;

/** Remembers what was said lately, and counts what was left out. */
export class LogLimit {
  readonly #said = new Map<string, Millis>();
  readonly #lines: TokenBucket;
  #leftOut = 0;

  constructor(now: Millis) {
    this.#lines = new TokenBucket(LOG_RATE.burst, { refill: LOG_RATE.refill, now });
  }

  /** Whether a fault of this kind may be logged now: undefined, or how many lines were left out since the last one.
   * `kind` is one of few: never a text that the source has chosen. */
  pass(source: string, kind: string, now: Millis): number | undefined {
    const key = `${kind} ${source}`;
    const last = this.#said.get(key);
    if (last !== undefined && now - last < LOG_INTERVAL || this.#lines.take(now) > 0) {
      this.#leftOut++;
      return undefined;
    }
    this.#said.delete(key);
    this.#said.set(key, now);
    if (this.#said.size > MAX_KEYS) this.#said.delete(this.#said.keys().next().value!);
    const leftOut = this.#leftOut;
    this.#leftOut = 0;
    return leftOut;
  }
}
