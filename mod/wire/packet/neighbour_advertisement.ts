/** Unsolicited neighbour advertisements: what gratuitous ARP is for IPv6 (RFC 4861, sections 4.4 and 7.2.6). */
import { type Ip, ipToBytes, isIpv4, type Mac, macToBytes } from "../../core/addr.ts";
import { ByteWriter, concatBytes } from "../../core/bytes.ts";

const ALL_NODES_MAC = 0x3333_0000_0001 as Mac;
const ALL_NODES = "ff02::1" as Ip;
const ETHERTYPE_IPV6 = 0x86dd;
const ICMPV6 = 58;
const OVERRIDE = 0x2000_0000;
const TARGET_LINK_LAYER_ADDRESS = 2;

/** Internet checksum (RFC 1071) over an even number of octets. */
function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += (bytes[i]! << 8) | bytes[i + 1]!;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** The frame that tells all nodes of the segment who has an IPv6 address, overriding what they remember. */
export function unsolicitedAdvertisement(mac: Mac, ip: Ip): Uint8Array<ArrayBuffer> {
  if (isIpv4(ip)) throw new TypeError(`Cannot make a neighbour advertisement: address is ${ip}`);
  const address = ipToBytes(ip);
  const everyone = ipToBytes(ALL_NODES);
  const message = new ByteWriter(32).u8(136).u8(0).u16(0).u32(OVERRIDE).bytes(address)
    .u8(TARGET_LINK_LAYER_ADDRESS).u8(1).bytes(macToBytes(mac)).finish();
  const pseudo = new ByteWriter(40).bytes(address).bytes(everyone).u32(message.length).u32(ICMPV6).finish();
  new DataView(message.buffer).setUint16(2, checksum(concatBytes(pseudo, message)));
  const frame = new ByteWriter(86);
  frame.bytes(macToBytes(ALL_NODES_MAC)).bytes(macToBytes(mac)).u16(ETHERTYPE_IPV6);
  frame.u32(0x6000_0000).u16(message.length).u8(ICMPV6).u8(255); // hop limit 255 is checked by receivers
  return frame.bytes(address).bytes(everyone).bytes(message).finish();
}
