/** Queueing disciplines over rtnetlink (include/uapi/linux/rtnetlink.h, pkt_sched.h). */
import { NLM_F, splitMessages } from "./netlink.ts";
import { NetlinkWriter } from "./netlink_writer.ts";

const RTM = { new: 36, del: 37 } as const;
const TCA_KIND = 1;
const TC_H_ROOT = 0xffff_ffff;
const HEADER = 20; // struct tcmsg

/** The discipline that drops whatever is sent; every kernel that has disciplines has it. */
export const BLACKHOLE = "blackhole";

/** Has everything dropped that a link would send. */
export function dropWhatLeaves(index: number): Uint8Array<ArrayBuffer> {
  const flags = NLM_F.request | NLM_F.ack | NLM_F.create | NLM_F.replace;
  const writer = new NetlinkWriter(64).begin(RTM.new, flags).u8(0).u8(0).u16(0);
  writer.u32(index).u32(0).u32(TC_H_ROOT).u32(0);
  return writer.attrText(TCA_KIND, BLACKHOLE).end().finish();
}

/** Has a link send again, by the discipline that its kind has. */
export function letLeave(index: number): Uint8Array<ArrayBuffer> {
  const writer = new NetlinkWriter(64).begin(RTM.del, NLM_F.request | NLM_F.ack).u8(0).u8(0).u16(0);
  return writer.u32(index).u32(0).u32(TC_H_ROOT).u32(0).end().finish();
}

/** The multicast group whose members hear of disciplines that come, change or go (RTNLGRP_TC). */
export const QDISC_NOTICES = 4;

/** Indexes of the links whose disciplines a notice of QDISC_NOTICES is about; none when it cannot be read. */
export function linksOfQdiscNotice(bytes: Uint8Array): readonly number[] {
  const split = splitMessages(bytes);
  if (!split.ok) return [];
  return split.value.filter(({ type, body }) =>
    (type === RTM.new || type === RTM.del) && body.length >= HEADER
  )
    .map(({ body }) => new DataView(body.buffer, body.byteOffset).getInt32(4, true));
}
