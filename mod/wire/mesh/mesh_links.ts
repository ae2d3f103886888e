/** Lists of links in the payload of the channel `topology`: by far most of its bytes (source: spec mesh.md, section 6.2). */
import { bad, type Decoded, good } from "../../core/brand.ts";
import { type PeerName, peerNameFromBytes, peerNameFromNumber } from "../../core/names.ts";
import type { LinkRecord } from "../../core/topology_record.ts";
import type { QuickReader } from "./gob_decode.ts";
import type { GobType, ValueOf } from "./gob_types.ts";
import { addressText, MAX_ADDRESS } from "./mesh_text.ts";

/** Links that are kept of one list. */
export const MAX_LINKS = 8192;
/** Links that one payload may have, kept or not: as many as a full mesh of 700 peers. */
export const MAX_PAYLOAD_LINKS = 1 << 19;

/** What a list of links is on the wire. */
export const LINK_SUMMARIES = {
  kind: "slice",
  elem: {
    kind: "struct",
    name: "connectionSummary",
    fields: [
      ["NameByte", "bytes"],
      ["RemoteTCPAddr", "string"],
      ["Outbound", "bool"],
      ["Established", "bool"],
    ],
  },
} as const satisfies GobType;

/** A peer that some link led to. */
interface Target {
  readonly peer: PeerName;
  /** Upper 24 bits of the name; the table's key has the others. */
  readonly high: number;
  /** The address at which it was last dialled; most peers dial the same one. */
  dialled: string;
  /** The last list that named it. */
  list: number;
}

/**
 * Reads lists straight from their bytes, many times faster than the general decoder, as long as they are as peers
 * write them. It leaves anything unusual to the general decoder, which knows the reasons for refusals.
 * One reader serves one payload: it shares the strings that repeat.
 */
export class LinkReader implements QuickReader<typeof LINK_SUMMARIES, readonly LinkRecord[]> {
  /** What it reads. */
  readonly type: typeof LINK_SUMMARIES = LINK_SUMMARIES;
  readonly #targets = new Map<number, Target>();
  #list = 0;
  #seen = 0;

  /** The links of the list that is all of `bytes` from `at` on, or undefined if only the general decoder can read it. */
  quick(bytes: Uint8Array, at: number): LinkRecord[] | undefined {
    this.#list++;
    let count = bytes[at++] ?? NaN;
    if (count >= 0x80) { // 256 - n, and n bytes
      const end = at + 256 - count;
      if (end > at + 4 || end > bytes.length) return undefined;
      for (count = 0; at < end; at++) count = count * 256 + bytes[at]!;
    }
    if (!(count <= bytes.length - at && count <= MAX_LINKS)) return undefined;
    if (this.#seen + count > MAX_PAYLOAD_LINKS) return undefined;
    const links: LinkRecord[] = [];
    for (let i = 0; i < count; i++) {
      let high = 0, low = 0, textAt = 0, textEnd = 0, outbound = false, established = false;
      for (let field = -1;;) {
        if (at >= bytes.length) return undefined;
        const delta = bytes[at++]!;
        if (delta === 0) break;
        field += delta;
        if (field > 3 || at >= bytes.length) return undefined;
        const value = bytes[at++]!;
        if (value >= 0x80) return undefined;
        if (field === 2) outbound = value !== 0;
        else if (field === 3) established = value !== 0;
        else if (value > bytes.length - at) return undefined;
        else if (field === 1) {
          textAt = at;
          textEnd = at += value;
        } else {
          if (value > 6) return undefined;
          for (const end = at + value; at < end; at++) {
            high = (high << 8 | low >>> 16) & 0xff_ffff;
            low = (low << 8 | bytes[at]!) & 0xff_ffff;
          }
        }
      }
      const target = this.#target(high, low);
      if (target === undefined) return undefined;
      const address = isText(bytes, textAt, textEnd, target.dialled)
        ? target.dialled
        : asciiText(bytes, textAt, textEnd);
      if (address === undefined) return undefined;
      if (outbound) target.dialled = address;
      links.push({ peer: target.peer, address, outbound, established });
    }
    if (at !== bytes.length) return undefined;
    this.#seen += count;
    return links;
  }

  /** The links that a decoded list stands for: the last one counts of those to the same peer. */
  slow(list: ValueOf<typeof LINK_SUMMARIES>): Decoded<readonly LinkRecord[]> {
    this.#seen += list.length;
    if (this.#seen > MAX_PAYLOAD_LINKS) return bad(`more than ${MAX_PAYLOAD_LINKS} links are listed`);
    const links = new Map<PeerName, LinkRecord>();
    for (const link of list) {
      const peer = peerNameFromBytes(link.NameByte);
      if (peer === undefined) return bad("a name is longer than 48 bits");
      if (links.size >= MAX_LINKS && !links.has(peer)) continue;
      const { RemoteTCPAddr, Outbound: outbound, Established: established } = link;
      const address = addressText(RemoteTCPAddr);
      links.set(peer, { peer, address, outbound, established });
    }
    return good([...links.values()]);
  }

  /** The peer of a name, or undefined if this list has it already or the name has an unusual form. */
  #target(high: number, low: number): Target | undefined {
    const key = (high & 0x3f) << 24 | low; // small integers are far quicker to look up than 48 bits
    const known = this.#targets.get(key);
    if (known === undefined) {
      const peer = peerNameFromNumber(high * 0x100_0000 + low)!;
      const target: Target = { peer, high, dialled: "", list: this.#list };
      this.#targets.set(key, target);
      return target;
    }
    if (known.high !== high || known.list === this.#list) return undefined;
    known.list = this.#list;
    return known;
  }
}

/** Whether some bytes are the ASCII text `text`. */
function isText(bytes: Uint8Array, at: number, end: number, text: string): boolean {
  if (end - at !== text.length) return false;
  // From the back: addresses differ in their ports.
  for (let i = text.length - 1; i >= 0; i--) if (bytes[at + i] !== text.charCodeAt(i)) return false;
  return true;
}

/** Some bytes as address, see addressOf(), or undefined if they are not all ASCII. */
function asciiText(bytes: Uint8Array, at: number, end: number): string | undefined {
  let odd = end - at > MAX_ADDRESS;
  for (let i = at; i < end; i++) {
    if (bytes[i]! >= 0x80) return undefined;
    odd ||= bytes[i]! < 0x20 || bytes[i]! === 0x7f;
  }
  if (odd) return "";
  // Spreading the bytes takes several times as long, as does a TextDecoder.
  return String.fromCharCode.apply(null, bytes.subarray(at, end) as ArrayLike<number> as number[]);
}
