/** Whether this host's own ways to other hosts carry what containers send. */
import { pathMtusTo } from "../../../ffi/path_mtu.ts";
import type { StatusReport } from "../../control/api_types.ts";
import { type Endpoint, isIpv4, parseEndpoint } from "../../core/addr.ts";
import { ESP_OVERHEAD } from "../../overlay/ports/esp_port.ts";
import { vxlanOverhead } from "../../wire/mesh/heartbeat.ts";
import type { Finding } from "../checks.ts";

/** Hosts that one sentence names. */
const MAX_NAMED = 4;

/** Names the hosts to which no packet of full size can leave in one piece. It is a fact of this host's interfaces. */
export function waysTooNarrow(
  { connections, datapath }: Pick<StatusReport, "connections" | "datapath">,
  interfaceMtu: (to: Endpoint) => number = (to) => pathMtusTo(to).interfaceMtu,
): Finding | undefined {
  const { mtu } = datapath;
  if (mtu === null) return undefined;
  const narrow = connections.flatMap(({ address, encrypted, nickname, peer, state }) => {
    const at = state === "established" ? parseEndpoint(address) : undefined;
    if (at === undefined) return [];
    const carries = interfaceMtu(at);
    const added = (ipv6: boolean) => vxlanOverhead({ ipv6 }) + (encrypted ? ESP_OVERHEAD : 0);
    if (carries === 0 || mtu + added(!isIpv4(at.ip)) <= carries) return [];
    // What fits IPv6 fits IPv4 as well, and so all hosts can have it.
    return [{
      name: nickname || peer || address,
      carries,
      fits: carries - added(true),
    }];
  });
  if (narrow.length === 0) return undefined;
  const some = narrow.slice(0, MAX_NAMED).map(({ name }) => name).join(", ");
  const more = narrow.length > MAX_NAMED ? ` and ${narrow.length - MAX_NAMED} more` : "";
  const carries = Math.min(...narrow.map((one) => one.carries));
  const fits = Math.min(...narrow.map((one) => one.fits));
  return {
    message:
      `Containers send packets of up to ${mtu} bytes, and this host's way to ${some}${more} carries ${carries} with all ` +
      "that tunnels add: none of full size gets through whole",
    hint:
      `Start all hosts with \`meshnet up --mtu ${fits}\` or less; or let the network between them carry more`,
  };
}
