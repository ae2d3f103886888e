/** Where the headers of a TCP or UDP frame are: Ethernet, VLAN tags, IPv4 or IPv6 with extension headers. */
import { foldSum, sumWords } from "../../core/checksum.ts";
import { ETHERTYPE } from "./ethernet.ts";
import { IPV4_HEADER, IPV4_MF, IPV4_OFFSET, IPV6_HEADER, u16At } from "./inner_frame.ts";

/** Type of a tag in front of another (IEEE 802.1ad). */
const SERVICE_TAG = 0x88a8;
/** Tags that are looked behind. */
export const MAX_TAGS = 2;
/** Extension headers that a packet in one piece may have in front: hop by hop, routing, destination. */
const EXTENSIONS: readonly number[] = [0, 43, 60];
/** Extension headers that are looked behind. */
export const MAX_EXTENSIONS = 8;
/** Octets of a UDP header. */
const UDP_HEADER = 8;
/** Octets of a TCP header without options. */
const TCP_HEADER = 20;

/** Numbers of the protocols. */
export const IP_PROTOCOL = { tcp: 6, udp: 17 } as const;

/** Flags of TCP, in the last octet before the window. */
export const TCP_FLAG = { fin: 1, syn: 2, rst: 4, psh: 8, ack: 16, urg: 32, ece: 64, cwr: 128 } as const;

/** Finds the headers of one frame after the other. The fields hold for the frame of the last locate() that gave true;
 * they count from the frame's first octet. */
export class TransportLayout {
  /** Whether it is IPv6. */
  ipv6 = false;
  /** Start of the IP header. */
  ip = 0;
  /** IP_PROTOCOL.tcp or IP_PROTOCOL.udp. */
  protocol = 0;
  /** Start of the TCP or UDP header. */
  transport = 0;
  /** Start of the payload. */
  payload = 0;

  /** Whether `[from, to)` is a whole frame with one unfragmented TCP segment or UDP datagram, and not an octet more. */
  locate(bytes: Uint8Array, from: number, to: number): boolean {
    let at = from + 12;
    for (let tags = 0; at + 2 <= to && tags < MAX_TAGS && isTag(u16At(bytes, at)); tags++) at += 4;
    if (at + 2 + IPV4_HEADER > to) return false;
    const type = u16At(bytes, at);
    const ip = at + 2;
    const found = type === ETHERTYPE.ipv4
      ? this.#locateIpv4(bytes, ip, to)
      : type === ETHERTYPE.ipv6 && this.#locateIpv6(bytes, ip, to);
    if (!found) return false;
    this.ip = ip - from;
    const end = this.#endOfHeader(bytes, this.transport, to);
    if (end < 0 || end > to) return false;
    this.transport -= from;
    this.payload = end - from;
    return true;
  }

  /** Sum of the addresses and the protocol of the frame at `from`: the pseudo header but for the length. */
  pseudoSum(view: DataView, from: number): number {
    const [addresses, end] = this.ipv6 ? [8, IPV6_HEADER] : [12, IPV4_HEADER];
    return foldSum(sumWords(view, from + this.ip + addresses, from + this.ip + end) + this.protocol);
  }

  /** Where the checksum is, from the start of the transport header. */
  get checksumOffset(): number {
    return this.protocol === IP_PROTOCOL.tcp ? 16 : 6;
  }

  #locateIpv4(bytes: Uint8Array, ip: number, to: number): boolean {
    const header = (bytes[ip]! & 15) << 2;
    this.ipv6 = false;
    this.protocol = bytes[ip + 9]!;
    this.transport = ip + header;
    return bytes[ip]! >>> 4 === 4 && header >= IPV4_HEADER && u16At(bytes, ip + 2) === to - ip &&
      this.transport <= to && (u16At(bytes, ip + 6) & (IPV4_MF | IPV4_OFFSET)) === 0;
  }

  #locateIpv6(bytes: Uint8Array, ip: number, to: number): boolean {
    let at = ip + IPV6_HEADER;
    if (at > to || bytes[ip]! >>> 4 !== 6 || u16At(bytes, ip + 4) !== to - at) return false;
    let next = bytes[ip + 6]!;
    for (let seen = 0; isExtension(next); seen++) {
      if (seen === MAX_EXTENSIONS || at + 8 > to) return false;
      next = bytes[at]!;
      at += (bytes[at + 1]! + 1) * 8;
    }
    this.ipv6 = true;
    this.protocol = next;
    this.transport = at;
    return at <= to;
  }

  #endOfHeader(bytes: Uint8Array, at: number, to: number): number {
    if (this.protocol === IP_PROTOCOL.udp) return at + UDP_HEADER;
    if (this.protocol !== IP_PROTOCOL.tcp || at + TCP_HEADER > to) return -1;
    const header = bytes[at + 12]! >>> 4 << 2;
    return header < TCP_HEADER ? -1 : at + header;
  }
}

/** Whether a type is that of a tag, of 802.1Q or 802.1ad. */
export function isTag(type: number): boolean {
  return type === ETHERTYPE.vlan || type === SERVICE_TAG;
}

/** Whether an IPv6 header with this number may stand in front of TCP or UDP of a packet in one piece. */
export function isExtension(header: number): boolean {
  return EXTENSIONS.includes(header);
}
