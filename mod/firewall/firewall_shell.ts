/** Looks at this host's firewall. Changes nothing. */
import { messageOf } from "../core/errors.ts";
import type { Logger, NetlinkSocket } from "../core/ports.ts";
import { dumpChains, dumpRules, forwardChains, rulesName } from "../wire/netlink/nftables.ts";
import { type FirewallProblem, judgeFirewall } from "./judge.ts";

/** What looking needs. */
export interface FirewallParts {
  /** The bridge. */
  readonly bridge: string;
  /** A setting below /proc/sys, undefined where there is none. */
  readonly setting: (key: string) => string | undefined;
  /** A netlink socket to netfilter. */
  readonly open: () => NetlinkSocket;
  readonly log: Pick<Logger, "warn" | "info" | "debug">;
}

/** Remembers what it said, so that the log has each change once. */
export class Firewall {
  #said = "";

  constructor(readonly parts: FirewallParts) {}

  /** What is lost as things are now. Does not throw: what cannot be seen is not told. */
  check(): readonly FirewallProblem[] {
    const { log } = this.parts;
    let problems: readonly FirewallProblem[] = [];
    try {
      problems = this.#look();
    } catch (thrown) { // a kernel without nf_tables, say
      log.debug("cannot look at the firewall", { reason: messageOf(thrown) });
    }
    const text = problems.map(({ message }) => message).join("; ");
    if (text === this.#said) return problems;
    this.#said = text;
    if (text === "") log.info("this host's firewall lets traffic of containers through", {});
    for (const { hint, message } of problems) {
      log.warn("this host's firewall sees traffic of containers", { reason: message, hint });
    }
    return problems;
  }

  #look(): readonly FirewallProblem[] {
    const { bridge, open, setting } = this.parts;
    const sees = {
      ipv4: setting("net/bridge/bridge-nf-call-iptables") === "1",
      ipv6: setting("net/bridge/bridge-nf-call-ip6tables") === "1",
    };
    if (!sees.ipv4 && !sees.ipv6) return [];
    using socket = open();
    const dropping = forwardChains(socket.request(dumpChains()))
      .filter((chain) => chain.drops && !rulesName(socket.request(dumpRules(chain)), chain, bridge));
    return judgeFirewall({ bridge, dropping, sees });
  }
}
