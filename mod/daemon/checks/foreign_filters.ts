/** Whether somebody else's filters stand before the programs that switch frames here. */
import { listLinks } from "../../attach/mod.ts";
import { isOurFilter } from "../../datapath/ebpf/programs_shell.ts";
import { filtersOf } from "../../datapath/ebpf/switch_shell.ts";
import { type BpfFilter, FILTER_PLACE } from "../../wire/netlink/rtnetlink.ts";
import type { Finding } from "../checks.ts";
import { openNetlinkIn } from "../host/netlink.ts";
import { DATAPATH } from "../host/ovs_host.ts";

/** A filter that decides about frames of a port before ours does. */
export interface EarlierFilter {
  /** The port's interface. */
  readonly port: string;
  /** `bpf`, `matchall` ... */
  readonly kind: string;
  readonly priority: number;
}

/** Filters of others at the ports of this host's switch. */
export function earlierFilters(): readonly EarlierFilter[] {
  using route = openNetlinkIn({ protocol: "route" });
  const links = listLinks(route);
  const bridge = links.find(({ name }) => name === DATAPATH)?.index;
  if (bridge === undefined) return [];
  return links.filter(({ master }) => master === bridge).flatMap(({ index, name }) =>
    filtersOf(route, index, "in").filter(isEarlier).map(({ kind, priority }) => ({
      port: name,
      kind,
      priority,
    }))
  );
}

function isEarlier({ name, priority }: BpfFilter): boolean {
  return priority < FILTER_PLACE.priority && !isOurFilter(name);
}

/** Names them, each with the command that removes it. */
export function foreignFilters(found: readonly EarlierFilter[]): readonly Finding[] {
  return found.map(({ kind, port, priority }) => ({
    message:
      `A filter of another program (${kind}, priority ${priority}) sees what comes from ${port} before meshnet's: ` +
      "what it drops or sends elsewhere does not arrive",
    hint: `If it is not meant, remove it: \`tc filter del dev ${port} ingress prio ${priority}\``,
  }));
}
