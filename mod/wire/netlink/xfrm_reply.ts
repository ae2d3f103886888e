/** What NETLINK_XFRM answers and tells: associations and policies (source: include/uapi/linux/xfrm.h). */
import { type Ip, ipFromBytes } from "../../core/addr.ts";
import { bad, type Decoded, good } from "../../core/brand.ts";
import { AttributeReader } from "./netlink.ts";
import { AF, onlyMessage } from "./rtnetlink_message.ts";
import { DIRECTION, IPPROTO, POLICY_TYPE_SUB, XFRM_MSG, XFRM_SIZE, XFRMA, type XfrmPair } from "./xfrm.ts";

/** Octets of an address, by its family. */
const ADDRESS_OCTETS: Readonly<Record<number, number>> = { [AF.inet]: 4, [AF.inet6]: 16 };

/** An association of the kernel. */
export interface SaRecord extends XfrmPair {
  readonly spi: number;
  readonly protocol: number;
  readonly reqid: number;
  /** Whether it has a key. The kernel makes some without one and asks listeners to set it. */
  readonly keyed: boolean;
}

/** A policy of the kernel. */
export interface PolicyRecord extends XfrmPair {
  /** 0 in, 1 out, others. */
  readonly direction: number;
  readonly protocol: number;
  /** Destination port; undefined: not one port. */
  readonly port: number | undefined;
  readonly priority: number;
  readonly block: boolean;
  /** SPI of its first template, as far as it has one. */
  readonly spi: number | undefined;
  /** Our mark in that template. */
  readonly reqid: number | undefined;
  /** Packets that did not go through that template pass as well. */
  readonly optional: boolean;
  readonly marked: boolean;
  /** See PolicySelector. */
  readonly sub: boolean;
}

/** An association; undefined when it is of no family that is known. */
export function decodeSa(message: Uint8Array): Decoded<SaRecord | undefined> {
  const body = onlyMessage(message, XFRM_MSG.newSa, XFRM_SIZE.sa);
  return body.ok ? readSa(body.value, new AttributeReader(body.value, XFRM_SIZE.sa)) : body;
}

/** Reads a struct xfrm_usersa_info of XFRM_SIZE.sa octets or more, and the attributes of its message. */
export function readSa(bytes: Uint8Array, reader: AttributeReader): Decoded<SaRecord | undefined> {
  let keyed = false;
  while (reader.next()) keyed ||= reader.type === XFRMA.aead;
  if (reader.failure !== undefined) return bad(reader.failure);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const octets = ADDRESS_OCTETS[view.getUint16(212, true)];
  if (octets === undefined) return good(undefined);
  return good({
    dst: addressAt(bytes, 56, octets),
    src: addressAt(bytes, 80, octets),
    spi: view.getUint32(72),
    protocol: bytes[76]!,
    reqid: view.getUint32(208, true),
    keyed,
  });
}

/** A policy; undefined when it is not one from a host to another. */
export function decodePolicy(message: Uint8Array): Decoded<PolicyRecord | undefined> {
  const body = onlyMessage(message, XFRM_MSG.newPolicy, XFRM_SIZE.policy);
  if (!body.ok) return body;
  return readPolicy(body.value, new AttributeReader(body.value, XFRM_SIZE.policy));
}

/** Reads a struct xfrm_userpolicy_info of XFRM_SIZE.policy octets or more, and the attributes of its message. */
export function readPolicy(bytes: Uint8Array, reader: AttributeReader): Decoded<PolicyRecord | undefined> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const octets = ADDRESS_OCTETS[view.getUint16(40, true)];
  if (octets === undefined || bytes[42] !== 8 * octets || bytes[43] !== 8 * octets) return good(undefined);
  let template: { spi: number; reqid: number; optional: boolean } | undefined;
  let marked = false;
  let sub = false;
  while (reader.next()) {
    if (reader.type === XFRMA.template) {
      if (reader.length < XFRM_SIZE.template) return bad(`template has ${reader.length} bytes`);
      const at = new DataView(reader.value().buffer, reader.value().byteOffset, XFRM_SIZE.template);
      template = { spi: at.getUint32(16), reqid: at.getUint32(44, true), optional: at.getUint8(50) !== 0 };
    } else if (reader.type === XFRMA.mark) marked = reader.u32(4) !== 0;
    else if (reader.type === XFRMA.policyType) sub = reader.u8() === POLICY_TYPE_SUB;
  }
  if (reader.failure !== undefined) return bad(reader.failure);
  return good({
    dst: addressAt(bytes, 0, octets),
    src: addressAt(bytes, 16, octets),
    direction: bytes[160]!,
    protocol: bytes[44]!,
    port: view.getUint16(34) === 0xffff ? view.getUint16(32) : undefined,
    priority: view.getUint32(152, true),
    block: bytes[161] === 1,
    spi: template?.spi,
    reqid: template?.reqid,
    optional: template?.optional ?? false,
    marked,
    sub,
  });
}

/** Whether a policy is one about UDP to one port, in or out, whatever the mark. */
export function isPortPolicy(policy: PolicyRecord): boolean {
  return policy.protocol === IPPROTO.udp && policy.port !== undefined && !policy.marked &&
    (policy.direction === DIRECTION.in || policy.direction === DIRECTION.out);
}

function addressAt(bytes: Uint8Array, at: number, octets: number): Ip {
  return ipFromBytes(bytes.subarray(at, at + octets))!;
}
