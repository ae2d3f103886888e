/** What this host's firewall does to traffic of containers on the bridge. Pure. */
import type { ForwardChain } from "../wire/netlink/nftables.ts";

/** What there is to judge by. */
export interface FirewallFacts {
  /** Whether frames from port to port of a bridge pass the firewall (bridge-nf-call-iptables, -ip6tables). */
  readonly sees: { readonly ipv4: boolean; readonly ipv6: boolean };
  /** Chains that drop what no rule decides about, and have no rule about the bridge. */
  readonly dropping: readonly ForwardChain[];
  /** The bridge. */
  readonly bridge: string;
}

/** What is wrong, for people. */
export interface FirewallProblem {
  /** A sentence without full stop. */
  readonly message: string;
  /** What to do about it. */
  readonly hint: string;
}

/** What will be lost; nothing where nothing is. */
export function judgeFirewall({ bridge, dropping, sees }: FirewallFacts): readonly FirewallProblem[] {
  return dropping.flatMap((chain) => {
    const lost = [
      ...sees.ipv4 && chain.family !== "ip6" ? ["IPv4"] : [],
      ...sees.ipv6 && chain.family !== "ip" ? ["IPv6"] : [],
    ];
    if (lost.length === 0) return [];
    const { family, name, table } = chain;
    return [{
      message: `This host's firewall sees ${lost.join(" and ")} traffic of containers and drops it: ` +
        `chain ${name} of table ${family} ${table} has policy drop`,
      hint: `Let it through: ${remedy(chain, bridge)}`,
    }];
  });
}

/** The command that lets traffic through; tables that iptables has made are changed by iptables. */
function remedy({ family, name, table }: ForwardChain, bridge: string): string {
  if (family !== "inet" && table === "filter" && name === "FORWARD") {
    return `${family === "ip" ? "iptables" : "ip6tables"} -I FORWARD -i ${bridge} -j ACCEPT`;
  }
  return `nft insert rule ${family} ${table} ${name} iifname ${bridge} accept`;
}
