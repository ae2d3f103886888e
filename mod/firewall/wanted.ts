/** What meshnet wants of a host's firewall, and the comments by which its rules are found again. Pure. */
import { type Cidr, formatCidr, ipToBytes, isIpv4 } from "../core/addr.ts";
import type { AcceptRule, AddressBlock } from "../wire/filter/model.ts";
import type { Packet } from "./packet.ts";

/** Whether the firewall is changed, only judged, or not looked at. */
export type FirewallMode = "auto" | "report" | "off";

/** A network that this host joined with an address of its own (`expose`). */
export interface Exposure {
  /** Its addresses. */
  readonly network: Cidr;
  /** Whether what leaves it takes this host's address. Never what stays inside. */
  readonly masquerade: boolean;
}

/** A rule that lets packets through, and the packets that need it. */
export interface WantedRule {
  readonly rule: AcceptRule;
  readonly packets: readonly Packet[];
  /** For people: `traffic of containers`. */
  readonly what: string;
}

/** The bridge or the switch's own leg. */
export interface Leg {
  readonly name: string;
  readonly index: number;
}

/** Begins the comment of each of our rules. */
const PREFIX = "meshnet: ";
const CONTAINERS = "traffic of containers";
const OWN = new RegExp(`^${PREFIX}(${CONTAINERS}|traffic (from|to) [0-9a-f.:]+/[0-9]+)$`);

/** Whether a comment is that of one of our rules. */
export function isOwn(comment: string | undefined): boolean {
  return comment !== undefined && OWN.test(comment);
}

/** Frames that go from one port of the bridge to another, where those pass the firewall. */
export function containersTraffic(
  { index, name }: Leg,
  sees: { readonly ipv4: boolean; readonly ipv6: boolean },
): readonly WantedRule[] {
  const families = [...sees.ipv4 ? ["ip" as const] : [], ...sees.ipv6 ? ["ip6" as const] : []];
  if (families.length === 0) return [];
  return [{
    what: CONTAINERS,
    rule: { comment: PREFIX + CONTAINERS, iif: name, oif: name },
    packets: families.map((family) => ({
      family,
      ...{ iif: name, oif: name, iifIndex: index, oifIndex: index },
    })),
  }];
}

/** What an exposed network needs of the chains that see what is forwarded. */
export function exposedTraffic({ index, name }: Leg, exposures: readonly Exposure[]): readonly WantedRule[] {
  return exposures.flatMap(({ network }) => {
    const text = formatCidr(network);
    const octets = blockOf(network);
    const family = isIpv4(network.ip) ? "ip" : "ip6";
    const [from, to] = [`traffic from ${text}`, `traffic to ${text}`];
    return [
      {
        what: from,
        rule: { comment: PREFIX + from, iif: name, source: octets },
        packets: [{ family, iif: name, iifIndex: index }],
      },
      {
        what: to,
        rule: { comment: PREFIX + to, oif: name, destination: octets },
        packets: [{ family, oif: name, oifIndex: index }],
      },
    ] as const;
  });
}

/** A network in octets. */
export function blockOf({ ip, prefix }: Cidr): AddressBlock {
  return { octets: ipToBytes(ip), prefix };
}

/** A port or protocol of the mesh that other hosts send to. */
export interface MeshPort {
  readonly protocol: "tcp" | "udp" | "esp";
  /** undefined: it has none. */
  readonly port?: number;
}

const PROTOCOL_NUMBERS = { tcp: 6, udp: 17, esp: 50 } as const;

const LOOPBACK = { name: "lo", index: 1 } as const;

/** What another host sends to a port of this one (`in`), or this one to that of another (`out`). */
export function packetTo(
  { port, protocol }: MeshPort,
  { family, way }: { readonly family: "ip" | "ip6"; readonly way: "in" | "out" },
): Packet {
  const ends = way === "in" ? { notFrom: LOOPBACK, here: true } : { notTo: LOOPBACK, here: false };
  return {
    ...{ family, protocol: PROTOCOL_NUMBERS[protocol], ...ends },
    ...port === undefined ? {} : { port },
  };
}
