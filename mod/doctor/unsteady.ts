/** Ways that work and fail by turns: packets are lost on them. Decided from what happened lately. Pure. */
import type { HistoryReport } from "../control/history_types.ts";
import type { Problem } from "../control/api_types.ts";
import { type Ip, parseEndpoint } from "../core/addr.ts";

/** How far back is looked, in milliseconds: a way that has been steady for so long is steady. */
const WINDOW_MS = 60_000;
/** So many failures within that are no accident. A rule or a cable is one, until somebody mends it. */
const FAILURES = 4;

/** What a path says that failed although it had worked. */
const FAILED = /heartbeat|no overlay works|nothing comes over any overlay|has not answered/;
/** What it says while it is being set up, or where only large packets fail. */
const OTHERWISE = /testing the path|first heartbeat|^no fastdp: no full-size/;

/** Hosts to which the way fails again and again, by peer name, with what is said of that. `ago`: milliseconds since a time. */
export function unsteadyWays(
  history: readonly HistoryReport[],
  ago: (at: string) => number,
): ReadonlyMap<string, Problem> {
  const failures = history.filter(({ at, event, peer, reason }) =>
    peer !== null && (event === "overlay" || event === "disconnected") && reason !== null &&
    FAILED.test(reason) && !OTHERWISE.test(reason) && ago(at) >= 0
  );
  const found = [...Map.groupBy(failures, ({ peer }) => peer!)].map(([peer, all]) =>
    [peer, lastSeries(all, ago)] as const
  ).filter(([, series]) => series.length >= FAILURES);
  return new Map(found.map(([peer, series]) => [peer, problemOf(peer, series)]));
}

/** What is said of the way to one host. Where it fails there is no connection now and then: then `ip` tells who was last
 * there. */
export function unsteadyWay(
  history: readonly HistoryReport[],
  to: { readonly ip: Ip; readonly peer: string | undefined },
  ago: (at: string) => number,
): Problem | undefined {
  const isThere = ({ address }: HistoryReport) => parseEndpoint(address ?? "")?.ip === to.ip;
  const peer = to.peer ?? history.findLast((entry) => entry.peer !== null && isThere(entry))?.peer;
  return unsteadyWays(history, ago).get(peer ?? "");
}

/** The failures of one minute that ended lately with enough of them; none: there was no such minute. Until the way has been
 * steady for a minute this stays, though the first failures are longer ago by then. */
function lastSeries(
  failures: readonly HistoryReport[],
  ago: (at: string) => number,
): readonly HistoryReport[] {
  const ages = failures.map(({ at }) => ago(at));
  for (const [i, age] of [...ages.entries()].reverse()) {
    if (age > WINDOW_MS) break;
    const first = ages.findIndex((one) => one - age <= WINDOW_MS);
    if (i + 1 - first >= FAILURES) return failures.slice(first, i + 1);
  }
  return [];
}

function problemOf(peer: string, failures: readonly HistoryReport[]): Problem {
  const { address, nickname } = failures.at(-1)!;
  const ip = parseEndpoint(address ?? "")?.ip;
  const look = ip === undefined ? "" : `\`ping -i 0.2 -c 50 ${ip}\` counts what is lost; `;
  return {
    message: `The way to ${nickname || peer}${
      ip === undefined ? "" : ` (${ip})`
    } loses packets: it failed ${failures.length} times within a minute and worked again`,
    hint:
      `${look}look for the place where it is lost: cable, switch, provider, \`ip -s link\`, or a host without ` +
      "processor time to spare",
  };
}
