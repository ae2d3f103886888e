/** Whether this host has a way to the others at all. */
import { pathMtusTo } from "../../../ffi/path_mtu.ts";
import type { StatusReport } from "../../control/api_types.ts";
import { type Endpoint, parseEndpoint } from "../../core/addr.ts";
import type { Finding } from "../checks.ts";

/** Hosts that one sentence names. */
const MAX_NAMED = 4;

/** Names the hosts to which the kernel finds no route: an interface is down, or a route was lost. `nicknameOf`: what a host
 * was called that is no longer connected. */
export function lostWays(
  { connections }: Pick<StatusReport, "connections">,
  nicknameOf: (peer: string) => string | undefined,
  hasWay: (to: Endpoint) => boolean = (to) => pathMtusTo(to).routeMtu !== 0,
): Finding | undefined {
  const lost = new Map(connections.flatMap(({ address, nickname, peer }) => {
    const at = parseEndpoint(address);
    if (at === undefined || hasWay(at)) return [];
    const name = nickname || (peer && (nicknameOf(peer) ?? peer));
    return [[at.ip, name === null ? at.ip : `${name} (${at.ip})`]];
  }));
  const [first] = lost.keys();
  if (first === undefined) return undefined;
  const names = [...lost.values()];
  const more = names.length > MAX_NAMED ? ` and ${names.length - MAX_NAMED} more` : "";
  return {
    message: `This host has no route to ${names.slice(0, MAX_NAMED).join(", ")}${more}`,
    hint:
      `\`ip route get ${first}\` says so, too; \`ip -br link\` and \`ip route\` show what is down or missing`,
  };
}
