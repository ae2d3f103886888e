/** Network interfaces over rtnetlink (include/uapi/linux/rtnetlink.h, if_link.h, veth.h). */
import { type Mac, macAt, macToBytes } from "../../core/addr.ts";
import { bad, type Decoded, good } from "../../core/brand.ts";
import { AttributeReader, NLM_F, splitMessages } from "./netlink.ts";
import { NetlinkWriter } from "./netlink_writer.ts";
import { onlyMessage } from "./rtnetlink_message.ts";
import { type BridgePortSettings, readBridgePort } from "./rtnetlink_bridge.ts";
import { readVxlan, type VxlanSettings } from "./rtnetlink_vxlan.ts";

const RTM = { new: 16, del: 17, get: 18 } as const;
const IFLA = { address: 1, ifname: 3, mtu: 4, link: 5, qdisc: 6, master: 10, linkInfo: 18 } as const;
const IFLA_MORE = { netNsPid: 19, netNsFd: 28, extMask: 29, linkNetNsId: 37, xdp: 43 } as const;
const XDP = { fd: 1, attached: 2, flags: 3 } as const;
/** In the stack, on whatever interface: XDP_FLAGS_SKB_MODE. */
const XDP_GENERIC = 2;
const NO_PROGRAM = 0xffff_ffff; // -1
const INFO = { kind: 1, data: 2, portKind: 4, portData: 5 } as const;
const VETH_INFO_PEER = 1;
const BRIDGE_INFO = { stp: 5, multicastSnooping: 23, maxLearned: 49 } as const; // IFLA_BR_*
const IFF_UP = 1;
const SKIP_STATISTICS = 8; // RTEXT_FILTER_SKIP_STATS
const HEADER = 16; // struct ifinfomsg

/** A namespace as a request names it: by a descriptor of ours or by a process in our pid namespace. */
export type NamespaceRef =
  | { readonly kind: "fd"; readonly fd: number }
  | { readonly kind: "pid"; readonly pid: number };

/** Settings of a bridge, as far as they matter here. */
export interface BridgeSettings {
  /** Whether it speaks the spanning tree protocol. */
  readonly stp: boolean;
  /** Whether frames to a group go only to ports that have joined it. */
  readonly multicastSnooping: boolean;
  /** Most addresses that it learns; undefined where the kernel has no such bound (before 6.7). */
  readonly maxLearned?: number | undefined;
}

/** One interface as the kernel reports it. */
export interface Interface {
  /** What names it in requests. */
  readonly index: number;
  /** What people call it. */
  readonly name: string;
  /** IFF_* bits. */
  readonly flags: number;
  /** Whether it is administratively up. */
  readonly up: boolean;
  /** Largest packet in bytes. */
  readonly mtu: number;
  /** undefined for links without a 48-bit address. */
  readonly mac: Mac | undefined;
  /** `veth`, `bridge`, `tun` ...; undefined for devices without a kind, such as lo. */
  readonly kind: string | undefined;
  /** Index of the lower link; for veth, of the other end in its namespace. */
  readonly peerIndex: number | undefined;
  /** Local id of the namespace of the lower link; undefined when it is this one. */
  readonly peerNamespaceId: number | undefined;
  /** Index of the bridge or the like that it belongs to. */
  readonly master: number | undefined;
  /** Of ports of a bridge: whether it passes on frames to reserved groups; undefined: the kernel does not say. */
  readonly passesReserved?: boolean | undefined;
  /** Of ports of a bridge: whether it takes no frames and gives none. */
  readonly isStopped?: boolean | undefined;
  /** Of links of kind `bridge`; what the kernel does not tell counts as off. */
  readonly bridge?: BridgeSettings | undefined;
  /** Of links of kind `vxlan`. */
  readonly vxlan?: VxlanSettings | undefined;
  /** Name of the queueing discipline that it sends through. */
  readonly qdisc: string | undefined;
  /** Whether a program (XDP) sees what it receives before the kernel does. */
  readonly hasProgram: boolean;
}

