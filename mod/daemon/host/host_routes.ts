/** The routes of this host. */
import { listLinks } from "../../attach/mod.ts";
import { decodeRoute, dumpRoutes } from "../../wire/netlink/rtnetlink.ts";
import type { HostRoute } from "../checks/routes.ts";
import { openNetlinkIn } from "./netlink.ts";
import { DATAPATH } from "./ovs_host.ts";

/** Type of a route that leads to hosts (RTN_UNICAST). */
const UNICAST = 1;

/** Those that lead elsewhere than into the network of meshnet itself. */
export function hostRoutes(): readonly HostRoute[] {
  using socket = openNetlinkIn({ protocol: "route" });
  const names = new Map(listLinks(socket).map(({ index, name }) => [index, name]));
  return socket.request(dumpRoutes()).flatMap((reply) => {
    const route = decodeRoute(reply);
    if (!route.ok || route.value.type !== UNICAST) return [];
    const { destination, viaGateway } = route.value;
    const [name] = route.value.interfaces.map((index) => names.get(index) ?? `interface ${index}`);
    return name === DATAPATH ? [] : [{ destination, interface: name ?? "itself", viaGateway }];
  });
}
