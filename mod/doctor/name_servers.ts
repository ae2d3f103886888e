/** What is said of name servers of others that do not answer. Pure. */
import type { Problem } from "../control/api_types.ts";
import type { OtherServerReport } from "../control/name_types.ts";
import { parseEndpoint } from "../core/addr.ts";

const DNS_PORT = 53;

/** Where a fault shows: nobody answers, so that names are not found; or others do, and it only takes longer. */
export interface SilentServers {
  readonly lost: readonly Problem[];
  readonly slow: readonly Problem[];
}

/** Servers that do not answer. `file`: what names those of the host. */
export function silentServers(
  servers: readonly OtherServerReport[],
  file: string,
): SilentServers {
  const found = [...Map.groupBy(servers, ({ domain }) => domain)].map(([domain, all]) => {
    const silent = all.filter(({ state }) => state === "silent");
    const [first] = silent;
    if (first === undefined) return undefined;
    const isAll = silent.length === all.length;
    const names = silent.map(({ address }) => called(address));
    const one = names.length === 1;
    const [whom, does] = one
      ? [`the name server ${names[0]}`, "does not answer"]
      : [`the name servers ${names.slice(0, -1).join(", ")} and ${names.at(-1)}`, "do not answer"];
    const source = domain === null ? file : "--dns-forward";
    const what = domain === null ? "outside the mesh" : `below ${domain}`;
    const who = `${whom}, of ${source}, ${does}`;
    const message = isAll
      ? `Names ${what} are not found: ${who}${since(silent)}`
      : `${who[0]!.toUpperCase()}${who.slice(1)}${
        since(silent)
      }, so look-ups of names ${what} may take a second longer`;
    const why = silent.every(({ unreachable }) => unreachable)
      ? `nothing listens there, or there is no way (\`ip route get ${ipOf(first.address)}\`)`
      : `\`${digFor(first.address, domain)}\` asks, too; \`ip route get ${
        ipOf(first.address)
      }\` shows the way`;
    const hint = `Start ${
      one ? "it" : "them"
    } again or mend the way there: ${why}; or name servers that answer in ${source}${
      isAll || domain !== null ? "" : `, without ${one ? "this one" : "these"}`
    }`;
    return { isAll, problem: { message, hint } };
  }).filter((one) => one !== undefined);
  const where = (isAll: boolean) => found.filter((one) => one.isAll === isAll).map(({ problem }) => problem);
  return { lost: where(true), slow: where(false) };
}

/** Since when: the longest silence, and the last answer of any. */
function since(silent: readonly OtherServerReport[]): string {
  const silentMs = Math.max(...silent.map((one) => one.silentMs ?? 0));
  const answers = silent.flatMap(({ answeredAgoMs }) => answeredAgoMs ?? []);
  const last = answers.length === 0
    ? "nothing has come since this daemon began to ask"
    : `the last answer came ${span(Math.min(...answers))} ago`;
  return ` (asked in vain for ${span(silentMs)}; ${last})`;
}

function span(ms: number): string {
  const seconds = Math.round(ms / 1_000);
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 120 ? `${minutes} min` : `${Math.round(minutes / 60)} h`;
}

/** Without the port that all have. */
function called(address: string): string {
  const at = parseEndpoint(address);
  return at?.port === DNS_PORT ? at.ip : address;
}

function ipOf(address: string): string {
  return parseEndpoint(address)?.ip ?? address;
}

function digFor(address: string, domain: string | null): string {
  const port = parseEndpoint(address)?.port ?? DNS_PORT;
  const asked = domain === null ? ". NS" : `${domain} SOA`;
  return `dig @${ipOf(address)}${port === DNS_PORT ? "" : ` -p ${port}`} ${asked}`;
}
