/** The gossip channel on which neighbours compare what they know of the topology. */
import { bad, type Decoded, good } from "../../core/brand.ts";
import type { PeerName } from "../../core/names.ts";
import type { GossipChannel } from "../../core/ports.ts";
import type { Millis } from "../../core/time.ts";
import { TokenBucket } from "../../core/token_bucket.ts";
import type { TopologyChannel } from "./topology_channel.ts";
import { DIGEST_CHANNEL } from "./topology_digest.ts";

/** Digests that a neighbour may send at once, and milliseconds until one more may: each costs up to 15 ms. */
const DIGEST_BURST = 8;
const DIGEST_REFILL = 1_000;

/** The gossip channel of digests; see topology_digest.ts. */
export class DigestChannel implements GossipChannel {
  /** What it is called on the wire. */
  readonly name: string = DIGEST_CHANNEL;
  readonly #compared = new Map<PeerName, TokenBucket>();

  /** Digests of `topology`, and what follows from those of others. */
  constructor(readonly topology: TopologyChannel) {}

  fullState(): undefined {
    return undefined;
  }
  onGossip(payload: Uint8Array, now: Millis, from?: PeerName): Decoded<undefined> {
    if (from === undefined || !this.#mayCompare(from, now)) return good(undefined);
    return this.topology.onDigest(payload, from);
  }
  onBroadcast(): Decoded<undefined> {
    return bad("digests are not for everybody");
  }
  onUnicast(): Decoded<undefined> {
    return bad("digests are for neighbours");
  }
  onPeersRemoved(peers: readonly PeerName[]): void {
    for (const peer of peers) this.#compared.delete(peer);
  }
  #mayCompare(from: PeerName, now: Millis): boolean {
    let bucket = this.#compared.get(from);
    if (bucket === undefined) {
      bucket = new TokenBucket(DIGEST_BURST, { refill: DIGEST_REFILL, now });
      this.#compared.set(from, bucket);
    }
    return bucket.take(now) === 0;
  }
}
