/** The interfaces of this host, and their addresses. */
import { listLinks } from "../../attach/mod.ts";
import type { Ip } from "../../core/addr.ts";
import { decodeAddress, dumpAddresses, type Link } from "../../wire/netlink/rtnetlink.ts";
import { openNetlinkIn } from "../host/netlink.ts";

/** What there is. */
export interface OwnInterfaces {
  readonly links: readonly Link[];
  /** By index. */
  readonly names: ReadonlyMap<number, string>;
  readonly byAddress: ReadonlyMap<Ip, Link>;
}

/** Those of the network namespace of the calling thread. */
export function ownInterfaces(): OwnInterfaces {
  using socket = openNetlinkIn({ protocol: "route" });
  const links = listLinks(socket);
  const byIndex = new Map(links.map((link) => [link.index, link]));
  const byAddress = socket.request(dumpAddresses()).flatMap((reply) => {
    const address = decodeAddress(reply);
    const link = address.ok ? byIndex.get(address.value.index) : undefined;
    return address.ok && link !== undefined ? [[address.value.cidr.ip, link] as const] : [];
  });
  return {
    links,
    names: new Map(links.map(({ index, name }) => [index, name])),
    byAddress: new Map(byAddress),
  };
}
