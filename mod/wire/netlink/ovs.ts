/** Open vSwitch kernel datapath: datapaths and their ports (include/uapi/linux/openvswitch.h; spec dataplane.md 3).
 * Requests are whole messages without sequence and port id: NetlinkSocket.request fills those in. */
import { bad, type Decoded, good } from "../../core/brand.ts";
import type { NetlinkSocket } from "../../core/ports.ts";
import { findFamily } from "./genetlink.ts";
import { AttributeReader, NLM_F, NLMSG_HEADER } from "./netlink.ts";
import { NetlinkWriter } from "./netlink_writer.ts";
import type { PortNo, Vport, VportKind } from "./ovs_keys.ts";

/** Commands of the datapath, vport and flow families. */
export const OVS_CMD = { new: 1, del: 2, get: 3, set: 4 } as const;
/** Command of the packet family. */
export const OVS_PACKET_CMD = { miss: 1, action: 2, execute: 3 } as const;
/** User features of a datapath. */
export const OVS_FEATURE = { unaligned: 1, vportPids: 2, tcRecircSharing: 4, perCpuDispatch: 8 } as const;

const DATAPATH = { name: 1, upcallPid: 2, stats: 3, megaflowStats: 4, features: 5, perCpuPids: 8 } as const;
const VPORT = { port: 1, type: 2, name: 3, options: 4, upcallPid: 5, stats: 6, ifindex: 8 } as const;
const TUNNEL_OPTION = { udpPort: 1 } as const;
const VPORT_TYPES = { netdev: 1, internal: 2, vxlan: 4 } as const;
const DATAPATH_VERSION = 2;
const VERSION = 1;
/** Octets in front of the attributes: netlink, Generic Netlink and OVS headers. */
export const OVS_HEADERS: number = NLMSG_HEADER + 8;

const SINGLE = NLM_F.request | NLM_F.echo;
const DUMP = NLM_F.request | NLM_F.dump;

/** Numbers of the four families in this kernel, and of the groups that tell of changes. */
export interface OvsFamilies {
  /** Family of datapaths. */
  readonly datapath: number;
  /** Family of ports. */
  readonly vport: number;
  /** Family of flows. */
  readonly flow: number;
  /** Family of misses and of packets to send. */
  readonly packet: number;
  /** Group that tells of ports. */
  readonly vportGroup: number;
  /** Group that tells of datapaths. */
  readonly datapathGroup: number;
}

/** Looks the families up; undefined when the kernel has no openvswitch (or has not loaded it). */
export function findOvsFamilies(socket: NetlinkSocket): OvsFamilies | undefined {
  const datapath = findFamily(socket, "ovs_datapath");
  const vport = datapath && findFamily(socket, "ovs_vport");
  const flow = vport && findFamily(socket, "ovs_flow");
  const packet = flow && findFamily(socket, "ovs_packet");
  if (packet === undefined) return undefined;
  return {
    datapath: datapath!.id,
    vport: vport!.id,
    flow: flow!.id,
    packet: packet.id,
    vportGroup: vport!.groups.get("ovs_vport") ?? 0,
    datapathGroup: datapath!.groups.get("ovs_datapath") ?? 0,
  };
}

/** Starts a message of an OVS family. */
export function beginOvs(
  writer: NetlinkWriter,
  family: number,
  head: { command: number; flags: number; datapath: number; version?: number },
): NetlinkWriter {
  return writer.begin(family, head.flags).u8(head.command).u8(head.version ?? VERSION).u16(0).u32(
    head.datapath,
  );
}

/** The headers of an OVS message, and a reader of its attributes. */
export interface OvsMessage {
  /** Which of OvsFamilies. */
  readonly family: number;
  /** One of OVS_CMD. */
  readonly command: number;
  /** Index of the interface of the datapath. */
  readonly datapath: number;
  /** What follows the headers. */
  readonly attributes: AttributeReader;
}

/** Opens one message of any OVS family. */
export function openOvs(message: Uint8Array): Decoded<OvsMessage> {
  if (message.length < OVS_HEADERS) return bad(`message needs ${OVS_HEADERS} bytes, has ${message.length}`);
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  const length = view.getUint32(0, true);
  if (length < OVS_HEADERS || length > message.length) return bad(`message length is ${length}`);
  return good({
    family: view.getUint16(4, true),
    command: message[NLMSG_HEADER]!,
    datapath: view.getInt32(NLMSG_HEADER + 4, true),
    attributes: new AttributeReader(message, OVS_HEADERS, length),
  });
}

