/** Feeds a decoder what the network could: everything it gets must make it return. */
import { toHex } from "../../mod/core/bytes.ts";
import type { Random } from "../../mod/core/ports.ts";
import { seededRandom, withSeed } from "./properties.ts";

/** How hard to try. */
export interface FuzzOptions {
  /** Mutated copies of each sample; 200 unless given. */
  readonly mutations?: number;
  /** Inputs of random bytes; 200 unless given. */
  readonly randoms?: number;
  /** Longest random input; 256 unless given. */
  readonly longest?: number;
  /** Truncations tried per sample, spread evenly; all of them unless given. */
  readonly truncations?: number;
}

/**
 * Calls `decode` with each truncation of each sample, with seeded mutations of the samples and with random bytes.
 * It must return each time; what it returns is not looked at, except that `undefined` counts as forgetting to.
 */
export function fuzz(
  decode: (bytes: Uint8Array<ArrayBuffer>) => unknown,
  samples: readonly Uint8Array[],
  options: FuzzOptions = {},
): void {
  const { mutations = 200, randoms = 200, longest = 256, truncations = Infinity } = options;
  const random = seededRandom();
  const attempt = (what: string, bytes: Uint8Array<ArrayBuffer>) => {
    try {
      if (decode(bytes) !== undefined) return;
    } catch (error) {
      throw new Error(`decoder threw ${error} on ${what}: ${toHex(bytes)}`, { cause: error });
    }
    throw new Error(`decoder returned nothing on ${what}: ${toHex(bytes)}`);
  };
  withSeed(() => {
    for (const sample of samples) {
      const step = Math.max(1, Math.ceil(sample.length / truncations));
      for (let end = 0; end < sample.length; end += step) {
        attempt(`truncation to ${end}`, sample.slice(0, end));
      }
      for (let i = 0; i < mutations; i++) attempt("mutation", mutate(sample, random));
    }
    for (let i = 0; i < randoms; i++) attempt("random bytes", random.bytes(random.below(longest + 1)));
  });
}

/** A copy with one to four changes: a byte replaced, a bit flipped, a run removed, repeated or inserted. */
export function mutate(sample: Uint8Array, random: Random): Uint8Array<ArrayBuffer> {
  let bytes = [...sample];
  for (let changes = 1 + random.below(4); changes > 0; changes--) {
    const at = random.below(Math.max(1, bytes.length));
    const run = 1 + random.below(8);
    switch (random.below(6)) {
      case 0:
        bytes[at] = random.below(256);
        break;
      case 1:
        bytes[at] = (bytes[at] ?? 0) ^ (1 << random.below(8));
        break;
      case 2: // the values at which length fields break
        bytes[at] = [0x00, 0x7f, 0x80, 0xf8, 0xff][random.below(5)]!;
        break;
      case 3:
        bytes.splice(at, run);
        break;
      case 4:
        bytes.splice(at, 0, ...bytes.slice(at, at + run));
        break;
      default:
        bytes = [...bytes.slice(0, at), ...random.bytes(run), ...bytes.slice(at)];
    }
  }
  return Uint8Array.from(bytes);
}
