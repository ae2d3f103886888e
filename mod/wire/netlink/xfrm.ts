/** Requests of NETLINK_XFRM: security associations and policies of kernel IPsec (source: spec dataplane.md 4.3,
 * include/uapi/linux/xfrm.h). IPv4 and IPv6, ESP in transport mode, UDP. */
import { type Ip, ipToBytes, isIpv4 } from "../../core/addr.ts";
import { NLM_F } from "./netlink.ts";
import { NetlinkWriter } from "./netlink_writer.ts";
import { AF } from "./rtnetlink_message.ts";

/** Message types. */
export const XFRM_MSG = {
  newSa: 0x10,
  delSa: 0x11,
  getSa: 0x12,
  newPolicy: 0x13,
  delPolicy: 0x14,
  getPolicy: 0x15,
  allocSpi: 0x16,
  expire: 0x18,
  updPolicy: 0x19,
  updSa: 0x1a,
  flushSa: 0x1c,
  flushPolicy: 0x1d,
} as const;
/** Attribute types. */
export const XFRMA = {
  template: 5,
  sa: 6,
  policy: 7,
  srcAddress: 13,
  policyType: 16,
  aead: 18,
  mark: 21,
  replay: 23,
} as const;
/** Multicast groups of notices. */
export const XFRM_GROUP = { expire: 2, sa: 3, policy: 4 } as const;
/** Value of XFRMA.policyType that is not the usual one. */
export const POLICY_TYPE_SUB = 1;

/** Octets of the fixed structures. */
export const XFRM_SIZE = { selector: 56, sa: 224, policy: 168, template: 64 } as const;
/** IP protocol numbers. */
export const IPPROTO = { udp: 17, esp: 50 } as const;

/** Octets of the key: AES-256 and the salt. */
export const ESP_KEY_LENGTH = 36;
const AEAD_NAME = "rfc4106(gcm(aes))";
const AEAD_NAME_ROOM = 64;
const ICV_BITS = 128;
const STATE_ESN = 0x80;
const REPLAY_WINDOW = 256;
const LOWEST_SPI = 0x100;
const NO_LIMIT = new Uint8Array(8).fill(0xff);

/** One direction between two hosts. */
export interface XfrmPair {
  readonly src: Ip;
  readonly dst: Ip;
}

/** A security association. */
export interface SaSpec extends XfrmPair {
  /** Number by which the receiver finds it. */
  readonly spi: number;
  /** ESP_KEY_LENGTH octets. */
  readonly key: Uint8Array;
  /** Our mark on it, see PolicySpec; 0: none. */
  readonly reqid: number;
  /** Takes only packets between its own two addresses. */
  readonly bound: boolean;
  /** The kernel tells (XFRM_MSG.expire) when it has carried so many packets, and carries on; undefined: never. */
  readonly softPackets?: number | undefined;
}

/** Which way packets go that a policy is about. */
export type PolicyDirection = "in" | "out";

/** What a policy is about: UDP from one host to another. */
export interface PolicySelector extends XfrmPair {
  readonly direction: PolicyDirection;
  /** Destination port; undefined: every one. */
  readonly port: number | undefined;
  /** Value and mask of the packet's mark; undefined: any mark. */
  readonly mark: { readonly value: number; readonly mask: number } | undefined;
  /** Of the kernel's second table, which is looked at before the usual one and which programs do not flush unless they
   * mean it (needs CONFIG_XFRM_SUB_POLICY). */
  readonly sub?: boolean;
}

/** What becomes of such packets: nothing passes; or what went, or goes, through ESP. */
export type PolicyVerdict =
  | { readonly kind: "block" }
  /** SPI 0: any. */
  | { readonly kind: "esp"; readonly spi: number; readonly reqid: number };

/** A policy. */
export interface PolicySpec extends PolicySelector {
  /** Lower goes first. */
  readonly priority: number;
  readonly verdict: PolicyVerdict;
}

const ACK = NLM_F.request | NLM_F.ack;
const MAKE = ACK | NLM_F.create | NLM_F.excl;