/** One end of a veth pair to be made. */
export interface VethEnd {
  /** What it will be called. */
  readonly name: string;
  /** Largest packet in bytes. */
  readonly mtu: number;
  /** undefined: the kernel draws one. */
  readonly mac?: Mac | undefined;
  /** undefined: the namespace of the socket. */
  readonly namespace?: NamespaceRef | undefined;
}

/** What to change on a link; what is left out stays. */
export interface LinkChanges {
  /** Switches it on or off. */
  readonly up?: boolean;
  /** Renames it. */
  readonly name?: string;
  /** Largest packet in bytes. */
  readonly mtu?: number;
  /** Its address on the wire. */
  readonly mac?: Mac;
  /** Index of the bridge that it is to be a port of; 0: of none. */
  readonly master?: number;
  /** Only for a bridge. */
  readonly bridge?: BridgeSettings;
  /** Descriptor of a program (XDP) that is to see what the link receives before the kernel does; null: none is to. */
  readonly program?: number | null;
  /** Moves it; the kernel takes its addresses away. */
  readonly namespace?: NamespaceRef;
}

function header(writer: NetlinkWriter, index: number, flags = 0, change = 0): void {
  writer.u8(0).u8(0).u16(0).u32(index).u32(flags).u32(change);
}

function namespaceAttribute(writer: NetlinkWriter, ref: NamespaceRef | undefined): void {
  if (ref?.kind === "fd") writer.attrU32(IFLA_MORE.netNsFd, ref.fd);
  if (ref?.kind === "pid") writer.attrU32(IFLA_MORE.netNsPid, ref.pid);
}

function vethEnd(writer: NetlinkWriter, end: VethEnd): void {
  writer.attrU32(IFLA.mtu, end.mtu);
  if (end.mac !== undefined) writer.attrBytes(IFLA.address, macToBytes(end.mac));
  namespaceAttribute(writer, end.namespace);
  writer.attrText(IFLA.ifname, end.name);
}

/** Asks for one link by name or index; ENODEV when there is none. */
export function getLink(
  which: { readonly name: string } | { readonly index: number },
): Uint8Array<ArrayBuffer> {
  const writer = new NetlinkWriter(64).begin(RTM.get, NLM_F.request);
  header(writer, "index" in which ? which.index : 0);
  if ("name" in which) writer.attrText(IFLA.ifname, which.name);
  return writer.attrU32(IFLA_MORE.extMask, SKIP_STATISTICS).end().finish();
}

/** Asks for all links. */
export function dumpLinks(): Uint8Array<ArrayBuffer> {
  const writer = new NetlinkWriter(64).begin(RTM.get, NLM_F.request | NLM_F.dump);
  header(writer, 0);
  return writer.attrU32(IFLA_MORE.extMask, SKIP_STATISTICS).end().finish();
}

/** Makes a veth pair, both ends down; EEXIST when a name is taken. */
export function newVeth(end: VethEnd, peer: VethEnd): Uint8Array<ArrayBuffer> {
  const writer = new NetlinkWriter(192).begin(RTM.new, NLM_F.request | NLM_F.ack | NLM_F.create | NLM_F.excl);
  header(writer, 0);
  vethEnd(writer, end);
  const info = writer.open(IFLA.linkInfo);
  writer.attrBytes(INFO.kind, new TextEncoder().encode("veth"));
  const data = writer.open(INFO.data);
  const other = writer.open(VETH_INFO_PEER);
  header(writer, 0);
  vethEnd(writer, peer);
  return writer.close(other).close(data).close(info).end().finish();
}

