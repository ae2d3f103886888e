/** Whether this host drops what other hosts send, because it arrives at another interface than its own way there leads out
 * of (`rp_filter`, strict). Looked for only where a host is not reached and an interface is strict: then it is knocked at,
 * and what arrives in return is compared with what the kernel let in. */
import type { ConnectionReport, StatusReport } from "../../control/api_types.ts";
import { type Endpoint, type Ip, isIpv4, parseEndpoint } from "../../core/addr.ts";
import type { Finding } from "../checks.ts";

/** So many hosts are knocked at. */
const MOST = 16;
/** Value of the setting that drops. The larger one of `all` and of the interface holds, and 2 lets in more than 1. */
const STRICT = 1;

/** What came of a knock. */
export interface KnockHeard {
  readonly at: Endpoint;
  /** Whether the host's answer came through, whatever it says. */
  readonly answered: boolean;
  /** Interfaces at which something arrived from it meanwhile. */
  readonly arrivedAt: readonly string[];
  /** The interface by which this host sends there; undefined: not known. */
  readonly leavesBy: string | undefined;
}

/** What is looked at. */
export interface ReversePathLook {
  /** The setting of each interface, and `all`. */
  readonly settings: () => ReadonlyMap<string, number>;
  /** How many packets the kernel has dropped for that reason. */
  readonly dropped: () => number;
  /** Tries to connect to all of them. */
  readonly knock: (at: readonly Endpoint[]) => Promise<readonly KnockHeard[]>;
}

/** Names each interface at which this host drops what it needs. `nicknameOf`: what a host was called that is not here. */
export async function droppedByReversePath(
  { connections }: Pick<StatusReport, "connections">,
  nicknameOf: (peer: string) => string | undefined,
  look: ReversePathLook,
): Promise<readonly Finding[]> {
  const unheard = new Map(
    connections.filter(isUnheard).flatMap((one) => {
      const at = parseEndpoint(one.address);
      if (at === undefined || !isIpv4(at.ip)) return [];
      const name = one.nickname || (one.peer && (nicknameOf(one.peer) ?? one.peer));
      return [[at.ip, { at, name: name ? `${name} (${at.ip})` : at.ip }] as const];
    }).slice(0, MOST),
  );
  if (unheard.size === 0) return [];
  const settings = look.settings();
  const all = settings.get("all") ?? 0;
  const isStrict = (name: string) => Math.max(all, settings.get(name) ?? 0) === STRICT;
  if (![...settings.keys()].some((name) => !GENERAL.includes(name) && isStrict(name))) return [];
  const before = look.dropped();
  const heard = await look.knock([...unheard.values()].map(({ at }) => at));
  if (look.dropped() === before) return []; // so it was something else
  const found = heard.filter(({ answered }) => !answered).flatMap(({ arrivedAt, at, leavesBy }) =>
    arrivedAt.filter((name) => name !== leavesBy && isStrict(name))
      .map((name) => ({ name, leavesBy, ip: at.ip, host: unheard.get(at.ip)!.name }))
  );
  return [...Map.groupBy(found, ({ name }) => name)].map(([name, some]) =>
    finding(name, some, { isAll: settings.get(name) !== STRICT })
  );
}

/** Settings that are no interface's. */
const GENERAL: readonly string[] = ["all", "default", "lo"];

/** Whether nothing comes from there, or no connection comes about. */
function isUnheard({ silentMs, state }: ConnectionReport): boolean {
  return state === "failed" || state === "retrying" || state === "pending" || state === "connecting" ||
    silentMs !== null;
}

function finding(
  name: string,
  some: readonly { readonly leavesBy: string | undefined; readonly ip: Ip; readonly host: string }[],
  { isAll }: { readonly isAll: boolean },
): Finding {
  const hosts = some.map(({ host }) => host).join(", ");
  const [{ ip, leavesBy }] = some as [typeof some[number]];
  const way = leavesBy === undefined ? "another interface" : leavesBy;
  return {
    message:
      `This host drops what ${hosts} sends, as it arrives at ${name} and the route there leads out of ${way}: ` +
      `net.ipv4.conf.${isAll ? "all" : name}.rp_filter is ${STRICT}`,
    hint:
      `\`sysctl -w net.ipv4.conf.${name}.rp_filter=2\` lets it in, and a file in /etc/sysctl.d keeps it so; or have the ` +
      `network send it to ${way}, or lead the route to ${ip} out of ${name} (\`ip route get ${ip}\`)`,
  };
}
