/** Keeps clients that are turned away from filling the log. Pure. */
import type { Millis } from "../../core/time.ts";
import { TokenBucket } from "../../core/token_bucket.ts";

/** So many may come at once, and one more after so many milliseconds. */
export const REFUSALS = { burst: 10, refill: 60_000 } as const;

/** Says which of them are logged. */
export class TurnedAway {
  readonly #lines: TokenBucket;
  #leftOut = 0;

  constructor(now: Millis) {
    this.#lines = new TokenBucket(REFUSALS.burst, { refill: REFUSALS.refill, now });
  }

  /** One was turned away: undefined, or how many were left out since the last line. */
  pass(now: Millis): number | undefined {
    if (this.#lines.take(now) > 0) {
      this.#leftOut++;
      return undefined;
    }
    const leftOut = this.#leftOut;
    this.#leftOut = 0;
    return leftOut;
  }
}