/** Asks the kernel for an SPI of the direction towards us; the answer is the association without a key. */
export function allocSpi(
  { src, dst, reqid }: XfrmPair & { readonly reqid: number },
): Uint8Array<ArrayBuffer> {
  const writer = new NetlinkWriter(256).begin(XFRM_MSG.allocSpi, MAKE);
  saBody(writer, { src, dst, spi: 0, reqid, bound: false, ready: false });
  return writer.u32(LOWEST_SPI).u32(0xffff_ffff).end().finish();
}

/** Gives the association of an allocated SPI its key. */
export function updateSa(sa: SaSpec): Uint8Array<ArrayBuffer> {
  return saMessage(XFRM_MSG.updSa, sa);
}

/** Adds an association. */
export function newSa(sa: SaSpec): Uint8Array<ArrayBuffer> {
  return saMessage(XFRM_MSG.newSa, sa);
}

/** Removes an association. */
export function deleteSa({ src, dst, spi }: XfrmPair & { readonly spi: number }): Uint8Array<ArrayBuffer> {
  const writer = new NetlinkWriter(64).begin(XFRM_MSG.delSa, ACK).raw(address(dst));
  be32(writer, spi).u16(familyOf(dst)).u8(IPPROTO.esp).u8(0);
  return writer.attrBytes(XFRMA.srcAddress, mapped(src)).end().finish();
}

/** Adds a policy; error EEXIST if there is one of this selector. */
export function newPolicy(policy: PolicySpec): Uint8Array<ArrayBuffer> {
  return policyMessage(XFRM_MSG.newPolicy, policy);
}

/** Adds a policy or replaces, in one step, the one of this selector. */
export function updatePolicy(policy: PolicySpec): Uint8Array<ArrayBuffer> {
  return policyMessage(XFRM_MSG.updPolicy, policy);
}

/** Asks for the policy of a selector. */
export function getPolicy(selector: PolicySelector): Uint8Array<ArrayBuffer> {
  return policyId(XFRM_MSG.getPolicy, selector);
}

/** Removes the policy of a selector. */
export function deletePolicy(selector: PolicySelector): Uint8Array<ArrayBuffer> {
  return policyId(XFRM_MSG.delPolicy, selector);
}

/** Lists all policies. */
export function dumpPolicies(): Uint8Array<ArrayBuffer> {
  return new NetlinkWriter(16).begin(XFRM_MSG.getPolicy, NLM_F.request | NLM_F.dump).end().finish();
}

/** Lists all associations. */
export function dumpSas(): Uint8Array<ArrayBuffer> {
  return new NetlinkWriter(16).begin(XFRM_MSG.getSa, NLM_F.request | NLM_F.dump).end().finish();
}

function saMessage(type: number, sa: SaSpec): Uint8Array<ArrayBuffer> {
  const writer = new NetlinkWriter(512).begin(type, MAKE);
  saBody(writer, { ...sa, ready: true });
  const aead = new NetlinkWriter(128).raw(padded(new TextEncoder().encode(AEAD_NAME), AEAD_NAME_ROOM));
  aead.u32(sa.key.length * 8).u32(ICV_BITS).raw(sa.key);
  writer.attrBytes(XFRMA.aead, aead.finish());
  return writer.attrU32s(XFRMA.replay, [REPLAY_WINDOW / 32, 0, 0, 0, 0, REPLAY_WINDOW]).end().finish();
}

function saBody(
  writer: NetlinkWriter,
  sa: XfrmPair & {
    readonly spi: number;
    readonly reqid: number;
    readonly bound: boolean;
    readonly softPackets?: number | undefined;
    readonly ready: boolean;
  },
): void {
  if (sa.bound) selector(writer, { ...sa, protocol: 0, port: undefined });
  else writer.raw(new Uint8Array(XFRM_SIZE.selector));
  writer.raw(address(sa.dst));
  be32(writer, sa.spi).u8(IPPROTO.esp).raw(new Uint8Array(3)).raw(address(sa.src));
  if (sa.ready) limits(writer, sa.softPackets);
  else writer.raw(new Uint8Array(64));
  writer.raw(new Uint8Array(32 + 12)).u32(0).u32(sa.reqid).u16(familyOf(sa.dst)).u8(0).u8(0);
  writer.u8(sa.ready ? STATE_ESN : 0).raw(new Uint8Array(7));
}

