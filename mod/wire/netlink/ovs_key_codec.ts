/** Keys, masks and actions of flows as attributes (include/uapi/linux/openvswitch.h; spec dataplane.md 3.2, 3.3). */
import { type Ip, ipFromBytes, ipToBytes, isIpv4, type Mac, macAt } from "../../core/addr.ts";
import type { AttributeReader } from "./netlink.ts";
import type { NetlinkWriter } from "./netlink_writer.ts";
import {
  type FlowAction,
  type FlowKey,
  FOREIGN_SLEEVE,
  type PortNo,
  type TagOf,
  type TunnelKey,
} from "./ovs_keys.ts";
import type { Vni } from "../packet/vxlan.ts";

const KEY = { inPort: 3, encap: 1, ethernet: 4, vlan: 5, ethertype: 6, tunnel: 16 } as const;
const TUNNEL = {
  ...{ id: 0, src: 1, dst: 2, tos: 3, ttl: 4, dontFragment: 5 },
  ...{ src6: 12, dst6: 13, pad: 14 },
} as const;
const ALL_OF_16 = new Uint8Array(16).fill(0xff);
const NONE_OF_16 = new Uint8Array(16);
const ACTION = { output: 1, set: 3, pushVlan: 4, popVlan: 5, meter: 19 } as const;
const OUTER_TTL = 64;
/** 802.1Q, and the bit of a tag that says "there is a tag" (the kernel keeps it in the place of CFI). */
const VLAN = { ethertype: 0x8100, present: 0x1000 } as const;
const ALL = 0xffff_ffff;

/** The 32 bits of a canonical IPv4 address. */
export function ipv4ToNumber(ip: Ip): number {
  let bits = 0;
  let octet = 0;
  for (let i = 0; i < ip.length; i++) {
    const c = ip.charCodeAt(i);
    if (c === 46) {
      bits = bits << 8 | octet;
      octet = 0;
    } else octet = octet * 10 + c - 48;
  }
  return (bits << 8 | octet) >>> 0;
}

/** The address of 32 bits. */
export function ipv4FromNumber(bits: number): Ip {
  return `${bits >>> 24}.${bits >>> 16 & 255}.${bits >>> 8 & 255}.${bits & 255}` as Ip;
}

function writeMac(writer: NetlinkWriter, mac: Mac | undefined): void {
  const high = mac === undefined ? 0 : Math.floor(mac / 0x1_0000_0000);
  const low = mac === undefined ? 0 : mac >>> 0;
  writer.u8(high >>> 8).u8(high & 255).u8(low >>> 24).u8(low >>> 16 & 255).u8(low >>> 8 & 255).u8(low & 255);
}

const EXACT = 0xffff_ffff_ffff as Mac;

/** Writes the attributes of a key; the kernel insists on a tunnel's TTL and on the MACs being there. `tag`: that of
 * `key.sleeve`. */
export function writeKey(writer: NetlinkWriter, key: FlowKey, tag = 0): void {
  if (key.tunnel !== undefined) {
    const opened = writer.open(KEY.tunnel);
    writer.attrBe64(TUNNEL.id, 0, key.tunnel.id);
    writeEnds(writer, key.tunnel);
    writer.attrU8(TUNNEL.ttl, 0).close(opened);
  }
  const opened = writer.open(KEY.ethernet);
  writeMac(writer, key.ethSrc);
  writeMac(writer, key.ethDst);
  writer.close(opened).attrU32(KEY.inPort, key.inPort);
  writeTags(writer, key, tag === 0 ? 0 : tag | VLAN.present);
}

/** The outer addresses. */
function writeEnds(writer: NetlinkWriter, { src, dst }: TunnelKey): void {
  if (isIpv4(dst)) writer.attrBe32(TUNNEL.src, ipv4ToNumber(src)).attrBe32(TUNNEL.dst, ipv4ToNumber(dst));
  else writer.attrBytes(TUNNEL.src6, ipToBytes(src)).attrBytes(TUNNEL.dst6, ipToBytes(dst));
}

/** User space's tag, exactly, then the frame's own, whichever it is. A flow that does not speak of the second tag
 * matches frames without one. */
function writeTags(writer: NetlinkWriter, { sleeve, tagged }: FlowKey, tci: number, isMask = false): void {
  const type = isMask ? 0xffff : VLAN.ethertype;
  const outer = sleeve === undefined ? -1 : openTag(writer, type, tci);
  const own = tagged ? openTag(writer, type, VLAN.present) : -1;
  if (outer < 0 && own < 0) return;
  if (isMask) writer.attrBe16(KEY.ethertype, 0); // the kernel overlooks an empty nest in a mask
  if (own >= 0) writer.close(own);
  if (outer >= 0) writer.close(outer);
}

