/** Bounds a rate. */
import type { Millis } from "./time.ts";

/** Holds up to `size` tokens and gains one every `refill` milliseconds. */
export class TokenBucket {
  #tokens: number;
  #counted: number;

  constructor(readonly size: number, readonly options: { readonly refill: number; readonly now: Millis }) {
    this.#tokens = size;
    this.#counted = options.now;
  }

  /** Takes one token and returns 0, or takes none and returns the whole milliseconds until there is one. */
  take(now: Millis): number {
    const { refill } = this.options;
    const gained = Math.floor((now - this.#counted) / refill);
    this.#tokens = Math.min(this.size, this.#tokens + gained);
    this.#counted = this.#tokens === this.size ? now : this.#counted + gained * refill;
    if (this.#tokens === 0) return Math.max(1, Math.ceil(this.#counted + refill - now));
    this.#tokens--;
    return 0;
  }
}
