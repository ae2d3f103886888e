/** Which servers the look-ups of an engine's containers go to, as Docker takes them from the host. */
import { type Ip, isIpv4, parseIp } from "../../core/addr.ts";
import { nameserversOf } from "../../dns/upstream/resolv_conf.ts";

/** The host's file, and the one that systemd-resolved keeps for those who cannot ask it. */
export const HOST_FILES = {
  usual: "/etc/resolv.conf",
  behindResolved: "/run/systemd/resolve/resolv.conf",
} as const;
const RESOLVED = parseIp("127.0.0.53")!;
/** Whom Docker has containers ask where the host names nobody. */
const DEFAULTS: readonly Ip[] = ["8.8.8.8", "8.8.4.4"].map((text) => parseIp(text)!);

/** What containers ask. */
export interface EngineServers {
  /** Asked from inside containers. */
  readonly inside: readonly Ip[];
  /** Whether the engine asks some server of the host itself, from outside of containers. */
  readonly outside: boolean;
}

/** See the file. `read` gives the text of a file, or undefined. IPv6 servers are left out: containers of the network reach
 * none. */
export function serversOfEngine(read: (path: string) => string | undefined): EngineServers {
  const usual = nameserversOf(read(HOST_FILES.usual) ?? "", []);
  const behind = usual.length === 1 && usual[0] === RESOLVED ? read(HOST_FILES.behindResolved) : undefined;
  const all = behind === undefined ? usual : nameserversOf(behind, []);
  const inside = all.filter((ip) => isIpv4(ip) && !ip.startsWith("127."));
  const outside = all.some((ip) => ip.startsWith("127.") || ip === "::1");
  return { inside: all.length === 0 ? DEFAULTS : inside, outside };
}