function bridgeInfo(writer: NetlinkWriter, settings: BridgeSettings): void {
  const info = writer.open(IFLA.linkInfo);
  writer.attrBytes(INFO.kind, new TextEncoder().encode("bridge"));
  const data = writer.open(INFO.data);
  writer.attrU32(BRIDGE_INFO.stp, settings.stp ? 1 : 0);
  writer.attrU8(BRIDGE_INFO.multicastSnooping, settings.multicastSnooping ? 1 : 0);
  if (settings.maxLearned !== undefined) writer.attrU32(BRIDGE_INFO.maxLearned, settings.maxLearned);
  writer.close(data).close(info);
}

/** Makes a bridge, down. EEXIST when the name is taken. */
export function newBridge(name: string, settings: BridgeSettings): Uint8Array<ArrayBuffer> {
  const writer = new NetlinkWriter(128).begin(RTM.new, NLM_F.request | NLM_F.ack | NLM_F.create | NLM_F.excl);
  header(writer, 0);
  writer.attrText(IFLA.ifname, name);
  bridgeInfo(writer, settings);
  return writer.end().finish();
}

/** Changes a link. A link that is up can be renamed only by kernels from 6.2 on. */
export function setLink(index: number, changes: LinkChanges): Uint8Array<ArrayBuffer> {
  const writer = new NetlinkWriter(96).begin(RTM.new, NLM_F.request | NLM_F.ack);
  header(writer, index, changes.up ? IFF_UP : 0, changes.up === undefined ? 0 : IFF_UP);
  if (changes.name !== undefined) writer.attrText(IFLA.ifname, changes.name);
  if (changes.mtu !== undefined) writer.attrU32(IFLA.mtu, changes.mtu);
  if (changes.mac !== undefined) writer.attrBytes(IFLA.address, macToBytes(changes.mac));
  if (changes.master !== undefined) writer.attrU32(IFLA.master, changes.master);
  if (changes.bridge !== undefined) bridgeInfo(writer, changes.bridge);
  if (changes.program !== undefined) {
    const nest = writer.open(IFLA_MORE.xdp);
    writer.attrU32(XDP.fd, changes.program ?? NO_PROGRAM).attrU32(XDP.flags, XDP_GENERIC).close(nest);
  }
  namespaceAttribute(writer, changes.namespace);
  return writer.end().finish();
}

/** Removes a link; of a veth pair both ends go. */
export function deleteLink(index: number): Uint8Array<ArrayBuffer> {
  const writer = new NetlinkWriter(64).begin(RTM.del, NLM_F.request | NLM_F.ack);
  header(writer, index);
  return writer.end().finish();
}

/** Decodes one whole message of the answer to getLink() or dumpLinks(). */
export function decodeLink(bytes: Uint8Array): Decoded<Interface> {
  const message = onlyMessage(bytes, RTM.new, HEADER);
  if (!message.ok) return message;
  const body = message.value;
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const index = view.getInt32(4, true);
  const flags = view.getUint32(8, true);
  let name = "";
  let mtu = 0;
  let mac: Mac | undefined;
  let kind: string | undefined;
  let peerIndex: number | undefined;
  let peerNamespaceId: number | undefined;
  let master: number | undefined;
  let bridge: BridgeSettings | undefined;
  let vxlan: VxlanSettings | undefined;
  let portKind: string | undefined;
  let port: BridgePortSettings | undefined;
  let qdisc: string | undefined;
  let hasProgram = false;
  const reader = new AttributeReader(body, HEADER);
  while (reader.next()) {
    if (reader.type === IFLA.ifname) name = reader.text();
    else if (reader.type === IFLA.mtu) mtu = reader.u32();
    else if (reader.type === IFLA.address) mac = reader.length === 6 ? macAt(reader.value(), 0) : undefined;
    else if (reader.type === IFLA.link) peerIndex = reader.i32();
    else if (reader.type === IFLA_MORE.linkNetNsId) peerNamespaceId = reader.i32();
    else if (reader.type === IFLA.master) master = reader.u32();
    else if (reader.type === IFLA.qdisc) qdisc = reader.text();
    else if (reader.type === IFLA_MORE.xdp) hasProgram = tellsOfProgram(reader);
    else if (reader.type === IFLA.linkInfo) {
      const info = reader.nested();
      while (info.next()) {
        if (info.type === INFO.kind) kind = info.text();
        else if (info.type === INFO.data && kind === "bridge") bridge = bridgeSettings(info);
        else if (info.type === INFO.data && kind === "vxlan") vxlan = readVxlan(info);
        else if (info.type === INFO.portKind) portKind = info.text();
        else if (info.type === INFO.portData && portKind === "bridge") {
          port = readBridgePort(info);
        }
      }
      if (info.failure !== undefined) reader.fail(info.failure);
    }
  }
  if (reader.failure !== undefined) return bad(reader.failure);
  if (index <= 0) return bad(`link index is ${index}`);
  if (name === "") return bad("link has no name");
  const up = (flags & IFF_UP) !== 0;
  const { passesReserved, isStopped } = port ?? {};
  const other = {
    peerIndex,
    peerNamespaceId,
    master,
    passesReserved,
    isStopped,
    bridge,
    vxlan,
    qdisc,
    hasProgram,
  };
  return good({ index, name, flags, up, mtu, mac, kind, ...other });
}

