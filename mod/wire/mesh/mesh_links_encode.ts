/** Writes lists of links in the payload of the channel `topology` (source: spec mesh.md, section 6.2). */
import { peerNameToBytes } from "../../core/names.ts";
import type { LinkRecord } from "../../core/topology_record.ts";
import type { GobEncoder } from "./gob_encode.ts";
import { LINK_SUMMARIES } from "./mesh_links.ts";

/** Most bytes of a link besides its address: field numbers, lengths, name, flags, end. */
const LINK_OVERHEAD = 15;
/** Room for the length of the message, the type and the count of links. */
const HEAD = 24;

/**
 * The gob message of a list of links, whose type the stream has defined already. Written straight to bytes, many times
 * faster than by the general encoder, and equal to what that gives; addresses out of the ordinary are left to it.
 */
export function encodeLinks(links: readonly LinkRecord[], gob: GobEncoder): Uint8Array {
  let size = HEAD;
  for (const { address } of links) {
    size += LINK_OVERHEAD + address.length;
    if (address.length >= 0x80) return general(links, gob);
  }
  const out = new Uint8Array(size);
  let at = HEAD;
  for (const link of links) {
    const written = writeLink(out, at, link);
    if (written < 0) return general(links, gob);
    at = written;
  }
  // [length][type][no struct][count], from the back; an empty list shows how the type is written.
  const empty = gob.encode([], LINK_SUMMARIES);
  let start = prependUint(out, HEAD, links.length);
  const before = empty.subarray(1, empty.length - 1); // without its length and its count, one byte each
  start -= before.length;
  out.set(before, start);
  start = prependUint(out, start, at - start);
  return out.subarray(start, at);
}

/** Writes one link; returns where it ends, or -1 when its address is not ASCII. */
function writeLink(
  out: Uint8Array,
  start: number,
  { peer, address, outbound, established }: LinkRecord,
): number {
  let at = start;
  let field = 0;
  out[at++] = 1;
  out[at++] = 6;
  for (let i = 0; i < 17; i += 3) out[at++] = hex(peer.charCodeAt(i)) << 4 | hex(peer.charCodeAt(i + 1));
  if (address.length > 0) {
    out[at++] = 1;
    field = 1;
    out[at++] = address.length;
    for (let i = 0; i < address.length; i++) {
      const code = address.charCodeAt(i);
      if (code >= 0x80) return -1;
      out[at++] = code;
    }
  }
  if (outbound) {
    out[at++] = 2 - field;
    out[at++] = 1;
    field = 2;
  }
  if (established) {
    out[at++] = 3 - field;
    out[at++] = 1;
  }
  out[at++] = 0;
  return at;
}

/** Writes an unsigned number that ends before `end`; returns where it starts. */
function prependUint(out: Uint8Array, end: number, value: number): number {
  let at = end;
  if (value < 0x80) {
    out[--at] = value;
    return at;
  }
  for (let rest = value; rest > 0; rest = Math.floor(rest / 256)) out[--at] = rest & 0xff;
  const bytes = end - at;
  out[--at] = 256 - bytes;
  return at;
}

function hex(code: number): number {
  return code <= 57 ? code - 48 : code - 87;
}

function general(links: readonly LinkRecord[], gob: GobEncoder): Uint8Array {
  const list = links.map((link) => ({
    NameByte: peerNameToBytes(link.peer),
    RemoteTCPAddr: link.address,
    Outbound: link.outbound,
    Established: link.established,
  }));
  return gob.encode(list, LINK_SUMMARIES);
}
