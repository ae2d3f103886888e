/** Payload of the channel `topology` (source: spec mesh.md, section 6.2). */
import { bad, type Decoded, good } from "../../core/brand.ts";
import { concatBytes } from "../../core/bytes.ts";
import { peerNameFromBytes, peerNameToBytes, type PeerUid, toShortId } from "../../core/names.ts";
import type { PeerRecord, PeerSummary } from "../../core/topology_record.ts";
import { GobDecoder } from "./gob_decode.ts";
import { GobEncoder } from "./gob_encode.ts";
import type { GobType } from "./gob_types.ts";
import { LINK_SUMMARIES, LinkReader } from "./mesh_links.ts";
import { encodeLinks } from "./mesh_links_encode.ts";
import { nicknameOf } from "./mesh_text.ts";

/** Records that are read of one payload: twice as many as there are short ids. */
export const MAX_RECORDS = 8192;

const PEER_SUMMARY = {
  kind: "struct",
  name: "peerSummary",
  fields: [
    ["NameByte", "bytes"],
    ["NickName", "string"],
    ["UID", "uint"],
    ["Version", "uint"],
    ["ShortID", "uint"],
    ["HasShortID", "bool"],
  ],
} as const satisfies GobType;

/** Encodes payloads and remembers the bytes of each record object, so that sending a record again is a copy. */
export class TopologyEncoder {
  readonly #gob = new GobEncoder();
  readonly #definitions = concatBytes(this.#gob.define(PEER_SUMMARY), this.#gob.define(LINK_SUMMARIES));
  readonly #encoded = new WeakMap<PeerRecord, Uint8Array>();

  /** The payload of some peers' records, in the order given; no peers give no bytes. */
  encode(peers: Iterable<PeerRecord>): Uint8Array<ArrayBuffer> {
    const parts: Uint8Array[] = [];
    for (const peer of peers) {
      const bytes = this.#encoded.get(peer) ?? this.#record(peer);
      this.#encoded.set(peer, bytes);
      parts.push(bytes);
    }
    return parts.length === 0 ? new Uint8Array(0) : concatBytes(this.#definitions, ...parts);
  }

  #record(peer: PeerRecord): Uint8Array {
    const summary = {
      NameByte: peerNameToBytes(peer.name),
      NickName: peer.nickname,
      UID: peer.uid as bigint,
      Version: peer.version,
      ShortID: BigInt(peer.shortId ?? 0),
      HasShortID: peer.shortId !== undefined,
    };
    return concatBytes(this.#gob.encode(summary, PEER_SUMMARY), encodeLinks(peer.links, this.#gob));
  }
}

/**
 * Decodes a payload; each record has at most one link to a peer. A last record without its links is dropped in
 * silence, a short id beyond 4095 is taken as none, and what no mesh can have is left out: records beyond MAX_RECORDS,
 * links beyond MAX_LINKS, the rest of a very long nickname. None of it is worth a connection, as it need not be the
 * sender's fault; only more links in one payload than any peer encodes is.
 *
 * Records that are not `wanted` come without links: theirs stay unread, which is most of the work.
 */
export function decodeTopology(
  bytes: Uint8Array,
  wanted: (summary: PeerSummary) => boolean = () => true,
): Decoded<readonly PeerRecord[]> {
  const gob = new GobDecoder(bytes);
  const reader = new LinkReader();
  const peers: PeerRecord[] = [];
  while (!gob.atEnd() && peers.length < MAX_RECORDS) {
    const summary = gob.next(PEER_SUMMARY);
    if (!summary.ok) return bad(`topology record ${peers.length}: ${summary.reason}`);
    const { NameByte, NickName, UID, Version, ShortID, HasShortID } = summary.value;
    const name = peerNameFromBytes(NameByte);
    if (name === undefined) return bad(`topology record ${peers.length}: name is longer than 48 bits`);
    if (gob.atEnd()) break;
    const shortId = HasShortID ? toShortId(Number(ShortID)) : undefined;
    const about = { name, nickname: nicknameOf(NickName), uid: UID as PeerUid, version: Version, shortId };
    const links = wanted(about) ? gob.nextBy(reader) : gob.skip("slice");
    if (!links.ok) return bad(`links of ${name}: ${links.reason}`);
    peers.push({ ...about, links: links.value ?? [] });
  }
  return good(peers);
}
