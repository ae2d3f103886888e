/** Keeps others from filling the log. */
import type { Millis } from "./time.ts";
import { TokenBucket } from "./token_bucket.ts";

/** Says which of many lines of one kind are written, and counts the others. */
export class LineLimit {
  readonly #lines: TokenBucket;
  #leftOut = 0;

  /** `burst` lines may come at once, and one more each `refill` milliseconds. */
  constructor({ burst, refill }: { readonly burst: number; readonly refill: number }, now: Millis) {
    this.#lines = new TokenBucket(burst, { refill, now });
  }

  /** Whether a line may be written now: undefined, or how many were left out since the last one. */
  pass(now: Millis): number | undefined {
    if (this.#lines.take(now) > 0) return this.leaveOut();
    const leftOut = this.#leftOut;
    this.#leftOut = 0;
    return leftOut;
  }

  /** Counts a line that is not written for another reason. */
  leaveOut(): undefined {
    this.#leftOut++;
    return undefined;
  }
}