/** A datapath as the kernel tells it. */
export interface DatapathInfo {
  /** Index of its own interface: what names the datapath in every other request. */
  readonly ifindex: number;
  /** Name of that interface. */
  readonly name: string;
  /** Bits of OVS_FEATURE. */
  readonly features: number;
  /** Who receives misses of each CPU when dispatch is per CPU; empty: not told. */
  readonly perCpuPids: readonly number[];
  /** Packets for which there was a flow. */
  readonly hits: number;
  /** Packets for which there was none. */
  readonly misses: number;
  /** Misses that could not be delivered. */
  readonly lost: number;
  /** Flows installed. */
  readonly flows: number;
  /** Different masks in use: each costs a lookup. */
  readonly masks: number;
}

/** How misses are dispatched: feature bits and, for per-CPU dispatch, the receiver of each CPU. */
export interface Dispatch {
  /** Bits of OVS_FEATURE. */
  readonly features: number;
  /** Netlink port ids by CPU. */
  readonly perCpuPids: readonly number[];
}

function dispatchAttributes(writer: NetlinkWriter, dispatch: Dispatch): NetlinkWriter {
  writer.attrU32(DATAPATH.features, dispatch.features);
  return dispatch.perCpuPids.length === 0
    ? writer
    : writer.attrU32s(DATAPATH.perCpuPids, dispatch.perCpuPids);
}

function datapathMessage(
  families: OvsFamilies,
  command: number,
  flags: number,
  datapath: number,
): NetlinkWriter {
  const head = { command, flags, datapath, version: DATAPATH_VERSION };
  return beginOvs(new NetlinkWriter(128), families.datapath, head);
}

/** Creates a datapath and its own interface of the same name. */
export function encodeDatapathNew(
  families: OvsFamilies,
  name: string,
  dispatch: Dispatch,
): Uint8Array<ArrayBuffer> {
  const writer = datapathMessage(families, OVS_CMD.new, SINGLE, 0);
  writer.attrText(DATAPATH.name, name).attrU32(DATAPATH.upcallPid, 0);
  return dispatchAttributes(writer, dispatch).end().finish();
}

/** Sets how misses are dispatched. */
export function encodeDatapathSet(
  families: OvsFamilies,
  ifindex: number,
  d: Dispatch,
): Uint8Array<ArrayBuffer> {
  return dispatchAttributes(datapathMessage(families, OVS_CMD.set, SINGLE, ifindex), d).end().finish();
}

/** Asks for one datapath by name. */
export function encodeDatapathGet(families: OvsFamilies, name: string): Uint8Array<ArrayBuffer> {
  return datapathMessage(families, OVS_CMD.get, SINGLE, 0).attrText(DATAPATH.name, name).end().finish();
}

/** Deletes a datapath with its ports and flows. */
export function encodeDatapathDelete(families: OvsFamilies, ifindex: number): Uint8Array<ArrayBuffer> {
  return datapathMessage(families, OVS_CMD.del, SINGLE, ifindex).end().finish();
}

/** Decodes a message about a datapath. */
export function decodeDatapath(message: Uint8Array): Decoded<DatapathInfo> {
  const opened = openOvs(message);
  if (!opened.ok) return opened;
  const { attributes, datapath } = opened.value;
  const info = { ifindex: datapath, name: "", features: 0, hits: 0, misses: 0, lost: 0, flows: 0, masks: 0 };
  let perCpuPids: readonly number[] = [];
  while (attributes.next()) {
    if (attributes.type === DATAPATH.name) info.name = attributes.text();
    else if (attributes.type === DATAPATH.features) info.features = attributes.u32();
    else if (attributes.type === DATAPATH.perCpuPids) perCpuPids = attributes.u32s();
    else if (attributes.type === DATAPATH.megaflowStats && attributes.length >= 12) {
      info.masks = attributes.u32(8);
    } else if (attributes.type === DATAPATH.stats) {
      info.hits = attributes.u64(0);
      info.misses = attributes.u64(8);
      info.lost = attributes.u64(16);
      info.flows = attributes.u64(24);
    }
  }
  if (attributes.failure !== undefined) return bad(`datapath: ${attributes.failure}`);
  return good({ ...info, perCpuPids });
}

function vportMessage(
  families: OvsFamilies,
  command: number,
  flags: number,
  datapath: number,
): NetlinkWriter {
  return beginOvs(new NetlinkWriter(128), families.vport, { command, flags, datapath });
}