function policyMessage(type: number, policy: PolicySpec): Uint8Array<ArrayBuffer> {
  const { direction, priority, src, dst, verdict } = policy;
  const writer = new NetlinkWriter(512).begin(type, MAKE);
  selector(writer, { ...policy, protocol: IPPROTO.udp });
  limits(writer);
  writer.raw(new Uint8Array(32)).u32(priority).u32(0).u8(DIRECTION[direction]);
  writer.u8(verdict.kind === "block" ? 1 : 0).u8(0).u8(0).u32(0);
  if (verdict.kind === "esp") {
    const template = new NetlinkWriter(64).raw(address(dst));
    be32(template, verdict.spi).u8(IPPROTO.esp).raw(new Uint8Array(3)).u32(0).raw(address(src));
    template.u32(verdict.reqid).u32(0).u32(0xffff_ffff).u32(0xffff_ffff).u32(0xffff_ffff);
    writer.attrBytes(XFRMA.template, template.finish());
  }
  return policyAttributes(writer, policy);
}

function policyAttributes(writer: NetlinkWriter, { mark, sub }: PolicySelector): Uint8Array<ArrayBuffer> {
  // struct xfrm_userpolicy_type: u8, padding, u16, u8, padding
  if (sub === true) writer.attrBytes(XFRMA.policyType, Uint8Array.of(POLICY_TYPE_SUB, 0, 0, 0, 0, 0));
  if (mark !== undefined) writer.attrU32s(XFRMA.mark, [mark.value, mark.mask]);
  return writer.end().finish();
}

/** Numbers of directions. */
export const DIRECTION: Readonly<Record<PolicyDirection, number>> = { in: 0, out: 1 };

function policyId(type: number, policy: PolicySelector): Uint8Array<ArrayBuffer> {
  const writer = new NetlinkWriter(128).begin(type, ACK);
  selector(writer, { ...policy, protocol: IPPROTO.udp });
  writer.u32(0).u8(DIRECTION[policy.direction]).raw(new Uint8Array(3));
  return policyAttributes(writer, policy);
}

function selector(
  writer: NetlinkWriter,
  { src, dst, port, protocol }: XfrmPair & { readonly port: number | undefined; readonly protocol: number },
): void {
  writer.raw(address(dst)).raw(address(src));
  be16(writer, port ?? 0).u16(port === undefined ? 0 : 0xffff).u32(0);
  const bits = isIpv4(dst) ? 32 : 128;
  writer.u16(familyOf(dst)).u8(bits).u8(bits).u8(protocol).raw(new Uint8Array(3)).u32(0).u32(0);
}

/** No limits of octets and packets, but for a soft one of packets if given; no limits of time. */
function limits(writer: NetlinkWriter, softPackets?: number): void {
  writer.raw(NO_LIMIT).raw(NO_LIMIT);
  if (softPackets === undefined) writer.raw(NO_LIMIT);
  else writer.u32(softPackets % 2 ** 32).u32(Math.floor(softPackets / 2 ** 32));
  writer.raw(NO_LIMIT).raw(new Uint8Array(32));
}

function familyOf(ip: Ip): number {
  return isIpv4(ip) ? AF.inet : AF.inet6;
}

function address(ip: Ip): Uint8Array<ArrayBuffer> {
  return padded(ipToBytes(ip), 16);
}

/** The source in a request to remove an association. An IPv4 address is written as an IPv6 one, as the original does where
 * the kernel does not look. */
function mapped(ip: Ip): Uint8Array<ArrayBuffer> {
  if (!isIpv4(ip)) return address(ip);
  const all = new Uint8Array(16).fill(0xff, 10, 12);
  all.set(ipToBytes(ip), 12);
  return all;
}

function padded(bytes: Uint8Array, room: number): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(room);
  all.set(bytes);
  return all;
}

function be16(writer: NetlinkWriter, value: number): NetlinkWriter {
  return writer.u8(value >>> 8).u8(value & 0xff);
}

function be32(writer: NetlinkWriter, value: number): NetlinkWriter {
  return be16(be16(writer, value >>> 16), value & 0xffff);
}