function openTag(writer: NetlinkWriter, ethertype: number, tci: number): number {
  return writer.attrBe16(KEY.ethertype, ethertype).attrBe16(KEY.vlan, tci).open(KEY.encap);
}

/** Writes the attributes of the mask that makes the fields present in `key` match exactly, and no other. */
export function writeMask(writer: NetlinkWriter, key: FlowKey): void {
  if (key.tunnel !== undefined) {
    const opened = writer.open(KEY.tunnel);
    writer.attrBe64(TUNNEL.id, ALL, ALL);
    if (isIpv4(key.tunnel.dst)) writer.attrBe32(TUNNEL.src, ALL).attrBe32(TUNNEL.dst, ALL);
    else writer.attrBytes(TUNNEL.src6, ALL_OF_16).attrBytes(TUNNEL.dst6, ALL_OF_16);
    writer.attrU8(TUNNEL.ttl, 0).close(opened);
  }
  const opened = writer.open(KEY.ethernet);
  writeMac(writer, key.ethSrc === undefined ? undefined : EXACT);
  writeMac(writer, key.ethDst === undefined ? undefined : EXACT);
  writer.close(opened).attrU32(KEY.inPort, ALL);
  writeTags(writer, key, 0xffff, true);
}

/** How actions are written. */
export interface ActionsContext {
  /** Tags of what is handed to user space; without one the action is left out. */
  readonly tagOf: TagOf;
  /** Frames come with user space's tag on them. */
  readonly carriesTag: boolean;
  /** The meter that they pass before they leave for other hosts. */
  readonly meter?: number | undefined;
}

/** Where no port leads to user space. */
export const NO_TAGS: TagOf = () => 0;

/** Writes the attributes of actions. The tag for a link is pushed before the output that needs it, and taken off before the
 * next one. After the last output it stays: to take it off there, the kernel would have to send a copy of the frame. */
export function writeActions(
  writer: NetlinkWriter,
  actions: readonly FlowAction[],
  { carriesTag, meter, tagOf }: ActionsContext,
): void {
  let carries = carriesTag;
  let metered = meter === undefined;
  for (const action of actions) {
    if (!metered && action.kind !== "output") {
      writer.attrU32(ACTION.meter, meter!);
      metered = true;
    }
    const tag = action.kind === "sleeve" ? tagOf(action.sleeve) : 0;
    if (action.kind === "sleeve" && tag === 0) continue;
    if (carries) writer.flag(ACTION.popVlan);
    carries = tag !== 0;
    if (carries) writer.attrBe32(ACTION.pushVlan, VLAN.ethertype * 0x1_0000 + (tag | VLAN.present));
    if (action.kind === "tunnel") {
      const set = writer.open(ACTION.set);
      const tunnel = writer.open(KEY.tunnel);
      writer.attrBe64(TUNNEL.id, 0, action.tunnel.id);
      writeEnds(writer, action.tunnel);
      writer.attrU8(TUNNEL.tos, 0).attrU8(TUNNEL.ttl, OUTER_TTL);
      if (action.df === true) writer.flag(TUNNEL.dontFragment);
      writer.close(tunnel).close(set);
    }
    writer.attrU32(ACTION.output, action.port);
  }
}

/** The fields of a key or a mask as they lie in a message; absent ones are 0. */
export class KeyFields {
  /** Port it came in by. */
  inPort = 0;
  /** Sender of the frame. */
  ethSrc = 0 as Mac;
  /** Receiver of the frame. */
  ethDst = 0 as Mac;
  /** Whether the MACs are there. */
  hasEthernet = false;
  /** Whether an outer header is there. */
  hasTunnel = false;
  /** Whether the outer packet must not be fragmented. */
  dontFragment = false;
  /** Upper half of the 64-bit tunnel id. */
  tunnelIdHigh = 0;
  /** Lower half of the 64-bit tunnel id. */
  tunnelIdLow = 0;
  /** Outer source, IPv4 as a number. */
  tunnelSrc = 0;
  /** Outer destination, IPv4 as a number. */
  tunnelDst = 0;
  /** Whether the outer header is IPv6; the two addresses then are the 16 octets below. */
  isIpv6 = false;
  /** Outer source, IPv6. */
  tunnelSrc6: Uint8Array = NONE_OF_16;
  /** Outer destination, IPv6. */
  tunnelDst6: Uint8Array = NONE_OF_16;
  /** The tag, with its presence bit. */
  vlan = 0;
  /** What the frame carries. */
  ethertype = 0;
  /** The tag behind that one, and what it says the frame carries. */
  innerVlan = 0;
  /** What is behind the first tag. */
  innerType = 0;
  /** Whether anything else is there that is not all zero; looked for in masks only. */
  others = false;

  private constructor(readonly isMask: boolean) {}

