/** Clamps the segment size that a TCP handshake announces to what a path carries (RFC 9293, 3.7.1). */
import { updateChecksum } from "../core/checksum.ts";
import { ETHERNET_HEADER, ETHERTYPE } from "./ethernet.ts";
import { IPV4_HEADER, IPV6_HEADER, putU16, u16At } from "./inner_frame.ts";
import { IP_PROTOCOL, TCP_FLAG } from "./transport.ts";

const TCP_HEADER = 20;
const CHECKSUM = 16;
const OPTION = { end: 0, nothing: 1, mss: 2 } as const;
const MSS_LENGTH = 4;
/** What every host accepts without being told; nobody is told less. */
const LEAST_MSS = 536;

/**
 * If the frame in `[from, to)` opens a TCP connection, over IPv4 or IPv6, untagged and without extension headers: makes
 * it announce at most what fits IP packets of `mtu`. True when that changed it. `complete`: its checksum is, and stays
 * so; a partial one does not cover the option yet. Takes anything.
 */
export function clampMss(
  bytes: Uint8Array,
  from: number,
  to: number,
  path: { readonly mtu: number; readonly complete: boolean },
): boolean {
  const tcp = synAt(bytes, from, to);
  if (tcp < 0) return false;
  const end = Math.min(to, tcp + (bytes[tcp + 12]! >>> 4 << 2));
  const isIpv6 = bytes[from + 13] === 0xdd;
  const mss = Math.max(LEAST_MSS, path.mtu - TCP_HEADER - (isIpv6 ? IPV6_HEADER : IPV4_HEADER));
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

/** Start of the TCP header of a SYN; -1 when the frame is none. */
function synAt(bytes: Uint8Array, from: number, to: number): number {
  const ip = from + ETHERNET_HEADER;
  if (to - ip < IPV4_HEADER + TCP_HEADER) return -1;
  const type = u16At(bytes, from + 12);
  let tcp: number;
  if (type === ETHERTYPE.ipv4) {
    const header = (bytes[ip]! & 15) << 2;
    const first = (u16At(bytes, ip + 6) & 0x1fff) === 0;
    if (bytes[ip + 9] !== IP_PROTOCOL.tcp || header < IPV4_HEADER || !first) return -1;
    tcp = ip + header;
  } else if (type === ETHERTYPE.ipv6 && bytes[ip + 6] === IP_PROTOCOL.tcp) tcp = ip + IPV6_HEADER;
  else return -1;
  return tcp + TCP_HEADER <= to && (bytes[tcp + 13]! & TCP_FLAG.syn) !== 0 ? tcp : -1;
}
