/** What sleeve must know of a frame to send it well (source: spec dataplane.md 5.7). Reads in place, allocates nothing. */
import { ETHERNET_HEADER, ETHERTYPE } from "./ethernet.ts";

/** Largest IPv4 packet, and largest payload of an IPv6 packet. */
export const LARGEST_PACKET = 65_535;
/** Octets of an IPv4 header without options. */
export const IPV4_HEADER = 20;
/** Octets of an IPv6 header. */
export const IPV6_HEADER = 40;
/** IPv4: do not fragment. As in the 16 bits of flags and offset. */
export const IPV4_DF = 0x4000;
/** IPv4: more fragments follow. */
export const IPV4_MF = 0x2000;
/** IPv4: the offset in flags and offset, in units of 8 octets. */
export const IPV4_OFFSET = 0x1fff;

/** The big-endian 16 bits at `at`. */
export function u16At(bytes: Uint8Array, at: number): number {
  return bytes[at]! << 8 | bytes[at + 1]!;
}

/** Writes big-endian 16 bits. */
export function putU16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}

/**
 * Octets of the IPv4 header of the frame in `[from, to)`; 0 unless well-formed IPv4 follows directly after the Ethernet
 * header: tagged frames are not looked into.
 */
export function ipv4HeaderOf(bytes: Uint8Array, from: number, to: number): number {
  const ip = from + ETHERNET_HEADER;
  if (to - ip < IPV4_HEADER || u16At(bytes, from + 12) !== ETHERTYPE.ipv4) return 0;
  const first = bytes[ip]!;
  const header = (first & 15) << 2;
  const total = u16At(bytes, ip + 2);
  return first >>> 4 === 4 && header >= IPV4_HEADER && total >= header && total <= to - ip ? header : 0;
}

/** Whether the frame in `[from, to)` is IPv6 with a whole header, untagged. */
export function isIpv6(bytes: Uint8Array, from: number, to: number): boolean {
  const ip = from + ETHERNET_HEADER;
  return to - ip >= IPV6_HEADER && u16At(bytes, from + 12) === ETHERTYPE.ipv6 && bytes[ip]! >>> 4 === 6;
}
