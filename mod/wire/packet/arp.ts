/** ARP for IPv4 over Ethernet (RFC 826). */
import { type Ip, ipFromBytes, ipToBytes, isIpv4, type Mac, macAt, macToBytes } from "../../core/addr.ts";
import { bad, type Decoded, good } from "../../core/brand.ts";
import { ByteReader, ByteWriter } from "../../core/bytes.ts";

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
  /** Who is meant; 0 in a request. */
  readonly targetMac: Mac;
  /** The address that is asked for, or of who asked. */
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

/** Decodes an Ethernet frame with an ARP packet; trailing padding is ignored. */
export function decodeArp(frame: Uint8Array): Decoded<ArpPacket> {
  const reader = new ByteReader(frame);
  reader.take(12, "Ethernet addresses");
  const type = reader.u16("Ethernet type");
  const kind = [reader.u16("ARP hardware type"), reader.u16("ARP protocol"), reader.u8(), reader.u8()].join();
  const operation = reader.u16("ARP operation");
  const senderMac = reader.take(6, "ARP sender MAC");
  const senderIp = reader.take(4, "ARP sender address");
  const targetMac = reader.take(6, "ARP target MAC");
  const targetIp = reader.take(4, "ARP target address");
  if (reader.failure !== undefined) return bad(reader.failure);
  if (type !== ETHERTYPE_ARP) return bad(`Ethernet type is 0x${type.toString(16)}`);
  if (kind !== "1,2048,6,4") return bad("not ARP for IPv4 over Ethernet");
  if (operation !== 1 && operation !== 2) return bad(`ARP operation is ${operation}`);
  return good({
    operation: operation === 1 ? "request" : "reply",
    senderMac: macAt(senderMac, 0),
    senderIp: ipFromBytes(senderIp)!,
    targetMac: macAt(targetMac, 0),
    targetIp: ipFromBytes(targetIp)!,
  });
}

/** The frame that tells everybody on the segment who has an IPv4 address: a broadcast request whose sender and
 * target are the address itself (spec dataplane.md 7.5). */
export function gratuitousArp(mac: Mac, ip: Ip): Uint8Array<ArrayBuffer> {
  if (!isIpv4(ip)) throw new TypeError(`Cannot make an ARP frame: address is ${ip}`);
  return encodeArp(
    { operation: "request", senderMac: mac, senderIp: ip, targetMac: NO_MAC, targetIp: ip },
    BROADCAST,
  );
}
