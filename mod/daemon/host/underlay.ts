/** What the host's own network is like: the MTU that containers can have, the address families that others use. */
import { type Ip, isIpv4 } from "../../core/addr.ts";
import { ESP_OVERHEAD } from "../../overlay/ports/esp_port.ts";
import { type Link, type Route, ROUTE_TYPE } from "../../wire/netlink/rtnetlink.ts";

/** Outer headers of a VXLAN packet over IPv6: Ethernet 14, IPv6 40, UDP 8, VXLAN 8. Over IPv4 20 less. */
const OVERHEAD = 70;
/** With IPv4 around it fits the 1460 octets that some clouds carry, so hosts of any kind can be mixed. */
const SAFE_MTU = 1410;
/** What containers of Weave hosts have: datagrams that are larger vanish there. */
const WEAVE_MTU = 1376;
/** What every IPv4 host must be able to take. */
const LEAST_MTU = 576;
const IFF_LOOPBACK = 8;
/** What is gained by less is not worth a word. */
const MUCH_LARGER = 2;

/** What is done to packets between hosts. */
export interface Wrapping {
  /** Whether peers of Weave are among the hosts. */
  readonly compat?: "weave" | undefined;
  /** Whether this host has a password. */
  readonly sealed?: boolean;
}

/** What the host's network looks like. */
export interface Underlay {
  /** All interfaces. */
  readonly links: readonly Link[];
  /** All routes. */
  readonly routes: readonly Route[];
}

/**
 * The MTU to use when nobody set one: safe everywhere, and less where this host's way out carries less. Larger ones must
 * be set on every host, because only its administrator knows that the whole way carries them. Beside Weave it is Weave's.
 * Where hosts are reached over IPv6 alone, sealed packets are 17 octets too long for 1500: theirs is less.
 */
export function defaultMtu(
  underlay: Underlay,
  isOurs: (name: string) => boolean,
  wrapping: Wrapping = {},
): number {
  const most = wrapping.compat === "weave" ? WEAVE_MTU : SAFE_MTU;
  return Math.max(LEAST_MTU, Math.min(most, possibleMtu(underlay, isOurs, wrapping)));
}

/** The MTU that this host's own network would carry, if all others' do as well; Infinity when it has none. */
export function possibleMtu(
  underlay: Underlay,
  isOurs: (name: string) => boolean,
  { sealed = false }: Wrapping = {},
): number {
  const usable = underlay.links.filter((link) =>
    link.up && (link.flags & IFF_LOOPBACK) === 0 && !isOurs(link.name)
  );
  const wayOut = new Set(
    underlay.routes.filter((route) => route.destination.prefix === 0).flatMap((route) => route.interfaces),
  );
  const out = usable.filter((link) => wayOut.has(link.index));
  const overhead = OVERHEAD + (sealed && isIpv6Only(underlay.routes) ? ESP_OVERHEAD : 0);
  return Math.min(...(out.length > 0 ? out : usable).map((link) => link.mtu - overhead));
}

/** What to tell people whose network carries much larger packets than containers get; undefined: nothing. */
export function mtuAdvice(mtu: number, possible: number): string | undefined {
  if (possible === Infinity || possible < MUCH_LARGER * mtu) return undefined;
  return `this host's network carries larger packets, which are faster: if that of every host does, start each with ` +
    `--mtu ${possible}`;
}

const NOT_OUT = /^(127\.|0\.|169\.254\.|::1$|fe80:|ff)/;

/**
 * The address families in which other hosts reach this one. A host that leads somewhere by IPv6 alone uses that. On others
 * IPv6 counts where it is named: most of them drop it and lose nothing by that. `peers`: as given.
 */
export function meshFamilies(
  { host, peers }: { readonly host: Ip | undefined; readonly peers: readonly string[] | undefined },
  routes: readonly Route[],
): readonly ("ip" | "ip6")[] {
  if (host !== undefined) return [isIpv4(host) ? "ip" : "ip6"];
  if (isIpv6Only(routes)) return ["ip6"];
  return (peers ?? []).some((peer) => peer.split(":").length > 2) ? ["ip", "ip6"] : ["ip"];
}

/** Whether a host leads somewhere by IPv6, and nowhere by IPv4. */
function isIpv6Only(routes: readonly Route[]): boolean {
  const usable = routes.filter(({ type }) => type === ROUTE_TYPE.unicast);
  const wayOut = usable.filter(({ destination: { prefix } }) => prefix === 0);
  const used = wayOut.length > 0 ? wayOut : usable.filter(({ destination: { ip } }) => !NOT_OUT.test(ip));
  return used.length > 0 && used.every(({ destination: { ip } }) => !isIpv4(ip));
}
