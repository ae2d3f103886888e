/** ARP for IPv4 over Ethernet (RFC 826). */
import { type Ip, ipToBytes, isIpv4, type Mac, macToBytes } from "../../core/addr.ts";
import { ByteWriter } from "../../core/bytes.ts";

const ETHERTYPE_ARP = 0x0806;
const BROADCAST = 0xffff_ffff_ffff as Mac;
const NO_MAC = 0 as Mac;

/** What an ARP packet asks or says. */
export interface ArpPacket {
  /** Whether it asks or answers. */
  readonly operation: "request" | "reply";
  /** Who sends it. */
  readonly senderMac: Mac;
  /** The address of the sender. */
  readonly senderIp: Ip;
  /** The MAC of the receiver; 0 in a request. */
  readonly targetMac: Mac;
  /** In a request the address that is asked for, in a reply the address of the asker. */
  readonly targetIp: Ip;
}

/** An Ethernet frame with an ARP packet; addresses must be IPv4. */
export function encodeArp(packet: ArpPacket, destination: Mac): Uint8Array<ArrayBuffer> {
  const writer = new ByteWriter(42);
  writer.bytes(macToBytes(destination)).bytes(macToBytes(packet.senderMac)).u16(ETHERTYPE_ARP);
  writer.u16(1).u16(0x0800).u8(6).u8(4).u16(packet.operation === "request" ? 1 : 2);
  writer.bytes(macToBytes(packet.senderMac)).bytes(ipToBytes(packet.senderIp));
  return writer.bytes(macToBytes(packet.targetMac)).bytes(ipToBytes(packet.targetIp)).finish();
}

/** The frame that tells everybody on the segment who has an IPv4 address: a broadcast request whose sender and
 * target are the address itself (spec dataplane.md 7.5). `to`: tells one alone. */
export function gratuitousArp(mac: Mac, ip: Ip, to = BROADCAST): Uint8Array<ArrayBuffer> {
  if (!isIpv4(ip)) throw new TypeError(`Cannot make an ARP frame: address is ${ip}`);
  return encodeArp(
    { operation: "request", senderMac: mac, senderIp: ip, targetMac: NO_MAC, targetIp: ip },
    to,
  );
}
