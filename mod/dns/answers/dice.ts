/** Chance for answers: quick, even, and of no use for secrets. */
import type { Random } from "../../core/ports.ts";

/** A generator (sfc32) that begins where `random` says. */
export class Dice {
  readonly #state: Uint32Array;

  /** Takes 12 octets of `random`. */
  constructor(random: Random) {
    const bytes = random.bytes(12);
    this.#state = Uint32Array.of(...new Uint32Array(bytes.buffer), 1);
    for (let i = 0; i < 12; i++) this.below(2);
  }

  /** A whole number from 0 to before `bound`, which is at most 2^20 or so. */
  below(bound: number): number {
    const state = this.#state;
    const [a, b, c, counter] = [state[0]!, state[1]!, state[2]!, state[3]!];
    const drawn = (a + b + counter) >>> 0;
    state[3] = counter + 1;
    state[0] = b ^ b >>> 9;
    state[1] = c + (c << 3);
    state[2] = (c << 21 | c >>> 11) + drawn;
    return Math.floor(drawn / 0x1_0000_0000 * bound);
  }
}
