/** The checks of a running daemon: what its status shows, and what has to be asked of others. */
import type { Problem, StatusReport } from "../../control/api_types.ts";
import { clockFaults, type ClockReading } from "../../doctor/clock_faults.ts";
import { silentServers } from "../../doctor/name_servers.ts";
import { unsteadyWays } from "../../doctor/unsteady.ts";
import { engineFaults, healthFaults, refusedFaults, sharingFaults } from "../../doctor/state_faults.ts";
import { connectionFaults, ownerFaults, problemsWithOwners } from "../../doctor/status_faults.ts";
import type { TakenAddresses } from "../addresses/taken_addresses.ts";
import type { Check, Finding, Found } from "../checks.ts";
import type { Config } from "../config/config.ts";
import type { History } from "../history.ts";
import type { PathParts } from "../doctor/paths.ts";
import type { Names } from "../names/names.ts";
import { modulesHere } from "./modules.ts";
import { earlierFilters, foreignFilters } from "./foreign_filters.ts";
import { forwardingHere, notForwarded } from "./forwarding.ts";
import { lostWays } from "./lost_ways.ts";
import { usedTwice } from "./own_address.ts";
import { waysTooNarrow } from "./own_ways.ts";
import { droppedByReversePath } from "./reverse_path.ts";

/** So many neighbours are asked for their clocks. */
const MOST_CLOCKS = 32;

/** What a running daemon has to offer. */
export interface RunningFacts {
  /** The state of everything. */
  status(): Promise<StatusReport>;
  readonly taken: Pick<TakenAddresses, "lookAtOwn">;
  /** undefined: names are off. */
  readonly names: Pick<Names, "files" | "service"> | undefined;
  /** Ways to other hosts, by which one also hears of their clocks. */
  readonly paths: Pick<PathParts, "channel" | "knows" | "namespaceOf" | "peers" | "self">;
  /** What happened lately. */
  readonly history: Pick<History, "list" | "wasCalled">;
  /** With which settings it was started. */
  readonly config: Pick<Config, "dns" | "docker" | "origins">;
}

/** All of them. The state is asked for once. */
export function runningChecks(
  { config, history, names, paths, status, taken }: RunningFacts,
): readonly Check[] {
  let asked: Promise<StatusReport> | undefined;
  const now = () => asked ??= status();
  const check = (name: string, find: (status: StatusReport) => Found | Promise<Found>): Check => ({
    ...{ name, at: ["running"] },
    find: async () => await find(await now()),
  });
  return [
    // First: what it finds is a problem of the status.
    { name: "addresses in use twice", at: ["running"], find: () => taken.lookAtOwn() },
    // And so is this, where nobody answers.
    {
      name: "name servers of others",
      at: ["running"],
      async find() {
        const { dns } = config;
        if (dns === undefined || names?.service.isNeeded !== true) return [];
        await names.service.report({ examine: true }).catch(() => {}); // that it does not answer is such a problem, too
        return silentServers((await now()).dns?.servers ?? [], dns.resolvConf).slow;
      },
    },
    check(
      "problems of the status",
      async (state) => await withHolder(problemsWithOwners(state), state.port + 1),
    ),
    check("routes to other hosts", (state) => lostWays(state, (host) => history.wasCalled(host))),
    check("addresses of this host", async (state) => {
      const { ownAddressHere } = await import("./own_address_shell.ts");
      return await usedTwice(state, ownAddressHere());
    }),
    check("packets that this host drops", async (state) => {
      const { reversePathHere } = await import("./reverse_path_shell.ts");
      return await droppedByReversePath(state, (host) => history.wasCalled(host), reversePathHere());
    }),
    check("ways of this host", (state) => waysTooNarrow(state)),
    check(
      "steady ways",
      () => [...unsteadyWays(history.list(), (at) => Date.now() - Date.parse(at)).values()],
    ),
    check("connections", (state) => connectionFaults(state, modulesHere())),
    check("hosts that were not let in", refusedFaults),
    check("owners of addresses", ownerFaults),
    check("sharing of addresses", sharingFaults),
    check("clocks", async () => clockFaults(await clocks(paths))),
    check(
      "name servers of namespaces",
      ({ attachments }) => attachments.flatMap(({ target }) => bypassing(target, names)),
    ),
    check("health of targets", healthFaults),
    check("container engine", (state) => engineFaults(state, { named: isNamed(config) })),
    check("forwarding", (state) => notForwarded(state, forwardingHere(paths.namespaceOf))),
    check(
      "filters of others",
      ({ datapath }) => datapath.kind === "ebpf" ? foreignFilters(earlierFilters()) : undefined,
    ),
  ];
}

/** Whether somebody said which engine is to be worked with. */
function isNamed({ docker, origins }: RunningFacts["config"]): boolean {
  return docker !== undefined && origins["docker"]?.from !== "default" && origins["docker"]?.value !== "auto";
}

/** Names the program that has the port of this host's tunnels. */
async function withHolder(problems: readonly Problem[], port: number): Promise<readonly Problem[]> {
  const isTaken = ({ message }: Problem) => message.startsWith("No tunnel port: ");
  if (!problems.some(isTaken)) return problems;
  const { portHolder } = await import("../host/port_owner.ts");
  const holder = portHolder(port, "ipv4", undefined, ["udp"]);
  if (holder === undefined) return problems;
  const hint =
    `${holder.name} has it: end that with \`kill ${holder.pid}\`, or start all hosts with another --port; ` +
    "it is tried again until it works";
  return problems.map((one) => isTaken(one) ? { ...one, hint } : one);
}

/** How much the clocks of neighbours are ahead of this host's. Hosts further away have neighbours of their own. */
async function clocks(
  { channel, knows, peers, self }: RunningFacts["paths"],
): Promise<readonly ClockReading[]> {
  const others = peers().filter(({ name }) => name !== self && knows(name)).slice(0, MOST_CLOCKS);
  const found = await Promise.all(others.map(async ({ name, nickname }) => {
    const timed = await channel.ask(name, { to: null, from: null, src: null, dst: null, ip: null });
    return timed && { host: nickname || name, aheadMs: timed.clockMs, ms: timed.ms };
  }));
  return found.filter((one) => one !== undefined);
}

function bypassing(target: string, names: RunningFacts["names"]): readonly Finding[] {
  const found = names?.files?.bypassing(target);
  if (found === undefined) return [];
  return [{
    message: `${target} asks ${found.asks} for names, not this host: somebody changed ${found.path}`,
    hint:
      `\`meshnet attach ${target}\` writes it again; \`meshnet attach --no-dns\` would have left it alone`,
  }];
}
