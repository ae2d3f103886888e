/** Whether containers here have a way out through this host, which does not forward. */
import { inNetns } from "../../../ffi/netns.ts";
import { CONTAINER_INTERFACE } from "../../attach/mod.ts";
import type { StatusReport } from "../../control/api_types.ts";
import { type Ip, parseCidr, parseIp } from "../../core/addr.ts";
import { readTextIfReadable } from "../../sys/files.ts";
import type { Finding } from "../checks.ts";

/** So many targets are looked at. */
const MOST = 64;

/** What is looked at. */
export interface ForwardingLook {
  /** The path of a target's namespace; undefined: it is gone. */
  readonly namespaceOf: (target: string) => string | undefined;
  /** The text of /proc/net/route there; undefined: it cannot be read. */
  readonly routes: (netns: string) => string | undefined;
  /** The setting of this host, `0` or `1`; undefined: not known. */
  readonly forwards: () => string | undefined;
}

/** Looks at this host. */
export function forwardingHere(namespaceOf: ForwardingLook["namespaceOf"]): ForwardingLook {
  return {
    namespaceOf,
    routes: (netns) => inNetns(netns, () => readTextIfReadable("/proc/thread-self/net/route")),
    forwards: () => readTextIfReadable("/proc/sys/net/ipv4/ip_forward")?.trim(),
  };
}

/** Targets whose default route leads to an address of this host, which passes nothing on. */
export function notForwarded(
  { attachments, exposed }: Pick<StatusReport, "attachments" | "exposed">,
  look: ForwardingLook,
): Finding | undefined {
  const own = new Set(exposed.map(({ address }) => parseCidr(address)?.ip));
  if (own.size === 0 || look.forwards() !== "0") return undefined;
  const stuck = attachments.filter(({ attached }) => attached).slice(0, MOST).filter(({ target }) => {
    const netns = look.namespaceOf(target);
    const routes = netns === undefined ? undefined : look.routes(netns);
    return defaultGateways(routes ?? "").some((gateway) => own.has(gateway));
  });
  const [first] = stuck;
  if (first === undefined) return undefined;
  const who = `${first.name ?? first.target}${stuck.length === 1 ? "" : ` and ${stuck.length - 1} more`}`;
  return {
    message: `${who} ${
      stuck.length === 1 ? "has its" : "have their"
    } default route through this host, which forwards nothing: net.ipv4.ip_forward is 0`,
    hint: "Switch it on: `sysctl -w net.ipv4.ip_forward=1`; a file in /etc/sysctl.d keeps it so",
  };
}

/** Where default routes of our interface lead, by the text of /proc/net/route. */
export function defaultGateways(routes: string): readonly Ip[] {
  return routes.split("\n").flatMap((line) => {
    const [name, destination, gateway, , , , , mask] = line.split(/\s+/);
    if (name !== CONTAINER_INTERFACE || destination !== "00000000" || mask !== "00000000") return [];
    const octets = gateway!.match(/../g)?.map((one) => parseInt(one, 16)).reverse() ?? [];
    return parseIp(octets.join(".")) ?? [];
  });
}