/** Adds a port. A netdev port takes an existing interface; the others make one of that name. */
export function encodeVportNew(
  families: OvsFamilies,
  datapath: number,
  port:
    & { readonly name: string; readonly upcallPid: number }
    & (
      | { readonly kind: "netdev" | "internal" }
      | { readonly kind: "vxlan"; readonly udpPort: number }
    ),
): Uint8Array<ArrayBuffer> {
  const writer = vportMessage(families, OVS_CMD.new, SINGLE, datapath)
    .attrText(VPORT.name, port.name).attrU32(VPORT.type, VPORT_TYPES[port.kind]);
  const options = writer.open(VPORT.options);
  if (port.kind === "vxlan") writer.attrU16(TUNNEL_OPTION.udpPort, port.udpPort);
  return writer.close(options).attrU32(VPORT.upcallPid, port.upcallPid).end().finish();
}

/** Asks for one port, by number or by name of its interface. */
export function encodeVportGet(
  families: OvsFamilies,
  datapath: number,
  which: { readonly port: PortNo } | { readonly name: string },
): Uint8Array<ArrayBuffer> {
  const writer = vportMessage(families, OVS_CMD.get, SINGLE, datapath);
  if ("port" in which) writer.attrU32(VPORT.port, which.port);
  else writer.attrText(VPORT.name, which.name);
  return writer.end().finish();
}

/** Asks for all ports of a datapath. */
export function encodeVportDump(families: OvsFamilies, datapath: number): Uint8Array<ArrayBuffer> {
  return vportMessage(families, OVS_CMD.get, DUMP, datapath).end().finish();
}

/** Sets who receives the misses of a port when dispatch is per port. */
export function encodeVportUpcall(
  families: OvsFamilies,
  datapath: number,
  upcall: { readonly port: PortNo; readonly pid: number },
): Uint8Array<ArrayBuffer> {
  return vportMessage(families, OVS_CMD.set, SINGLE, datapath)
    .attrU32(VPORT.port, upcall.port).attrU32(VPORT.upcallPid, upcall.pid).end().finish();
}

/** Removes a port. */
export function encodeVportDelete(
  families: OvsFamilies,
  datapath: number,
  port: PortNo,
): Uint8Array<ArrayBuffer> {
  return vportMessage(families, OVS_CMD.del, SINGLE, datapath).attrU32(VPORT.port, port).end().finish();
}

/** A message about a port: an answer, or a notification of any datapath in the namespace. */
export interface VportMessage {
  /** One of OVS_CMD; kernels before 4.19 answer every request with `new`. */
  readonly command: number;
  /** Index of the interface of the datapath. */
  readonly datapath: number;
  /** The port as it is now, or was. */
  readonly vport: Vport;
}

/** Decodes a message about a port. */
export function decodeVport(message: Uint8Array): Decoded<VportMessage> {
  const opened = openOvs(message);
  if (!opened.ok) return opened;
  const { attributes, command, datapath } = opened.value;
  let port = -1;
  let kind: VportKind = "other";
  let name = "";
  let ifindex: number | undefined;
  let udpPort: number | undefined;
  let upcallPids: readonly number[] = [];
  while (attributes.next()) {
    if (attributes.type === VPORT.port) port = attributes.u32();
    else if (attributes.type === VPORT.type) kind = kindOf(attributes.u32());
    else if (attributes.type === VPORT.name) name = attributes.text();
    else if (attributes.type === VPORT.ifindex) ifindex = attributes.u32();
    else if (attributes.type === VPORT.upcallPid) upcallPids = attributes.u32s();
    else if (attributes.type === VPORT.options) udpPort = readUdpPort(attributes);
  }
  if (attributes.failure !== undefined) return bad(`port: ${attributes.failure}`);
  if (port < 0) return bad("port has no number");
  return good({
    command,
    datapath,
    vport: { port: port as PortNo, kind, name, ifindex, udpPort, upcallPids },
  });
}

function kindOf(type: number): VportKind {
  if (type === VPORT_TYPES.netdev) return "netdev";
  if (type === VPORT_TYPES.internal) return "internal";
  return type === VPORT_TYPES.vxlan ? "vxlan" : "other";
}

function readUdpPort(parent: AttributeReader): number | undefined {
  const reader = parent.nested();
  let port: number | undefined;
  while (reader.next()) {
    if (reader.type === TUNNEL_OPTION.udpPort) port = reader.u16();
  }
  if (reader.failure !== undefined) parent.fail(reader.failure);
  return port;
}
