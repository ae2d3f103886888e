/** Open vSwitch kernel datapath: flows and packets (include/uapi/linux/openvswitch.h; spec dataplane.md 3). */
import { bad, type Decoded, good } from "../../core/brand.ts";
import { type AttributeReader, NLM_F, NLMSG, NLMSG_HEADER, splitMessages } from "./netlink.ts";
import { decodeVerdict } from "./netlink_reply.ts";
import { NetlinkWriter } from "./netlink_writer.ts";
import { beginOvs, openOvs, OVS_CMD, OVS_HEADERS, OVS_PACKET_CMD, type OvsFamilies } from "./ovs.ts";
import {
  flowKeyOf,
  KeyFields,
  NO_TAGS,
  readActions,
  writeActions,
  writeKey,
  writeMask,
} from "./ovs_key_codec.ts";
import type { FlowAction, FlowHandle, FlowKey, FlowRecord, Miss, PortNo, TagOf, Ufid } from "./ovs_keys.ts";

const FLOW = { key: 1, actions: 2, stats: 3, used: 5, mask: 7, ufid: 9, ufidFlags: 10 } as const;
const PACKET = { packet: 1, key: 2, actions: 3 } as const;
const OMIT = { key: 1, mask: 2, actions: 4 } as const;

/** First half of our flows' 16-byte ids, "meshnet" and a format number; the other half is the Ufid, big-endian. */
const UFID_PREFIX = { high: 0x6d657368, low: 0x6e657401 } as const;
const MAX_UFID = 2 ** 48;

function writeUfid(writer: NetlinkWriter, ufid: Ufid): void {
  const opened = writer.open(FLOW.ufid);
  const high = Math.floor(ufid / 0x1_0000_0000);
  for (const word of [UFID_PREFIX.high, UFID_PREFIX.low, high, ufid >>> 0]) {
    writer.u8(word >>> 24).u8(word >>> 16 & 255).u8(word >>> 8 & 255).u8(word & 255);
  }
  writer.close(opened);
}

function readUfid(attributes: AttributeReader): Ufid | undefined {
  if (attributes.length !== 16) return undefined;
  const value = attributes.value();
  const view = new DataView(value.buffer, value.byteOffset);
  if (view.getUint32(0) !== UFID_PREFIX.high || view.getUint32(4) !== UFID_PREFIX.low) return undefined;
  const number = view.getUint32(8) * 0x1_0000_0000 + view.getUint32(12);
  return number > 0 && number < MAX_UFID ? number as Ufid : undefined;
}

/** A flow to install. */
export interface FlowInstall {
  /** Its id from then on. */
  readonly ufid: Ufid;
  /** What it matches. */
  readonly key: FlowKey;
  /** What is done to matching frames. */
  readonly actions: readonly FlowAction[];
  /** Change the flow that has this id, which must be there. A new flow, in contrast, must not overlap another: the
   * kernel compares a new key before masking with keys after masking, and so would not even know it again. */
  readonly replace?: boolean;
}

/** How a request is written. */
export interface WriteOptions {
  /** By default the kernel answers only if it fails. */
  readonly flags?: number;
  /** Tags for user space's port. A flow whose key needs one that there is none of must not be written; an action is
   * left out. */
  readonly tagOf?: TagOf | undefined;
  /** The meter that a flow's frames pass before they leave for other hosts. */
  readonly meter?: number | undefined;
}

/** Appends a message that installs or changes a flow. */
export function writeFlowNew(
  writer: NetlinkWriter,
  families: OvsFamilies,
  datapath: number,
  flow: FlowInstall,
  { flags = NLM_F.request, meter, tagOf = NO_TAGS }: WriteOptions = {},
): void {
  const command = flow.replace === true ? OVS_CMD.set : OVS_CMD.new;
  beginOvs(writer, families.flow, { command, flags, datapath });
  const key = writer.open(FLOW.key);
  const { sleeve } = flow.key;
  writeKey(writer, flow.key, sleeve === undefined ? 0 : tagOf(sleeve));
  const mask = writer.close(key).open(FLOW.mask);
  writeMask(writer, flow.key);
  const actions = writer.close(mask).open(FLOW.actions);
  writeActions(writer, flow.actions, { tagOf, carriesTag: sleeve !== undefined, meter });
  writer.close(actions);
  writeUfid(writer, flow.ufid);
  if (flow.replace === true) writeEcho(writer, flags);
  writer.end();
}

