/** The checks of a running daemon: what its status shows, and what has to be asked of others. */
import type { StatusReport } from "../../control/api_types.ts";
import { parseCidr } from "../../core/addr.ts";
import { clockFaults, type ClockReading } from "../../doctor/clock_faults.ts";
import { connectionFaults, ownerFaults } from "../../doctor/status_faults.ts";
import type { AddressUsers } from "../addresses/address_users.ts";
import type { Check, Finding } from "../checks.ts";
import type { PathParts } from "../doctor/paths.ts";
import type { Names } from "../names/names.ts";

/** So many neighbours are asked for their clocks. */
const MOST_CLOCKS = 32;
/** So many addresses are asked for: each question goes to every host. */
const MOST_ADDRESSES = 64;

/** What a running daemon has to offer. */
export interface RunningFacts {
  /** The state of everything. */
  status(): Promise<StatusReport>;
  readonly users: Pick<AddressUsers, "others">;
  /** undefined: names are off. */
  readonly names: Pick<Names, "files"> | undefined;
  /** Ways to other hosts, by which one also hears of their clocks. */
  readonly paths: Pick<PathParts, "channel" | "knows" | "peers" | "self">;
}

/** All of them. The state is asked for once. */
export function runningChecks({ names, paths, status, users }: RunningFacts): readonly Check[] {
  let asked: Promise<StatusReport> | undefined;
  const now = () => asked ??= status();
  return [
    { name: "problems of the status", at: ["running"], find: async () => (await now()).problems },
    { name: "connections", at: ["running"], find: async () => connectionFaults(await now()) },
    { name: "owners of addresses", at: ["running"], find: async () => ownerFaults(await now()) },
    { name: "clocks", at: ["running"], find: async () => clockFaults(await clocks(paths)) },
    {
      name: "addresses in use twice",
      at: ["running"],
      find: async () => await usedTwice(await now(), users),
    },
    {
      name: "name servers of namespaces",
      at: ["running"],
      find: async () => (await now()).attachments.flatMap(({ target }) => bypassing(target, names)),
    },
  ];
}

async function usedTwice(
  { attachments }: StatusReport,
  users: RunningFacts["users"],
): Promise<readonly Finding[]> {
  const all = attachments.filter(({ attached }) => attached).flatMap(({ addresses, target }) =>
    addresses.flatMap((text) => {
      const ip = parseCidr(text)?.ip;
      return ip === undefined ? [] : [{ ip, target }];
    })
  );
  const found = await Promise.all(
    all.slice(0, MOST_ADDRESSES).map(async ({ ip, target }) => {
      const others = await users.others(ip, target);
      return others.map(({ text }) => ({
        message: `${ip} of ${target} is also used by ${text}: each gets a part of what is sent to it`,
        hint: `Take it away there, or here: meshnet detach ${ip}/PREFIX ${target}`,
      }));
    }),
  );
  return found.flat();
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
