/** Clamps the segment size that a TCP handshake announces to what a path carries (RFC 9293, 3.7.1). */
import { updateChecksum } from "../../core/checksum.ts";
import { ETHERTYPE } from "./ethernet.ts";
import { IPV4_HEADER, IPV4_OFFSET, IPV6_HEADER, putU16, u16At } from "./inner_frame.ts";
import { IP_PROTOCOL, isExtension, isTag, MAX_EXTENSIONS, MAX_TAGS, TCP_FLAG } from "./transport.ts";

const TCP_HEADER = 20;
const CHECKSUM = 16;
const OPTION = { end: 0, nothing: 1, mss: 2 } as const;
const MSS_LENGTH = 4;
/** Every host accepts this much; a smaller size is never announced. */
const LEAST_MSS = 536;

/** Octets of a tag, by which a packet in the frame must be shorter. */
const TAG = 4;

/**
 * If the frame in `[from, to)` opens a TCP connection, over IPv4 or IPv6, behind up to two tags and extension headers:
 * makes it announce at most what fits where `mtu` is that of untagged IP packets. True when that changed it. `complete`:
 * its checksum is, and stays so; a partial one does not cover the option yet. Takes anything.
 */
export function clampMss(
  bytes: Uint8Array,
  from: number,
  to: number,
  path: { readonly mtu: number; readonly complete: boolean },
): boolean {
  let type = from + 12;
  for (let tags = 0; tags < MAX_TAGS && type + TAG + 2 <= to && isTag(u16At(bytes, type)); tags++) {
    type += TAG;
  }
  const ip = type + 2;
  const tcp = synAt(bytes, ip, to);
  if (tcp < 0) return false;
  const end = Math.min(to, tcp + (bytes[tcp + 12]! >>> 4 << 2));
  const header = u16At(bytes, type) === ETHERTYPE.ipv6 ? IPV6_HEADER : IPV4_HEADER;
  // Senders subtract what they put in front by themselves: extension headers, options (RFC 6691).
  const mss = Math.max(LEAST_MSS, path.mtu - (type - from - 12) - TCP_HEADER - header);
  for (let at = tcp + TCP_HEADER; at < end && bytes[at] !== OPTION.end;) {
    const kind = bytes[at]!;
    const length = kind === OPTION.nothing ? 1 : at + 1 < end ? bytes[at + 1]! : 0;
    if (length === 0 || length === 1 && kind !== OPTION.nothing || at + length > end) return false;
    if (kind === OPTION.mss && length === MSS_LENGTH) {
      return u16At(bytes, at + 2) > mss && putMss(bytes, tcp, at + 2, mss, path.complete);
    }
    at += length;
  }
  return false;
}

function putMss(bytes: Uint8Array, tcp: number, at: number, mss: number, complete: boolean): true {
  const old = u16At(bytes, at);
  putU16(bytes, at, mss);
  if (!complete) return true;
  // An option may start at any octet; then its words straddle those of the checksum.
  const odd = (at - tcp & 1) === 1;
  const [before, after] = odd ? [swap(old), swap(mss)] : [old, mss];
  putU16(bytes, tcp + CHECKSUM, updateChecksum(u16At(bytes, tcp + CHECKSUM), before, after));
  return true;
}

function swap(word: number): number {
  return (word & 0xff) << 8 | word >>> 8;
}

/** Start of the TCP header of a SYN whose IP header is at `ip`, behind its type; -1 when there is none. */
function synAt(bytes: Uint8Array, ip: number, to: number): number {
  if (to - ip < IPV4_HEADER + TCP_HEADER) return -1;
  const type = u16At(bytes, ip - 2);
  let tcp: number;
  if (type === ETHERTYPE.ipv4) {
    const header = (bytes[ip]! & 15) << 2;
    const first = (u16At(bytes, ip + 6) & IPV4_OFFSET) === 0;
    if (bytes[ip + 9] !== IP_PROTOCOL.tcp || header < IPV4_HEADER || !first) return -1;
    tcp = ip + header;
  } else if (type === ETHERTYPE.ipv6) tcp = skipExtensions(bytes, ip, to);
  else return -1;
  return tcp >= 0 && tcp + TCP_HEADER <= to && (bytes[tcp + 13]! & TCP_FLAG.syn) !== 0 ? tcp : -1;
}

/** What follows the headers in front of TCP in an IPv6 packet; -1 when it is something else. */
function skipExtensions(bytes: Uint8Array, ip: number, to: number): number {
  let at = ip + IPV6_HEADER;
  let next = bytes[ip + 6]!;
  for (let seen = 0; isExtension(next); seen++) {
    if (seen === MAX_EXTENSIONS || at + 8 > to) return -1;
    next = bytes[at]!;
    at += (bytes[at + 1]! + 1) * 8;
  }
  return next === IP_PROTOCOL.tcp ? at : -1;
}