/** Appends a message that has the kernel carry out `actions` on a frame, which has no tag of user space. */
export function writeExecute(
  writer: NetlinkWriter,
  families: OvsFamilies,
  datapath: number,
  packet: { readonly frame: Uint8Array; readonly actions: readonly FlowAction[] },
  { flags = NLM_F.request, tagOf = NO_TAGS }: WriteOptions = {},
): void {
  beginOvs(writer, families.packet, { command: OVS_PACKET_CMD.execute, flags, datapath });
  writer.attrBytes(PACKET.packet, packet.frame);
  const key = writer.open(PACKET.key); // must be there, may be empty: the kernel extracts it again
  const actions = writer.close(key).open(PACKET.actions);
  writeActions(writer, packet.actions, { tagOf, carriesTag: false });
  writer.close(actions).end();
}

/** Names one flow: ours by id, any by what the kernel told of it. */
export type FlowName = { readonly ufid: Ufid } | { readonly handle: FlowHandle };

/** Appends a message that deletes a flow; the kernel answers with the flow if `flags` hold `echo`. */
export function writeFlowDelete(
  writer: NetlinkWriter,
  families: OvsFamilies,
  datapath: number,
  name: FlowName,
  flags: number = NLM_F.request,
): void {
  beginOvs(writer, families.flow, { command: OVS_CMD.del, flags, datapath });
  if ("ufid" in name) {
    writeUfid(writer, name.ufid);
    writeEcho(writer, flags);
  } else writer.raw(name.handle);
  writer.end();
}

/** An answer needs no more than the flow's id and what it has carried. */
function writeEcho(writer: NetlinkWriter, flags: number): void {
  if ((flags & NLM_F.echo) !== 0) writer.attrU32(FLOW.ufidFlags, OMIT.key | OMIT.mask | OMIT.actions);
}

/** Asks for all flows; `terse` leaves out keys, masks and actions of flows that have ids. */
export function encodeFlowDump(
  families: OvsFamilies,
  datapath: number,
  terse: boolean,
): Uint8Array<ArrayBuffer> {
  const head = { command: OVS_CMD.get, flags: NLM_F.request | NLM_F.dump, datapath };
  const writer = beginOvs(new NetlinkWriter(32), families.flow, head);
  if (terse) writer.attrU32(FLOW.ufidFlags, OMIT.key | OMIT.mask | OMIT.actions);
  return writer.end().finish();
}

/** Decodes a message about a flow. */
export function decodeFlow(message: Uint8Array): Decoded<FlowRecord> {
  const opened = openOvs(message);
  if (!opened.ok) return opened;
  const { attributes } = opened.value;
  let ufid: Ufid | undefined;
  let handle: Uint8Array | undefined;
  let key: KeyFields | undefined;
  let mask: KeyFields | undefined;
  let actions: FlowAction[] | undefined;
  const record = { packets: 0, bytes: 0 };
  let usedAt: number | undefined;
  while (attributes.next()) {
    const { start, length, type } = attributes;
    if (type === FLOW.ufid) {
      ufid = readUfid(attributes);
      handle = message.subarray(start - 4, start + length);
    } else if (type === FLOW.key) {
      key = KeyFields.of(attributes);
      handle ??= message.subarray(start - 4, start + length);
    } else if (type === FLOW.mask) mask = KeyFields.of(attributes, true);
    else if (type === FLOW.actions) actions = readActions(attributes);
    else if (type === FLOW.used) usedAt = attributes.u64();
    else if (type === FLOW.stats) {
      record.packets = attributes.u64(0);
      record.bytes = attributes.u64(8);
    }
  }
  if (attributes.failure !== undefined) return bad(`flow: ${attributes.failure}`);
  if (handle === undefined) return bad("flow has neither id nor key");
  return good({
    ufid,
    handle: handle as FlowHandle,
    key: key === undefined || mask === undefined ? undefined : flowKeyOf(key, mask),
    actions,
    ...record,
    usedAt,
  });
}

