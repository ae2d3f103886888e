/** What the kernel counts at an interface (struct rtnl_link_stats64, linux/if_link.h). */
import { bad, type Decoded, good } from "../../core/brand.ts";
import { AttributeReader, NLM_F } from "./netlink.ts";
import { NetlinkWriter } from "./netlink_writer.ts";
import { onlyMessage } from "./rtnetlink_message.ts";

const RTM = { new: 16, get: 18 } as const;
const IFLA = { ifname: 3, statistics: 23 } as const; // IFLA_STATS64
const HEADER = 16; // struct ifinfomsg
/** Place of tx_dropped, in host order. */
const SEND_DROPPED = 56;

/** Asks for the counts of one interface; ENODEV when there is none. */
export function getStatistics(name: string): Uint8Array<ArrayBuffer> {
  const writer = new NetlinkWriter(64).begin(RTM.get, NLM_F.request);
  for (let i = 0; i < HEADER / 4; i++) writer.u32(0);
  return writer.attrText(IFLA.ifname, name).end().finish();
}

/** How many packets the interface was to send and dropped since it was made: the answer to getStatistics(). */
export function decodeSendDropped(bytes: Uint8Array): Decoded<number> {
  const message = onlyMessage(bytes, RTM.new, HEADER);
  if (!message.ok) return message;
  const reader = new AttributeReader(message.value, HEADER);
  while (reader.next()) {
    if (reader.type !== IFLA.statistics) continue;
    const counts = reader.value();
    if (counts.length < SEND_DROPPED + 8) return bad(`statistics have ${counts.length} bytes`);
    const view = new DataView(counts.buffer, counts.byteOffset, counts.byteLength);
    return good(Number(view.getBigUint64(SEND_DROPPED, true)));
  }
  return bad(reader.failure ?? "link has no statistics");
}
