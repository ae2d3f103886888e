/** Chance that nobody can guess. */
import type { Random } from "../core/ports.ts";

const MOST = 2 ** 48;
/** Most octets that one call of getRandomValues gives. */
const CHUNK = 65_536;

/** The system's source of randomness, cryptographically strong. */
export class SystemRandom implements Random {
  readonly #draw = new Uint8Array(6);
  readonly #view = new DataView(this.#draw.buffer);

  /** Uniform integer in [0, bound); bound is a whole number in 1..2^48. */
  below(bound: number): number {
    if (!Number.isInteger(bound) || bound < 1 || bound > MOST) {
      throw new RangeError(`Cannot draw a number: bound is ${bound}`);
    }
    const fair = MOST - MOST % bound; // draws from here on would favour small numbers
    for (;;) {
      crypto.getRandomValues(this.#draw);
      const drawn = this.#view.getUint16(0) * 0x1_0000_0000 + this.#view.getUint32(2);
      if (drawn < fair) return drawn % bound;
    }
  }

  /** `count` random bytes. */
  bytes(count: number): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(count);
    for (let at = 0; at < count; at += CHUNK) crypto.getRandomValues(bytes.subarray(at, at + CHUNK));
    return bytes;
  }
}
