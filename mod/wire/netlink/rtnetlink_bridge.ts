/** Ports of a Linux bridge and its table of addresses, over rtnetlink (include/uapi/linux/if_link.h, neighbour.h). */
import { type Mac, macToBytes } from "../../core/addr.ts";
import { type AttributeReader, NLM_F, splitMessages } from "./netlink.ts";
import { NetlinkWriter } from "./netlink_writer.ts";

const AF_BRIDGE = 7;
const RTM = { setLink: 19, newNeighbour: 28, deleteNeighbour: 29, getNeighbour: 30 } as const;
const IFLA = { master: 10, portInfo: 12 } as const;
const PORT = {
  state: 1,
  learning: 8,
  unknown: 9,
  flush: 24,
  groups: 27,
  broadcasts: 30,
  reserved: 31,
} as const; // IFLA_BRPORT_*
const STATE = { disabled: 0, forwarding: 3 } as const; // BR_STATE_*
/** Of the reserved groups, 01:80:c2:00:00:00 to 0f, all that a kernel lets a port pass on; it drops the other, 01. */
const RESERVED_GROUPS = 0xfffd;
/** Entries that nobody learnt: NUD_NOARP and NUD_PERMANENT. */
const STATIC = 0x40 | 0x80;
const HEADER = 12; // struct ndmsg
const NDA_LLADDR = 2;
/** NUD_NOARP: an entry that is no address of the bridge itself and does not age. */
const NOARP = 0x40;
/** NTF_MASTER, NTF_STICKY. */
const MASTER = 0x04;
const STICKY = 0x40;

/** What to change about a port; what is left out stays. */
export interface BridgePortChanges {
  /** Whether it takes and gives frames. */
  readonly open?: boolean;
  /** Whether the bridge learns addresses there. */
  readonly learning?: boolean;
  /** Whether frames for everybody go out there. */
  readonly flooding?: boolean;
  /** Whether frames for an address that the bridge does not know go out there. */
  readonly unknown?: boolean;
  /** Frames to the reserved groups pass like those to any other group. Unless told so, a bridge hands them to this host,
   * which takes whatever IPv4 or ARP they carry. */
  readonly passReserved?: true;
  /** Forget what was learnt there. */
  readonly flush?: true;
}

/** What a port that is part of a bridge tells of itself. */
export interface BridgePortSettings {
  /** Whether it passes on frames to the reserved groups; undefined where the kernel has no such setting (before 4.15). */
  readonly passesReserved: boolean | undefined;
  /** Whether it takes no frames and gives none. */
  readonly isStopped: boolean;
}

/** Reads what a port tells of itself. */
export function readBridgePort(port: AttributeReader): BridgePortSettings {
  let passesReserved: boolean | undefined;
  let isStopped = false;
  const data = port.nested();
  while (data.next()) {
    if (data.type === PORT.reserved) passesReserved = data.u16() === RESERVED_GROUPS;
    else if (data.type === PORT.state) isStopped = data.u8() === STATE.disabled;
  }
  if (data.failure !== undefined) port.fail(data.failure);
  return { passesReserved, isStopped };
}

/** Changes a port of a bridge. */
export function setBridgePort(index: number, changes: BridgePortChanges): Uint8Array<ArrayBuffer> {
  const writer = new NetlinkWriter(64).begin(RTM.setLink, NLM_F.request | NLM_F.ack);
  writer.u8(AF_BRIDGE).u8(0).u16(0).u32(index).u32(0).u32(0);
  const { flooding, flush, learning, open, passReserved, unknown } = changes;
  const info = writer.openNested(IFLA.portInfo); // without that bit it would be a bare state
  if (open !== undefined) writer.attrU8(PORT.state, open ? STATE.forwarding : STATE.disabled);
  if (learning !== undefined) writer.attrU8(PORT.learning, learning ? 1 : 0);
  if (unknown !== undefined) writer.attrU8(PORT.unknown, unknown ? 1 : 0);
  if (flooding !== undefined) {
    writer.attrU8(PORT.groups, flooding ? 1 : 0).attrU8(PORT.broadcasts, flooding ? 1 : 0);
  }
  if (passReserved) writer.attrU16(PORT.reserved, RESERVED_GROUPS);
  if (flush) writer.attrBytes(PORT.flush, new Uint8Array(0));
  return writer.close(info).end().finish();
}

/** Tells a bridge that an address is behind a port, for good: no frame moves it to another. */
export function setBridgeEntry(port: number, mac: Mac): Uint8Array<ArrayBuffer> {
  const flags = NLM_F.request | NLM_F.ack | NLM_F.create | NLM_F.replace;
  const writer = new NetlinkWriter(64).begin(RTM.newNeighbour, flags);
  writer.u8(AF_BRIDGE).u8(0).u16(0).u32(port).u16(NOARP).u8(MASTER | STICKY).u8(0);
  return writer.attrBytes(NDA_LLADDR, macToBytes(mac)).end().finish();
}

/** Has a bridge forget that an address is behind a port. The kernel refuses it (ENOENT) where it is not. */
export function deleteBridgeEntry(port: number, mac: Mac): Uint8Array<ArrayBuffer> {
  const writer = new NetlinkWriter(64).begin(RTM.deleteNeighbour, NLM_F.request | NLM_F.ack);
  writer.u8(AF_BRIDGE).u8(0).u16(0).u32(port).u16(0).u8(MASTER).u8(0);
  return writer.attrBytes(NDA_LLADDR, macToBytes(mac)).end().finish();
}

/** Asks for the table of addresses of a bridge. */
export function dumpBridgeTable(bridge: number): Uint8Array<ArrayBuffer> {
  const writer = new NetlinkWriter(64).begin(RTM.getNeighbour, NLM_F.request | NLM_F.dump);
  return writer.u8(AF_BRIDGE).u8(0).u16(0).u32(0).u32(0).u32(0).attrU32(IFLA.master, bridge).end().finish();
}

/** How many addresses were learnt at each port, by its index, of the answer to dumpBridgeTable(). */
export function learntAtPorts(replies: readonly Uint8Array[]): ReadonlyMap<number, number> {
  const counts = new Map<number, number>();
  for (const reply of replies) {
    const split = splitMessages(reply);
    for (const { type, body } of split.ok ? split.value : []) {
      if (type !== RTM.newNeighbour || body.length < HEADER || body[0] !== AF_BRIDGE) continue;
      const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
      if ((view.getUint16(8, true) & STATIC) !== 0) continue;
      const index = view.getInt32(4, true);
      counts.set(index, (counts.get(index) ?? 0) + 1);
    }
  }
  return counts;
}

/** The multicast group whose members hear of addresses that a bridge learns, among others (RTNLGRP_NEIGH). */
export const NEIGHBOUR_NOTICES = 3;
