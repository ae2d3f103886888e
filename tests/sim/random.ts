/** Seeded chance: the same seed gives the same draws, for ever and on every machine. */
import type { Random } from "../../mod/core/ports.ts";

/** A Random from a 32-bit seed (mulberry32). */
export class SeededRandom implements Random {
  #state: number;

  constructor(readonly seed: number) {
    this.#state = seed >>> 0;
  }

  /** 32 random bits. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  }
  below(bound: number): number {
    return Math.floor((this.next() * 0x10_0000 + (this.next() >>> 12)) / 2 ** 52 * bound);
  }
  bytes(count: number): Uint8Array<ArrayBuffer> {
    return Uint8Array.from({ length: count }, () => this.next() & 0xff);
  }
  /** True with this probability. */
  chance(probability: number): boolean {
    return this.next() < probability * 2 ** 32;
  }
  /** Uniform in [low, high). */
  between(low: number, high: number): number {
    return low + (high - low) * this.next() / 2 ** 32;
  }
  /** One of the items, of which there is at least one. */
  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }
  /** A source of its own for some part of the simulation. */
  fork(label: number): SeededRandom {
    return new SeededRandom(Math.imul(this.seed ^ 0x9e3779b9, 2654435761) + Math.imul(label + 1, 0x85ebca6b));
  }
}