/** A refusal; `ufid` is set when the request was to install or delete one of our flows. */
export interface UpcallError {
  /** Tells it from a miss. */
  readonly kind: "error";
  /** What was refused. */
  readonly request: "install" | "delete" | "execute" | "other";
  /** Positive. */
  readonly errno: number;
  /** The kernel's own words. */
  readonly text: string | undefined;
  /** The flow of the request. */
  readonly ufid: Ufid | undefined;
}

/** What arrives at the socket that receives misses. */
export type Upcall =
  | {
    readonly kind: "miss";
    readonly datapath: number;
    /** `key.tagged` speaks of the first tag. */
    readonly miss: Miss;
    /** The first tag's TCI without its bit 12, 0 when there is no tag. */
    readonly tag: number;
    /** Whether another tag is behind it. */
    readonly taggedTwice: boolean;
  }
  /** A request sent without acknowledgement failed. */
  | UpcallError
  /** A request with `echo` is answered: the flow as it was. */
  | { readonly kind: "flow"; readonly flow: FlowRecord }
  /** Anything else. */
  | { readonly kind: "ignored" };

/** Decodes one datagram of that socket. The frame of a miss is a view of it. */
export function decodeUpcall(families: OvsFamilies, datagram: Uint8Array): Decoded<Upcall> {
  if (datagram.length < NLMSG_HEADER) return bad(`message header needs 16 bytes, has ${datagram.length}`);
  const type = datagram[4]! | datagram[5]! << 8;
  if (type === families.packet) return decodeMiss(datagram);
  if (type === families.flow) return decodeEcho(datagram);
  return type === NLMSG.error ? decodeFailure(families, datagram) : good({ kind: "ignored" });
}

function decodeEcho(datagram: Uint8Array): Decoded<Upcall> {
  const decoded = decodeFlow(datagram);
  return decoded.ok ? good({ kind: "flow", flow: decoded.value }) : decoded;
}

function decodeMiss(message: Uint8Array): Decoded<Upcall> {
  const opened = openOvs(message);
  if (!opened.ok) return opened;
  const { attributes, command, datapath } = opened.value;
  if (command !== OVS_PACKET_CMD.miss) return good({ kind: "ignored" });
  let key: KeyFields | undefined;
  let frame: Uint8Array | undefined;
  while (attributes.next()) {
    if (attributes.type === PACKET.key) key = KeyFields.of(attributes);
    else if (attributes.type === PACKET.packet) frame = attributes.value();
  }
  if (attributes.failure !== undefined) return bad(`miss: ${attributes.failure}`);
  if (key === undefined || frame === undefined || !key.hasEthernet) return bad("miss has no key or no frame");
  const inPort = key.inPort as PortNo;
  const { ethSrc, ethDst } = key;
  const tunnel = key.tunnel();
  if (key.hasTunnel && tunnel === undefined) return bad("miss has a tunnel id of more than 24 bits");
  const tagged = key.tagged || undefined;
  const miss: Miss = { key: { inPort, tunnel, ethSrc, ethDst, tagged }, frame };
  const tag = tagged ? key.vlan & ~0x1000 : 0;
  return good({ kind: "miss", datapath, miss, tag, taggedTwice: key.taggedTwice });
}

function decodeFailure(families: OvsFamilies, datagram: Uint8Array): Decoded<Upcall> {
  const split = splitMessages(datagram);
  if (!split.ok) return split;
  const verdict = decodeVerdict(split.value[0]!);
  if (!verdict.ok) return verdict;
  const { errno, text, request } = verdict.value;
  if (errno === 0) return good({ kind: "ignored" });
  const error = { kind: "error", request: "other", errno, text, ufid: undefined } as const;
  if (request?.type === families.packet) return good({ ...error, request: "execute" });
  if (request?.type !== families.flow || request.body.length < OVS_HEADERS - NLMSG_HEADER) return good(error);
  const { buffer, byteOffset, byteLength } = request.body;
  const opened = openOvs(new Uint8Array(buffer, byteOffset - NLMSG_HEADER, byteLength + NLMSG_HEADER));
  if (!opened.ok) return opened;
  const { attributes, command } = opened.value;
  let ufid: Ufid | undefined;
  while (attributes.next()) {
    if (attributes.type === FLOW.ufid) ufid = readUfid(attributes);
  }
  return good({ ...error, request: command === OVS_CMD.del ? "delete" : "install", ufid });
}
