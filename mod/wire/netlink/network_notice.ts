/** What rtnetlink tells of this host's network: interfaces, addresses and routes that come and go
 * (include/uapi/linux/rtnetlink.h, if_link.h, if_addr.h). */
import type { Ip } from "../../core/addr.ts";
import { AttributeReader, type NetlinkMessage, splitMessages } from "./netlink.ts";
import { AF, ipOf } from "./rtnetlink_message.ts";

/** The multicast groups to join for these notices: interfaces, and addresses and routes of both families
 * (RTNLGRP_LINK, _IPV4_IFADDR, _IPV4_ROUTE, _IPV6_IFADDR, _IPV6_ROUTE). */
export const NETWORK_NOTICES: readonly number[] = [1, 5, 7, 9, 11];

/** One piece of news. */
export type NetworkNews =
  /** An address that others may know has come or gone; addresses of one link or of the host alone are left out. */
  | { readonly kind: "address"; readonly ip: Ip; readonly present: boolean }
  /** An interface as it is now. `running`: it is up and has a carrier. */
  | { readonly kind: "interface"; readonly index: number; readonly running: boolean }
  /** A route of the main table has come or gone. */
  | { readonly kind: "route" };

const RTM = { newLink: 16, delLink: 17, newAddr: 20, delAddr: 21, newRoute: 24, delRoute: 25 } as const;
const IFF = { up: 0x1, running: 0x40 } as const;
const IFA = { address: 1, local: 2 } as const;
/** The kernel still asks whether somebody else has the address, and sends nothing from it meanwhile; then it tells again. */
const IFA_F_TENTATIVE = 0x40;
const SCOPE_LINK = 253;
const MAIN_TABLE = 254;
const ROUTE_UNICAST = 1;
/** Octets of struct ifinfomsg, ifaddrmsg and rtmsg. */
const SIZE = { link: 16, address: 8, route: 12 } as const;

/** The news in a datagram of NETWORK_NOTICES, in order; what cannot be read is left out. */
export function readNetworkNotice(bytes: Uint8Array): readonly NetworkNews[] {
  const split = splitMessages(bytes);
  if (!split.ok) return [];
  return split.value.map(newsOf).filter((news) => news !== undefined);
}

function newsOf({ type, body }: NetlinkMessage): NetworkNews | undefined {
  switch (type) {
    case RTM.newLink:
    case RTM.delLink:
      return interfaceOf(body, type === RTM.newLink);
    case RTM.newAddr:
    case RTM.delAddr:
      return addressOf(body, type === RTM.newAddr);
    case RTM.newRoute:
    case RTM.delRoute: {
      const counts = body.length >= SIZE.route && body[4] === MAIN_TABLE && body[7] === ROUTE_UNICAST;
      return counts ? { kind: "route" } : undefined;
    }
    default:
      return undefined;
  }
}

/** Notices of a bridge about its ports bear another family, and say nothing of the interface itself. */
function interfaceOf(body: Uint8Array, present: boolean): NetworkNews | undefined {
  if (body.length < SIZE.link || body[0] !== 0) return undefined;
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const flags = view.getUint32(8, true);
  const running = present && (flags & IFF.up) !== 0 && (flags & IFF.running) !== 0;
  return { kind: "interface", index: view.getInt32(4, true), running };
}

function addressOf(body: Uint8Array, present: boolean): NetworkNews | undefined {
  if (body.length < SIZE.address || body[3]! >= SCOPE_LINK) return undefined;
  const family = body[0]!;
  if (family !== AF.inet && family !== AF.inet6) return undefined;
  if (present && family === AF.inet6 && (body[2]! & IFA_F_TENTATIVE) !== 0) return undefined;
  let local: Ip | undefined;
  let address: Ip | undefined;
  const reader = new AttributeReader(body, SIZE.address);
  while (reader.next()) {
    if (reader.type === IFA.local) local = ipOf(family, reader.value());
    else if (reader.type === IFA.address) address = ipOf(family, reader.value());
  }
  const ip = local ?? address; // IPv6 sends no IFA_LOCAL; on point-to-point links IFA_ADDRESS is the far end
  return reader.failure !== undefined || ip === undefined ? undefined : { kind: "address", ip, present };
}
