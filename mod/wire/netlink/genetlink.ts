/** Generic netlink: headers and the look-up of a family's number (include/uapi/linux/genetlink.h). */
import { bad, type Decoded, good } from "../../core/brand.ts";
import { MeshnetError } from "../../core/errors.ts";
import { ERRNO } from "../../core/errno.ts";
import type { NetlinkSocket } from "../../core/ports.ts";
import { AttributeReader, NLM_F, splitMessages } from "./netlink.ts";
import { NetlinkWriter } from "./netlink_writer.ts";

/** Octets of the Generic Netlink header. */
export const GENL_HEADER = 4;
const CTRL = { family: 16, version: 2, getFamily: 3 } as const;
const CTRL_ATTR = { familyId: 1, familyName: 2, version: 3, groups: 7, groupName: 1, groupId: 2 } as const;

/** A family as registered in this kernel. */
export interface GenlFamily {
  /** What it is looked up by. */
  readonly name: string;
  /** Message type of its requests and replies. */
  readonly id: number;
  /** Of its messages. */
  readonly version: number;
  /** Numbers of its multicast groups by name. */
  readonly groups: ReadonlyMap<string, number>;
}

/** The request for a family's number. Version 1 and flags as observed (spec dataplane.md 3.1). */
export function encodeFamilyRequest(name: string, seq = 0): Uint8Array<ArrayBuffer> {
  return new NetlinkWriter(64).begin(CTRL.family, NLM_F.request | NLM_F.echo, seq)
    .u8(CTRL.getFamily).u8(0).u16(0).attrText(CTRL_ATTR.familyName, name).end().finish();
}

/** Decodes the reply to a family request. */
export function decodeFamily(message: Uint8Array): Decoded<GenlFamily> {
  const split = splitMessages(message);
  if (!split.ok) return split;
  const body = split.value[0]?.body;
  if (body === undefined || body.length < GENL_HEADER) return bad("family reply has no header");
  let id = 0;
  let version = 0;
  let name = "";
  const groups = new Map<string, number>();
  const reader = new AttributeReader(body, GENL_HEADER);
  while (reader.next()) {
    if (reader.type === CTRL_ATTR.familyId) id = reader.u16();
    if (reader.type === CTRL_ATTR.version) version = reader.u32();
    if (reader.type === CTRL_ATTR.familyName) name = reader.text();
    if (reader.type === CTRL_ATTR.groups) readGroups(reader, groups);
  }
  if (reader.failure !== undefined) return bad(`family reply: ${reader.failure}`);
  return id === 0 ? bad("family reply has no number") : good({ name, id, version, groups });
}

function readGroups(parent: AttributeReader, groups: Map<string, number>): void {
  const list = parent.nested();
  while (list.next()) {
    const group = list.nested();
    let name = "";
    let id = 0;
    while (group.next()) {
      if (group.type === CTRL_ATTR.groupName) name = group.text();
      if (group.type === CTRL_ATTR.groupId) id = group.u32();
    }
    if (group.failure !== undefined) list.fail(group.failure);
    if (name !== "") groups.set(name, id);
  }
  if (list.failure !== undefined) parent.fail(list.failure);
}

/** Asks the kernel for a family; undefined when it has none of that name (its module is not loaded). */
export function findFamily(socket: NetlinkSocket, name: string): GenlFamily | undefined {
  let replies: readonly Uint8Array[];
  try {
    replies = socket.request(encodeFamilyRequest(name));
  } catch (thrown) {
    if (thrown instanceof MeshnetError && thrown.errno === ERRNO.ENOENT) return undefined;
    throw thrown;
  }
  const reply = replies[0];
  const family = reply === undefined ? bad("no reply") : decodeFamily(reply);
  if (family.ok) return family.value;
  throw new MeshnetError("netlink/request-failed", `Cannot look up netlink family ${name}: ${family.reason}`);
}