  /** Reads the key (or mask) nested in the current attribute of `parent`; a failure is the parent's. */
  static of(parent: AttributeReader, isMask = false): KeyFields {
    const fields = new KeyFields(isMask);
    fields.#read(parent);
    return fields;
  }
  /** Reads the tunnel key nested in the current attribute of `parent`. */
  static ofTunnel(parent: AttributeReader): KeyFields {
    const fields = new KeyFields(false);
    fields.#readTunnel(parent);
    return fields;
  }

  #read(parent: AttributeReader): void {
    const reader = parent.nested();
    while (reader.next()) {
      if (reader.type === KEY.inPort) this.inPort = reader.u32();
      else if (reader.type === KEY.tunnel) this.#readTunnel(reader);
      else if (reader.type === KEY.vlan) this.vlan = reader.be16();
      else if (reader.type === KEY.ethertype) this.ethertype = reader.be16();
      else if (reader.type === KEY.encap) this.#readEncap(reader);
      else if (reader.type === KEY.ethernet) {
        if (reader.length < 12) reader.fail(`Ethernet key needs 12 bytes, has ${reader.length}`);
        else {
          const value = reader.value();
          this.hasEthernet = true;
          this.ethSrc = macAt(value, 0);
          this.ethDst = macAt(value, 6);
        }
      } else if (this.isMask && !isZero(reader)) this.others = true;
    }
    if (reader.failure !== undefined) parent.fail(reader.failure);
  }

  /** What is behind a tag: another one perhaps; the rest is of no interest unless a mask looks at it. */
  #readEncap(parent: AttributeReader, depth = 1): void {
    const reader = parent.nested();
    while (reader.next()) {
      if (depth === 1 && reader.type === KEY.vlan) this.innerVlan = reader.be16();
      else if (depth === 1 && reader.type === KEY.ethertype) this.innerType = reader.be16();
      else if (depth === 1 && reader.type === KEY.encap) this.#readEncap(reader, 2);
      else if (this.isMask && !isZero(reader)) this.others = true;
    }
    if (reader.failure !== undefined) parent.fail(reader.failure);
  }

  #readTunnel(parent: AttributeReader): void {
    this.hasTunnel = true;
    const reader = parent.nested();
    while (reader.next()) {
      if (reader.type === TUNNEL.id) {
        this.tunnelIdLow = lowHalf(reader);
        this.tunnelIdHigh = reader.be32();
      } else if (reader.type === TUNNEL.src) this.tunnelSrc = reader.be32();
      else if (reader.type === TUNNEL.dst) this.tunnelDst = reader.be32();
      else if (reader.type === TUNNEL.src6) this.tunnelSrc6 = this.#address6(reader);
      else if (reader.type === TUNNEL.dst6) this.tunnelDst6 = this.#address6(reader);
      else if (reader.type === TUNNEL.dontFragment && !this.isMask) this.dontFragment = true;
      else if (this.isMask && reader.type !== TUNNEL.pad && !isZero(reader)) this.others = true;
    }
    if (reader.failure !== undefined) parent.fail(reader.failure);
  }

  #address6(reader: AttributeReader): Uint8Array {
    this.isIpv6 = true;
    if (reader.length >= 16) return reader.value().subarray(0, 16);
    reader.fail(`IPv6 address of a tunnel needs 16 bytes, has ${reader.length}`);
    return NONE_OF_16;
  }

  /** Whether both outer addresses are in a mask whole, or not at all; undefined: neither. */
  get masksAddresses(): boolean | undefined {
    if (!this.isIpv6) return this.tunnelSrc === this.tunnelDst ? all32(this.tunnelSrc) : undefined;
    const [src, dst] = [all16(this.tunnelSrc6), all16(this.tunnelDst6)];
    return src === dst ? src : undefined;
  }

  /** Whether the frame has a tag that `FlowKey.tagged` means. */
  get tagged(): boolean {
    return this.ethertype === VLAN.ethertype && (this.vlan & VLAN.present) !== 0;
  }

  /** Whether there is such a tag behind the first one. */
  get taggedTwice(): boolean {
    return this.tagged && this.innerType === VLAN.ethertype && (this.innerVlan & VLAN.present) !== 0;
  }

  /** The tunnel, or undefined when there is none or its id has more than 24 bits. */
  tunnel(): TunnelKey | undefined {
    if (!this.hasTunnel || this.tunnelIdHigh !== 0 || this.tunnelIdLow > 0xffffff) return undefined;
    const id = this.tunnelIdLow as Vni;
    if (this.isIpv6) return { id, src: ipFromBytes(this.tunnelSrc6)!, dst: ipFromBytes(this.tunnelDst6)! };
    return { id, src: ipv4FromNumber(this.tunnelSrc), dst: ipv4FromNumber(this.tunnelDst) };
  }
}

/** Whether all bits are set; undefined: some are. */
function all32(bits: number): boolean | undefined {
  return bits === ALL ? true : bits === 0 ? false : undefined;
}

