/** What a router answers to a packet that is too big: ICMP "fragmentation needed" (RFC 792, RFC 1191) and ICMPv6 "packet
 * too big" (RFC 4443), in the name of the packet's destination (source: spec dataplane.md 5.7). */
import { finishSum, internetChecksum, sumWords } from "../../core/checksum.ts";
import { ETHERNET_HEADER, ETHERTYPE } from "./ethernet.ts";
import { IPV4_HEADER, IPV4_OFFSET, ipv4HeaderOf, IPV6_HEADER, isIpv6, putU16, u16At } from "./inner_frame.ts";

/** Octets of the ICMP header, with the field that says the MTU. */
const ICMP_HEADER = 8;
/** IPv4: what is quoted of the packet behind its header. */
const QUOTED = 8;
/** Smallest MTU of IPv6, and so the largest ICMPv6 error. */
export const IPV6_MIN_MTU = 1280;
/** Most octets of any answer. */
export const LONGEST_TOO_BIG = ETHERNET_HEADER + IPV6_MIN_MTU;

const PROTOCOL = { icmp: 1, icmpv6: 58 } as const;
const ICMP_ERRORS: readonly number[] = [3, 4, 5, 11, 12];

/**
 * Writes the answer to the IPv4 frame in `[from, to)` at `at` of another buffer; returns its length. 0: nothing may be
 * answered, because the frame is no IPv4, a later fragment, an ICMP error, or not from one host to one (RFC 1122, 3.2.2).
 */
export function writeFragNeeded(
  bytes: Uint8Array,
  from: number,
  to: number,
  answer: { readonly mtu: number; readonly out: Uint8Array; readonly at: number },
): number {
  const header = ipv4HeaderOf(bytes, from, to);
  const ip = from + ETHERNET_HEADER;
  if (header === 0 || (u16At(bytes, ip + 6) & IPV4_OFFSET) !== 0 || isGroup(bytes, from)) return 0;
  const body = u16At(bytes, ip + 2) - header;
  if (bytes[ip + 9] === PROTOCOL.icmp && (body < 1 || ICMP_ERRORS.includes(bytes[ip + header]!))) return 0;
  if (!isIpv4Host(bytes, ip + 12) || !isIpv4Host(bytes, ip + 16)) return 0;
  const { mtu, out, at } = answer;
  const quoted = header + Math.min(QUOTED, body);
  const icmp = at + ETHERNET_HEADER + IPV4_HEADER;
  swapMacs(bytes, from, out, at);
  putU16(out, at + 12, ETHERTYPE.ipv4);
  const outIp = at + ETHERNET_HEADER;
  out.fill(0, outIp, icmp + ICMP_HEADER);
  out[outIp] = 0x45;
  out[outIp + 1] = bytes[ip + 1]!;
  putU16(out, outIp + 2, IPV4_HEADER + ICMP_HEADER + quoted);
  out[outIp + 8] = 64;
  out[outIp + 9] = PROTOCOL.icmp;
  out.set(bytes.subarray(ip + 16, ip + 20), outIp + 12);
  out.set(bytes.subarray(ip + 12, ip + 16), outIp + 16);
  putU16(out, outIp + 10, internetChecksum(out, outIp, icmp));
  out[icmp] = 3;
  out[icmp + 1] = 4;
  putU16(out, icmp + 6, Math.min(mtu, 0xffff));
  out.set(bytes.subarray(ip, ip + quoted), icmp + ICMP_HEADER);
  const end = icmp + ICMP_HEADER + quoted;
  putU16(out, icmp + 2, internetChecksum(out, icmp, end));
  return end - at;
}

/**
 * Writes the answer to the IPv6 frame in `[from, to)` at `at` of another buffer; returns its length, at most
 * LONGEST_TOO_BIG. An MTU below 1280 is said as 1280: senders must not go lower. 0: nothing may be answered.
 */
export function writePacketTooBig(
  bytes: Uint8Array,
  from: number,
  to: number,
  answer: { readonly mtu: number; readonly out: Uint8Array; readonly at: number },
): number {
  if (!isIpv6(bytes, from, to) || isGroup(bytes, from)) return 0;
  const ip = from + ETHERNET_HEADER;
  const isError = bytes[ip + 6] === PROTOCOL.icmpv6 &&
    (to <= ip + IPV6_HEADER || bytes[ip + IPV6_HEADER]! < 128);
  if (isError || !isIpv6Host(bytes, ip + 8) || !isIpv6Host(bytes, ip + 24)) return 0;
  const { mtu, out, at } = answer;
  const packet = Math.min(to, ip + IPV6_HEADER + u16At(bytes, ip + 4)) - ip;
  const quoted = Math.min(packet, IPV6_MIN_MTU - IPV6_HEADER - ICMP_HEADER);
  swapMacs(bytes, from, out, at);
  putU16(out, at + 12, ETHERTYPE.ipv6);
  const outIp = at + ETHERNET_HEADER;
  const icmp = outIp + IPV6_HEADER;
  out.fill(0, outIp, icmp + ICMP_HEADER);
  out[outIp] = 0x60;
  putU16(out, outIp + 4, ICMP_HEADER + quoted);
  out[outIp + 6] = PROTOCOL.icmpv6;
  out[outIp + 7] = 64;
  out.set(bytes.subarray(ip + 24, ip + 40), outIp + 8);
  out.set(bytes.subarray(ip + 8, ip + 24), outIp + 24);
  out[icmp] = 2;
  putU16(out, icmp + 6, Math.min(Math.max(mtu, IPV6_MIN_MTU), 0xffff));
  out.set(bytes.subarray(ip, ip + quoted), icmp + ICMP_HEADER);
  const end = icmp + ICMP_HEADER + quoted;
  const view = new DataView(out.buffer, out.byteOffset, out.byteLength);
  const pseudo = sumWords(view, outIp + 8, icmp) + PROTOCOL.icmpv6 + ICMP_HEADER + quoted;
  putU16(out, icmp + 2, finishSum(pseudo + sumWords(view, icmp, end)));
  return end - at;
}

function swapMacs(bytes: Uint8Array, from: number, out: Uint8Array, at: number): void {
  for (let i = 0; i < 6; i++) {
    out[at + i] = bytes[from + 6 + i]!;
    out[at + 6 + i] = bytes[from + i]!;
  }
}

/** Whether either MAC of a frame stands for more than one station. */
function isGroup(bytes: Uint8Array, from: number): boolean {
  return ((bytes[from]! | bytes[from + 6]!) & 1) !== 0;
}

/** Neither 0.0.0.0/8 nor multicast, class E or broadcast. */
function isIpv4Host(bytes: Uint8Array, at: number): boolean {
  return bytes[at]! !== 0 && bytes[at]! < 224;
}

/** Neither multicast nor unspecified. */
function isIpv6Host(bytes: Uint8Array, at: number): boolean {
  if (bytes[at] === 0xff) return false;
  for (let i = 0; i < 16; i++) if (bytes[at + i] !== 0) return true;
  return false;
}
