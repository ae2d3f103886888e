/** Addresses of interfaces over rtnetlink (include/uapi/linux/if_addr.h). */
import { type Cidr, type Ip, ipToBytes, isIpv4 } from "../../core/addr.ts";
import { bad, type Decoded, good } from "../../core/brand.ts";
import { AttributeReader, NLM_F, splitMessages } from "./netlink.ts";
import { NetlinkWriter } from "./netlink_writer.ts";
import { AF, ipOf, onlyMessage } from "./rtnetlink_message.ts";

const RTM = { new: 20, del: 21, get: 22 } as const;
const IFA = { address: 1, local: 2, flags: 8 } as const;
const HEADER = 8; // struct ifaddrmsg
const SCOPE_UNIVERSE = 0;

/** Bits of `InterfaceAddress.flags`. */
export const IFA_F = { noDad: 0x02, tentative: 0x40, permanent: 0x80 } as const;

/** One address of one interface. */
export interface InterfaceAddress {
  /** Index of the interface. */
  readonly index: number;
  /** The address, and the network in which it is. */
  readonly cidr: Cidr;
  /** Bits of IFA_F, and others. */
  readonly flags: number;
  /** 0 universe, 253 link, 254 host. */
  readonly scope: number;
}

function request(type: number, flags: number, index: number, cidr: Cidr): NetlinkWriter {
  const v4 = isIpv4(cidr.ip);
  const octets = ipToBytes(cidr.ip);
  const writer = new NetlinkWriter(64).begin(type, NLM_F.request | NLM_F.ack | flags);
  // An IPv6 address that may answer at once needs no duplicate detection: the mesh says who owns it.
  const addressFlags = v4 || type === RTM.del ? 0 : IFA_F.noDad;
  writer.u8(v4 ? AF.inet : AF.inet6).u8(cidr.prefix).u8(addressFlags).u8(SCOPE_UNIVERSE).u32(index);
  return writer.attrBytes(IFA.local, octets).attrBytes(IFA.address, octets);
}

/** Adds an address; EEXIST when the interface has it. IPv6 addresses are usable at once (no duplicate detection). */
export function addAddress(index: number, cidr: Cidr): Uint8Array<ArrayBuffer> {
  return request(RTM.new, NLM_F.create | NLM_F.excl, index, cidr).end().finish();
}

/** Removes an address; EADDRNOTAVAIL when the interface does not have it. */
export function removeAddress(index: number, cidr: Cidr): Uint8Array<ArrayBuffer> {
  return request(RTM.del, 0, index, cidr).end().finish();
}

/** Asks for all addresses of all interfaces, both families. */
export function dumpAddresses(): Uint8Array<ArrayBuffer> {
  const writer = new NetlinkWriter(32).begin(RTM.get, NLM_F.request | NLM_F.dump);
  return writer.u8(0).u8(0).u8(0).u8(0).u32(0).end().finish();
}

/** Decodes one whole message of the answer to dumpAddresses(). */
export function decodeAddress(bytes: Uint8Array): Decoded<InterfaceAddress> {
  const message = onlyMessage(bytes, RTM.new, HEADER);
  return message.ok ? addressIn(message.value) : message;
}

function addressIn(body: Uint8Array): Decoded<InterfaceAddress> {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const [family, prefix, scope] = [body[0]!, body[1]!, body[3]!];
  let flags = body[2]!;
  let local: Ip | undefined;
  let address: Ip | undefined;
  const reader = new AttributeReader(body, HEADER);
  while (reader.next()) {
    if (reader.type === IFA.local) local = ipOf(family, reader.value());
    else if (reader.type === IFA.address) address = ipOf(family, reader.value());
    else if (reader.type === IFA.flags) flags = reader.u32(); // the header holds only 8 of them
  }
  if (reader.failure !== undefined) return bad(reader.failure);
  const ip = local ?? address; // IPv6 sends no IFA_LOCAL; on point-to-point links IFA_ADDRESS is the far end
  if (ip === undefined) return bad(`no address of family ${family}`);
  if (prefix > (isIpv4(ip) ? 32 : 128)) return bad(`prefix length is ${prefix}`);
  return good({ index: view.getUint32(4, true), cidr: { ip, prefix }, flags, scope });
}

/** Indexes of the links that have lost an address, as a notice of ADDRESS_NOTICES tells; none when it cannot be read. */
export function linksOfRemovedAddresses(bytes: Uint8Array): readonly number[] {
  const split = splitMessages(bytes);
  if (!split.ok) return [];
  return split.value.filter(({ type, body }) => type === RTM.del && body.length >= HEADER)
    .map(({ body }) => new DataView(body.buffer, body.byteOffset).getUint32(4, true));
}

/** IPv4 addresses that came to interfaces, as a notice of ADDRESS_NOTICES tells; none when it cannot be read. */
export function addedAddresses(bytes: Uint8Array): readonly Ip[] {
  const split = splitMessages(bytes);
  if (!split.ok) return [];
  return split.value.filter(({ type, body }) =>
    type === RTM.new && body.length >= HEADER && body[0] === AF.inet
  ).flatMap(({ body }) => {
    const read = addressIn(body);
    return read.ok ? [read.value.cidr.ip] : [];
  });
}

/** The multicast groups whose members hear of addresses of both families (RTNLGRP_IPV4_IFADDR, _IPV6_IFADDR). */
export const ADDRESS_NOTICES: readonly number[] = [5, 9];
