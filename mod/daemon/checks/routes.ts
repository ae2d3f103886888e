/** Whether this host already reaches something else at addresses that containers are to have. */
import { type Cidr, formatCidr, isIpv4, overlap, parseCidr } from "../../core/addr.ts";
import { MeshnetError } from "../../core/errors.ts";
import { joined, Universe } from "../../ipam/universe.ts";

/** A route of this host, as far as it matters here. */
export interface HostRoute {
  /** Where it leads. */
  readonly destination: Cidr;
  /** By which interface, for people. */
  readonly interface: string;
  /** Whether it leads to a router rather than to neighbours. */
  readonly viaGateway: boolean;
}

/** Routes this short stand for "everything else": VPNs put two halves in the place of a default route. */
export const DEFAULT_PREFIX = 1;
/** Ranges for private use (RFC 1918), and the one of carriers (RFC 6598). */
const PRIVATE = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"];
/** Smallest range that is proposed. */
const SMALLEST = 24;
/** Routes that one sentence names. */
const MOST_NAMED = 4;

/** Routes that lead to addresses of the range. */
function clashes(range: Cidr, routes: readonly HostRoute[]): readonly HostRoute[] {
  return routes.filter(({ destination }) =>
    destination.prefix > DEFAULT_PREFIX && isIpv4(destination.ip) && overlap(range, destination)
  );
}

/** Where else all hosts could have their addresses. */
function otherRange(range: Cidr, routes: readonly HostRoute[]): string {
  const taken = routes.map(({ destination }) => destination).filter(({ ip, prefix }) =>
    prefix > DEFAULT_PREFIX && isIpv4(ip)
  );
  const free = freeRange(range.prefix, taken);
  return free === undefined ? "CIDR with a range that is free on all hosts" : formatCidr(free);
}

/** "ipam/range-overlaps" when a route of this host leads to addresses of the range. */
export function overlappingRoute(range: Cidr, routes: readonly HostRoute[]): MeshnetError | undefined {
  const [clash] = clashes(range, routes);
  if (clash === undefined) return undefined;
  return new MeshnetError(
    "ipam/range-overlaps",
    `Cannot allocate addresses of ${formatCidr(range)}: this host has a route to ${
      formatCidr(clash.destination)
    } by ${clash.interface}`,
    {
      hint:
        `Start all hosts with --ip-range ${
          otherRange(range, routes)
        }; or with --ip-range off, if addresses are ` +
        "never allocated",
    },
  );
}

/** What a host says that used the range before it got these routes. It goes on, but where range and routes overlap, containers
 * and what the routes lead to do not reach each other. undefined: nothing overlaps. */
export function hiddenByRange(
  range: Cidr,
  routes: readonly HostRoute[],
): { readonly message: string; readonly hint: string } | undefined {
  const all = clashes(range, routes);
  if (all.length === 0) return undefined;
  const named = all.slice(0, MOST_NAMED).map((one) => `${formatCidr(one.destination)} by ${one.interface}`);
  const more = all.length > named.length ? ` and ${all.length - named.length} more` : "";
  return {
    message:
      `The range of addresses, ${formatCidr(range)}, overlaps ${
        all.length === 1 ? "a route" : "routes"
      } of this host to ${
        named.join(", ")
      }${more}: containers do not reach what is there, nor does this host reach ` +
      "containers at these addresses",
    hint:
      "Remove the route if nobody needs it, or leave it if no container does; else start all hosts with " +
      `--ip-range ${otherRange(range, routes)}, which gives every container another address`,
  };
}

/** A private range that no route leads to, of this prefix length or the next longer one that is free. */
function freeRange(prefix: number, taken: readonly Cidr[]): Cidr | undefined {
  for (let length = Math.max(prefix, 8); length <= Math.max(prefix, SMALLEST); length++) {
    const size = 2 ** (32 - length);
    for (const text of PRIVATE) {
      const cidr = parseCidr(text)!;
      const room = Universe.of(cidr);
      if (!room.ok || cidr.prefix > length) continue;
      let at = 0;
      for (const { start, end } of joined(taken.flatMap((one) => room.value.spanOf(one) ?? []))) {
        if (at + size <= start) break;
        at = Math.max(at, Math.ceil(end / size) * size);
      }
      if (at + size <= room.value.size) return { ip: room.value.ipAt(at), prefix: length };
    }
  }
  return undefined;
}