function all16(octets: Uint8Array): boolean | undefined {
  const first = octets[0]!;
  if (first !== 0 && first !== 0xff || !octets.every((octet) => octet === first)) return undefined;
  return first === 0xff;
}

function lowHalf(reader: AttributeReader): number {
  if (reader.length < 8) {
    reader.fail(`tunnel id needs 8 bytes, has ${reader.length}`);
    return 0;
  }
  const value = reader.value();
  return new DataView(value.buffer, value.byteOffset).getUint32(4);
}

function isZero(reader: AttributeReader): boolean {
  return reader.length > 0 && reader.value().every((octet) => octet === 0);
}

/** The key that a key and its mask say, or undefined when a FlowKey cannot say it. */
export function flowKeyOf(key: KeyFields, mask: KeyFields): FlowKey | undefined {
  const idMask = mask.tunnelIdHigh === mask.tunnelIdLow ? all32(mask.tunnelIdLow) : undefined;
  const exactTunnel = mask.masksAddresses;
  const macMasks: readonly number[] = [mask.ethSrc, mask.ethDst];
  if (mask.inPort !== ALL || mask.others) return undefined;
  if (!macMasks.every((bits) => bits === 0 || bits === EXACT)) return undefined;
  if (exactTunnel === undefined || idMask !== exactTunnel) return undefined;
  const tunnel = exactTunnel ? key.tunnel() : undefined;
  if (exactTunnel && tunnel === undefined) return undefined;
  const tags = tagsOf(key, mask);
  if (tags === undefined) return undefined;
  const { sleeve, tagged } = tags;
  return {
    inPort: key.inPort as PortNo,
    ...(tunnel === undefined ? {} : { tunnel }),
    ...(sleeve ? { sleeve: FOREIGN_SLEEVE } : {}),
    ...(mask.ethSrc === EXACT ? { ethSrc: key.ethSrc } : {}),
    ...(mask.ethDst === EXACT ? { ethDst: key.ethDst } : {}),
    ...(tagged ? { tagged } : {}),
  };
}

/** Which tags a key asks for; undefined when writeTags() would not write it so. */
function tagsOf(key: KeyFields, mask: KeyFields): { sleeve: boolean; tagged: true | undefined } | undefined {
  const first = mask.ethertype === 0xffff && key.tagged ? mask.vlan : 0;
  const second = mask.innerType === 0xffff && key.taggedTwice ? mask.innerVlan : 0;
  if (first === 0 && (mask.vlan !== 0 || mask.ethertype !== 0)) return undefined;
  if (second === 0 && (mask.innerVlan !== 0 || mask.innerType !== 0)) return undefined;
  const sleeve = first === 0xffff;
  const own = sleeve ? second : first;
  if (own !== 0 && own !== VLAN.present || !sleeve && second !== 0) return undefined;
  return { sleeve, tagged: own === 0 ? undefined : true };
}

/** The actions nested in the current attribute of `parent`; undefined when one is none of FlowAction, or they begin
 * with taking off a tag. */
export function readActions(parent: AttributeReader): FlowAction[] | undefined {
  const actions: FlowAction[] = [];
  const reader = parent.nested();
  let set: { readonly tunnel: TunnelKey; readonly df?: true } | undefined;
  let pushed = false;
  let known = true;
  while (reader.next()) {
    if (reader.type === ACTION.output) {
      const port = reader.u32() as PortNo;
      if (pushed) actions.push({ kind: "sleeve", port, sleeve: FOREIGN_SLEEVE });
      else actions.push(set === undefined ? { kind: "output", port } : { kind: "tunnel", port, ...set });
      set = undefined;
    } else if (reader.type === ACTION.pushVlan) {
      known &&= !pushed;
      pushed = true;
    } else if (reader.type === ACTION.popVlan) {
      known &&= pushed;
      pushed = false;
    } else if (reader.type === ACTION.set) {
      set = readSetTunnel(reader);
      known &&= set !== undefined;
    } else if (reader.type !== ACTION.meter) known = false; // meters are no part of what a flow does
  }
  if (reader.failure !== undefined) parent.fail(reader.failure);
  return known && set === undefined ? actions : undefined;
}

/** The tunnel of a `set` action; undefined when it sets something else. */
function readSetTunnel(
  parent: AttributeReader,
): { readonly tunnel: TunnelKey; readonly df?: true } | undefined {
  const reader = parent.nested();
  let fields: KeyFields | undefined;
  while (reader.next()) {
    if (reader.type === KEY.tunnel) fields = KeyFields.ofTunnel(reader);
  }
  if (reader.failure !== undefined) parent.fail(reader.failure);
  const tunnel = fields?.tunnel();
  if (tunnel === undefined) return undefined;
  return fields!.dontFragment ? { tunnel, df: true } : { tunnel };
}
