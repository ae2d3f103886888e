/** ARP for IPv4 over Ethernet (RFC 826). */
import {
  BROADCAST,
  type Ip,
  ipFromBytes,
  ipToBytes,
  isIpv4,
  type Mac,
  macAt,
  macToBytes,
} from "../../core/addr.ts";
import { ByteWriter } from "../../core/bytes.ts";

const ETHERTYPE_ARP = 0x0806;
const NO_MAC = 0 as Mac;
const NO_IP = "0.0.0.0" as Ip;
/** Octets of a frame without padding. */
const LENGTH = 42;

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
  const writer = new ByteWriter(LENGTH);
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

/** The question whether anybody uses an IPv4 address, of somebody who has none yet: everybody may hear it and nobody
 * learns a wrong address from it (RFC 5227, section 2.1.1). */
export function arpProbe(mac: Mac, ip: Ip): Uint8Array<ArrayBuffer> {
  return encodeArp(
    { operation: "request", senderMac: mac, senderIp: NO_IP, targetMac: NO_MAC, targetIp: ip },
    BROADCAST,
  );
}

/** The ARP packet in an untagged frame; undefined when it is none for IPv4 over Ethernet. */
export function decodeArp(frame: Uint8Array): ArpPacket | undefined {
  if (frame.length < LENGTH) return undefined;
  const view = new DataView(frame.buffer, frame.byteOffset, LENGTH);
  const isIpv4OverEthernet = view.getUint16(14) === 1 && view.getUint16(16) === 0x0800 &&
    view.getUint16(18) === 0x0604;
  const operation = view.getUint16(20);
  if (view.getUint16(12) !== ETHERTYPE_ARP || !isIpv4OverEthernet || operation < 1 || operation > 2) {
    return undefined;
  }
  return {
    operation: operation === 1 ? "request" : "reply",
    senderMac: macAt(frame, 22),
    senderIp: ipFromBytes(frame.subarray(28, 32))!,
    targetMac: macAt(frame, 32),
    targetIp: ipFromBytes(frame.subarray(38, 42))!,
  };
}
