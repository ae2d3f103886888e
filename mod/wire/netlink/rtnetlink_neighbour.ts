/** Neighbours over rtnetlink: which Ethernet address an IP address has (include/uapi/linux/neighbour.h). */
import { type Ip, ipToBytes, isIpv4, type Mac, macAt, macToBytes } from "../../core/addr.ts";
import { bad, type Decoded, good } from "../../core/brand.ts";
import { AttributeReader, NLM_F } from "./netlink.ts";
import { NetlinkWriter } from "./netlink_writer.ts";
import { AF, ipOf, onlyMessage } from "./rtnetlink_message.ts";

const RTM = { new: 28, get: 30 } as const;
const NDA = { dst: 1, mac: 2, index: 8 } as const;
const PERMANENT = 0x80; // NUD_PERMANENT
const HEADER = 12; // struct ndmsg

/** What one interface knows of a neighbour. */
export interface Neighbour {
  /** Index of the interface. */
  readonly index: number;
  readonly ip: Ip;
  /** undefined: nobody has answered for the address. */
  readonly mac: Mac | undefined;
  /** Whether it was told, and is never asked for. */
  readonly permanent: boolean;
}

/** Tells an interface, which must be up, who has an address: it asks nobody from then on. */
export function setNeighbour(index: number, ip: Ip, mac: Mac): Uint8Array<ArrayBuffer> {
  const flags = NLM_F.request | NLM_F.ack | NLM_F.create | NLM_F.replace;
  const writer = new NetlinkWriter(64).begin(RTM.new, flags);
  writer.u8(isIpv4(ip) ? AF.inet : AF.inet6).u8(0).u16(0).u32(index).u16(PERMANENT).u8(0).u8(0);
  return writer.attrBytes(NDA.dst, ipToBytes(ip)).attrBytes(NDA.mac, macToBytes(mac)).end().finish();
}

/** Asks for the IPv4 neighbours of an interface. Old kernels tell those of others as well. */
export function dumpNeighbours(index: number): Uint8Array<ArrayBuffer> {
  const writer = new NetlinkWriter(64).begin(RTM.get, NLM_F.request | NLM_F.dump);
  return writer.u8(AF.inet).u8(0).u16(0).u32(0).u32(0).attrU32(NDA.index, index).end().finish();
}

/** Decodes one whole message of the answer to dumpNeighbours(). */
export function decodeNeighbour(bytes: Uint8Array): Decoded<Neighbour> {
  const message = onlyMessage(bytes, RTM.new, HEADER);
  if (!message.ok) return message;
  const body = message.value;
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const family = body[0]!;
  let ip: Ip | undefined;
  let mac: Mac | undefined;
  const reader = new AttributeReader(body, HEADER);
  while (reader.next()) {
    if (reader.type === NDA.dst) ip = ipOf(family, reader.value());
    else if (reader.type === NDA.mac && reader.value().length === 6) mac = macAt(reader.value(), 0);
  }
  if (reader.failure !== undefined) return bad(reader.failure);
  if (ip === undefined) return bad(`no address of family ${family}`);
  const permanent = (view.getUint16(8, true) & PERMANENT) !== 0;
  return good({ index: view.getInt32(4, true), ip, mac, permanent });
}
