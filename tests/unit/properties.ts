/** Property tests from one printed seed: the only importer of fast-check. */
import fc from "fast-check";
import type { Random } from "../../mod/core/ports.ts";

export { fc };

const DEFAULT_SEED = 20_260_727;

/** The seed of this run: `MESHNET_SEED`, or a fixed number, so that runs are equal unless asked otherwise. */
export const SEED = seedOf(Deno.env.get("MESHNET_SEED"));

function seedOf(text: string | undefined): number {
  const seed = Number(text ?? DEFAULT_SEED);
  if (!Number.isInteger(seed)) throw new TypeError(`MESHNET_SEED is not an integer: ${text}`);
  return seed | 0;
}

/**
 * Runs a property from SEED; a failure names the seed and the shrunk counterexample.
 *
 *     check(fc.property(fc.uint8Array(), (bytes) => { assert.deepEqual(decode(encode(bytes)), bytes); }));
 */
export function check<T>(property: fc.IProperty<T>, options: { runs?: number } = {}): void {
  withSeed(() => fc.assert(property, { seed: SEED, numRuns: options.runs ?? 100 }));
}

/** Runs `body`; if it throws, the error says with which `MESHNET_SEED` it can be repeated. */
export function withSeed<T>(body: () => T): T {
  try {
    return body();
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    throw new Error(`${text}\nrepeat with MESHNET_SEED=${SEED}`, { cause: error });
  }
}

/** A seeded source of chance (mulberry32): equal seeds give equal draws on every machine. */
export function seededRandom(seed: number = SEED): Random {
  let state = seed | 0;
  const next32 = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return (t ^ (t >>> 14)) >>> 0;
  };
  return {
    below: (bound) => Math.floor((next32() * 0x20_0000 + (next32() >>> 11)) / 2 ** 53 * bound),
    bytes: (count) => Uint8Array.from({ length: count }, () => next32() & 0xff),
  };
}
