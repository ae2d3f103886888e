/** Netlink sockets with the codec of this program. */
import { type NetlinkOptions, type NlSocket, openNetlink as openSocket } from "../../../ffi/nl_socket.ts";
import type { NetlinkSocket } from "../../core/ports.ts";
import { NETLINK_CODEC } from "../../wire/netlink/netlink_reply.ts";
import { decodeRoute, dumpRoutes, type Route } from "../../wire/netlink/rtnetlink.ts";

/** What a socket is opened for. */
export type NetlinkUse = Omit<NetlinkOptions, "codec">;

/** Opens a netlink socket, see ffi/nl_socket.ts. */
export function openNetlinkIn(use: NetlinkUse): NlSocket {
  return openSocket({ ...use, codec: NETLINK_CODEC });
}

/** All routes of all tables, both families. */
export function listRoutes(socket: NetlinkSocket): readonly Route[] {
  return socket.request(dumpRoutes()).flatMap((reply) => {
    const route = decodeRoute(reply);
    return route.ok ? [route.value] : []; // a kind of route that we do not know is no way out
  });
}