function tellsOfProgram(link: AttributeReader): boolean {
  let attached = false;
  const xdp = link.nested();
  while (xdp.next()) if (xdp.type === XDP.attached) attached = xdp.u8() !== 0;
  if (xdp.failure !== undefined) link.fail(xdp.failure);
  return attached;
}

function bridgeSettings(info: AttributeReader): BridgeSettings {
  const settings: { -readonly [K in keyof BridgeSettings]: BridgeSettings[K] } = {
    stp: false,
    multicastSnooping: false,
  };
  const data = info.nested();
  while (data.next()) {
    if (data.type === BRIDGE_INFO.stp) settings.stp = data.u32() !== 0;
    else if (data.type === BRIDGE_INFO.multicastSnooping) settings.multicastSnooping = data.u8() !== 0;
    else if (data.type === BRIDGE_INFO.maxLearned) settings.maxLearned = data.u32();
  }
  if (data.failure !== undefined) info.fail(data.failure);
  return settings;
}

/** The multicast group whose members hear of every interface that comes, changes or goes (RTNLGRP_LINK). */
export const LINK_NOTICES = 1;

/** What a notice tells of one interface. */
export interface InterfaceNotice {
  readonly index: number;
  readonly name: string;
  /** It is there. What a bridge tells of a port that it has lost counts as gone. */
  readonly present: boolean;
  readonly up: boolean;
  /** 0: the notice does not say. */
  readonly mtu: number;
  /** It belongs to a bridge or the like. */
  readonly hasMaster: boolean;
}

/** What a notice of LINK_NOTICES tells; nothing when it cannot be read. */
export function readInterfaceNotice(bytes: Uint8Array): readonly InterfaceNotice[] {
  const split = splitMessages(bytes);
  if (!split.ok) return [];
  const found: InterfaceNotice[] = [];
  for (const { type, body } of split.value) {
    if (type !== RTM.new && type !== RTM.del || body.length < HEADER) continue;
    const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
    let name = "";
    let hasMaster = false;
    let mtu = 0;
    const reader = new AttributeReader(body, HEADER);
    while (reader.next()) {
      if (reader.type === IFLA.ifname) name = reader.text();
      else if (reader.type === IFLA.master) hasMaster = reader.u32() !== 0;
      else if (reader.type === IFLA.mtu) mtu = reader.u32();
    }
    const up = (view.getUint32(8, true) & IFF_UP) !== 0;
    found.push({ index: view.getInt32(4, true), name, present: type === RTM.new, up, mtu, hasMaster });
  }
  return found;
}

/** Names of the interfaces that a notice of LINK_NOTICES is about; none when it cannot be read. */
export function namesInNotice(bytes: Uint8Array): readonly string[] {
  return readInterfaceNotice(bytes).map(({ name }) => name).filter((name) => name !== "");
}
