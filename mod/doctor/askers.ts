/** How many questions of others are answered: each asker has a share, and all together have a bound. */
import type { PeerName } from "../core/names.ts";
import type { Millis } from "../core/time.ts";
import { TokenBucket } from "../core/token_bucket.ts";

/** Questions at once, and the milliseconds after which there may be one more. */
const ALL = { size: 64, refill: 50 };
const ONE = { size: 32, refill: 100 };
/** Askers that are remembered; beyond them the one that asked longest ago is forgotten. */
const MOST_ASKERS = 256;

/** Counts questions. */
export class Askers {
  readonly #all: TokenBucket;
  readonly #each = new Map<PeerName, TokenBucket>();

  constructor(now: Millis) {
    this.#all = new TokenBucket(ALL.size, { refill: ALL.refill, now });
  }

  /** How many askers are remembered. */
  get size(): number {
    return this.#each.size;
  }

  /** Whether a question of this peer may be answered now. */
  mayAsk(peer: PeerName, now: Millis): boolean {
    const bucket = this.#each.get(peer) ?? new TokenBucket(ONE.size, { refill: ONE.refill, now });
    this.#each.delete(peer);
    if (this.#each.size >= MOST_ASKERS) this.#each.delete(this.#each.keys().next().value!);
    this.#each.set(peer, bucket);
    return bucket.take(now) === 0 && this.#all.take(now) === 0;
  }
}
