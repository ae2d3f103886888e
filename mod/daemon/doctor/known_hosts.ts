/** What this daemon knows of another host, for `meshnet check`. */
import type { Ip } from "../../core/addr.ts";
import { type LeftHost, leftHosts } from "../../doctor/left_hosts.ts";
import { unsteadyWay } from "../../doctor/unsteady.ts";
import { parseDialTarget } from "../../mesh/dialing/target.ts";
import type { CheckParts } from "./check_host.ts";
import type { DoctorParts } from "./doctor_api.ts";

/** See CheckParts. */
export function knownHosts(
  parts: Pick<DoctorParts, "dataplane" | "firewall" | "history" | "paths" | "router">,
): NonNullable<CheckParts["daemon"]> {
  const { dataplane, firewall, paths, router } = parts;
  return {
    known(word, ips) {
      const { connections, targets } = router.snapshot();
      const peer = targets.find(({ target }) => target === word)?.peer;
      const all = connections.filter(({ address, ...one }) =>
        one.peer !== undefined && (one.peer === word || one.peer === peer) || one.nickname === word ||
        ips.includes(ipOf(address)!)
      );
      return all.find(({ link }) => link !== undefined) ?? all[0];
    },
    overlay: () => dataplane.report(),
    unsteady: (peer, ip) => unsteadyWay(parts.history.list(), { ip, peer }, ago)?.message,
    left: (word) => leftOf(parts).find(({ name, peer }) => name === word || peer === word),
    isSelf: (word) => word === paths.self || word === paths.nickname,
    ask: (peer, question) => paths.channel.ask(peer, question),
    knows: (peer) => paths.knows(peer),
    firewall: () =>
      firewall().problems.filter(({ message }) => /what (?:other hosts send|it sends) to /.test(message)),
  };
}

/** Hosts that were here, the latest first. */
export function leftOf({ history, paths }: Pick<DoctorParts, "history" | "paths">): readonly LeftHost[] {
  return leftHosts(history.list(), {
    here: new Set(paths.peers().map(({ name }) => name)),
    ago,
  });
}

/** Milliseconds since a time of the history. */
function ago(at: string): number {
  return Date.now() - Date.parse(at);
}

function ipOf(address: string): Ip | undefined {
  const target = parseDialTarget(address);
  return target.ok ? target.value.ip : undefined;
}
