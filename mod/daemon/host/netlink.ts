/** Netlink sockets with the codec of this program. */
import { type NetlinkOptions, type NlSocket, openNetlink as openSocket } from "../../../ffi/nl_socket.ts";
import { NETLINK_CODEC } from "../../wire/netlink/netlink_reply.ts";

/** What a socket is opened for. */
export type NetlinkUse = Omit<NetlinkOptions, "codec">;

/** Opens a netlink socket, see ffi/nl_socket.ts. */
export function openNetlinkIn(use: NetlinkUse): NlSocket {
  return openSocket({ ...use, codec: NETLINK_CODEC });
}
