/** Ethernet headers (IEEE 802.3). */
import { bad, type Decoded, good } from "../../core/brand.ts";
import { formatMac, type Mac, macAt, macToBytes } from "../../core/addr.ts";

/** Octets of an Ethernet header without tag. */
export const ETHERNET_HEADER = 14;
/** Types of payload. */
export const ETHERTYPE = { ipv4: 0x0800, arp: 0x0806, vlan: 0x8100, ipv6: 0x86dd } as const;

/** A header; `type` below 0x600 is a length. */
export interface EthernetHeader {
  /** To whom. */
  readonly dst: Mac;
  /** From whom. */
  readonly src: Mac;
  /** What follows: see ETHERTYPE. */
  readonly type: number;
}

/** Decodes the header of a frame. */
export function decodeEthernet(frame: Uint8Array): Decoded<EthernetHeader> {
  if (frame.length < ETHERNET_HEADER) {
    return bad(`Ethernet header needs ${ETHERNET_HEADER} bytes, has ${frame.length}`);
  }
  return good({ dst: macAt(frame, 0), src: macAt(frame, 6), type: frame[12]! << 8 | frame[13]! });
}

/** A frame made of a header and its payload. */
export function encodeEthernet(header: EthernetHeader, payload: Uint8Array): Uint8Array<ArrayBuffer> {
  const frame = new Uint8Array(ETHERNET_HEADER + payload.length);
  frame.set(macToBytes(header.dst), 0);
  frame.set(macToBytes(header.src), 6);
  frame[12] = header.type >>> 8;
  frame[13] = header.type & 255;
  frame.set(payload, ETHERNET_HEADER);
  return frame;
}

/** One line about a frame, for traces. */
export function describeFrame(frame: Uint8Array): string {
  const header = decodeEthernet(frame);
  if (!header.ok) return header.reason;
  const { src, dst, type } = header.value;
  const name = Object.entries(ETHERTYPE).find(([, value]) => value === type)?.[0];
  return `${formatMac(src)} > ${formatMac(dst)} ${
    name ?? `type 0x${type.toString(16)}`
  } ${frame.length} bytes`;
}
