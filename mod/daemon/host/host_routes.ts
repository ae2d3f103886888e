/** The routes of this host. */
import { listLinks } from "../../attach/mod.ts";
import { ROUTE_TYPE } from "../../wire/netlink/rtnetlink.ts";
import type { HostRoute } from "../checks/routes.ts";
import { listRoutes, openNetlinkIn } from "./netlink.ts";
import { DATAPATH } from "./ovs_host.ts";

/** Those that lead elsewhere than into the network of meshnet itself. */
export function hostRoutes(): readonly HostRoute[] {
  using socket = openNetlinkIn({ protocol: "route" });
  const names = new Map(listLinks(socket).map(({ index, name }) => [index, name]));
  return listRoutes(socket).flatMap(({ destination, interfaces, type, viaGateway }) => {
    if (type !== ROUTE_TYPE.unicast) return [];
    const [name] = interfaces.map((index) => names.get(index) ?? `interface ${index}`);
    return name === DATAPATH ? [] : [{ destination, interface: name ?? "itself", viaGateway }];
  });
}
