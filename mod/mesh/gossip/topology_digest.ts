/**
 * What a peer knows, in a few bytes for each record. Peers that understand digests send one on a new connection instead
 * of all records. Each end then sends only what the other one lacks. An extension of the protocol, between our peers.
 */
import { bad, type Decoded, good } from "../../core/brand.ts";
import { concatBytes } from "../../core/bytes.ts";
import { type PeerName, peerNameToBytes } from "../../core/names.ts";
import type { PeerRecord } from "../../core/topology_record.ts";

/** Announced in the introduction by a peer that understands digests and tells its own record to each neighbour. */
export const DIGEST_EXTENSION = "topology1";
/** The gossip channel of digests; nothing is sent on it to peers without the extension. */
export const DIGEST_CHANNEL = "topology-digest1";

/** Bytes for each record: name, then the folded UID and the low half of the version. */
const ENTRY = 14;
const NAME = 6;
const VERSION = 10;
/**
 * Why a digest is sent; its first byte.
 *
 * - `greeting`: on a new connection to a peer that was not in our mesh. The answer has only records of peers that the
 *   other end does not know: while a mesh starts versions differ anyway, and news of them are under way.
 * - `comparing`: in a quiet moment. The answer has everything that differs.
 * - `greeted`, `compared`: answer these when they showed more than the receiver has.
 */
const PURPOSES = ["greeting", "greeted", "comparing", "compared"] as const;
/** Why a digest is sent. */
export type DigestPurpose = typeof PURPOSES[number];

/** Makes and compares digests: a byte for the purpose, then entries ascending by name. */
export class Digest {
  readonly #chunks = new WeakMap<PeerRecord, Uint8Array>();

  /** The digest of records that ascend by name. */
  encode(records: Iterable<PeerRecord>, purpose: DigestPurpose): Uint8Array<ArrayBuffer> {
    const parts: Uint8Array[] = [Uint8Array.of(PURPOSES.indexOf(purpose))];
    for (const record of records) parts.push(this.#chunk(record));
    return concatBytes(...parts);
  }

  /** Compares a neighbour's digest with records that ascend by name. */
  compare(digest: Uint8Array, records: readonly PeerRecord[]): Decoded<Comparison> {
    if (digest.length % ENTRY !== 1) {
      return bad(`digest has ${digest.length} bytes, expected one and ${ENTRY} for each peer`);
    }
    const same: PeerName[] = [];
    const lacking: PeerName[] = [];
    const purpose = PURPOSES[digest[0]!];
    const brief = purpose === "greeting" || purpose === "greeted";
    let behind = false;
    let at = 1;
    for (const record of records) {
      const ours = this.#chunk(record);
      for (; at < digest.length && order(digest, at, ours) < 0; at += ENTRY) behind = true; // unknown to us
      if (at >= digest.length || order(digest, at, ours) > 0) {
        lacking.push(record.name);
        continue;
      }
      if (equal(digest, at, ours)) same.push(record.name);
      else if (low32(ours, VERSION) < low32(digest, at + VERSION)) behind ||= !brief;
      else if (!brief || low32(ours, NAME) !== low32(digest, at + NAME)) lacking.push(record.name);
      at += ENTRY;
    }
    behind ||= at < digest.length;
    const reply = purpose === "greeting" ? "greeted" : purpose === "comparing" ? "compared" : undefined;
    return good({ same, lacking, reply: behind ? reply : undefined });
  }

  #chunk(record: PeerRecord): Uint8Array {
    let chunk = this.#chunks.get(record);
    if (chunk === undefined) {
      chunk = new Uint8Array(ENTRY);
      chunk.set(peerNameToBytes(record.name));
      const view = new DataView(chunk.buffer);
      view.setUint32(NAME, Number(BigInt.asUintN(32, record.uid ^ (record.uid >> 32n))));
      view.setUint32(NAME + 4, Number(BigInt.asUintN(32, record.version)));
      this.#chunks.set(record, chunk);
    }
    return chunk;
  }
}

/** What a neighbour has of what we have. */
export interface Comparison {
  /** It has these as we have them. */
  readonly same: readonly PeerName[];
  /** It lacks these, or has them in an older state or of another process. */
  readonly lacking: readonly PeerName[];
  /** It has what we lack, and sends it when it gets our digest for this purpose. */
  readonly reply: DigestPurpose | undefined;
}

function order(digest: Uint8Array, at: number, chunk: Uint8Array): number {
  for (let i = 0; i < NAME; i++) {
    const difference = digest[at + i]! - chunk[i]!;
    if (difference !== 0) return difference;
  }
  return 0;
}

function equal(digest: Uint8Array, at: number, chunk: Uint8Array): boolean {
  for (let i = NAME; i < ENTRY; i++) if (digest[at + i] !== chunk[i]) return false;
  return true;
}

function low32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}
