/** Hosts that were in the mesh and are no longer: what is to be said of them. Pure. */
import type { HistoryReport } from "../control/history_types.ts";
import { parseEndpoint } from "../core/addr.ts";

/** A host that left. */
export interface LeftHost {
  readonly peer: string;
  /** What people call it. */
  readonly name: string;
  /** Where it was; empty: not known. */
  readonly ip: string;
  /** Why the connection ended; empty: not known. */
  readonly reason: string;
  /** Milliseconds since then. */
  readonly agoMs: number;
}

/** Hosts that one sentence names. */
const MAX_NAMED = 3;

/** Those of a history, oldest first, that are not among these; the latest first. `ago`: milliseconds since a time. */
export function leftHosts(
  history: readonly HistoryReport[],
  { ago, here }: { readonly here: ReadonlySet<string>; readonly ago: (at: string) => number },
): readonly LeftHost[] {
  const found = new Map<string, LeftHost>();
  for (const { address, at, event, nickname, peer, reason } of history.toReversed()) {
    if (event !== "disconnected" || peer === null || here.has(peer) || found.has(peer)) continue;
    const ip = parseEndpoint(address ?? "")?.ip ?? "";
    const agoMs = Math.max(0, ago(at));
    found.set(peer, { peer, name: nickname || peer, ip, reason: reason ?? "", agoMs });
  }
  return [...found.values()];
}

/** When it left, why, and what to do. */
export function whatBecameOf(host: LeftHost): string {
  return `${host.name} was here and left ${whenAndWhy(host)}; ${whatToDo(host)}`;
}

/** Where something may have been that nobody has now; empty: nobody left. */
export function mayHaveBeenAt(left: readonly LeftHost[]): string {
  const some = left.slice(0, MAX_NAMED).map((one) => `${one.name}, which left ${whenAndWhy(one)}`).join(
    ", or ",
  );
  return left.length === 0 ? "" : `it may have been on ${some}`;
}

function whatToDo({ ip, peer }: LeftHost): string {
  return `see there whether meshnet runs, and by \`meshnet check ${ip || peer}\` whether the way is free`;
}

function whenAndWhy({ agoMs, reason }: LeftHost): string {
  return `${spanOf(agoMs)} ago${reason === "" ? "" : ` (${reason})`}`;
}

/** How long something took or is ago, in one unit. */
export function spanOf(ms: number): string {
  const units = [[86_400, "days"], [3_600, "h"], [60, "min"]] as const;
  const unit = units.find(([seconds]) => ms >= 2 * seconds * 1000);
  return unit === undefined ? `${Math.round(ms / 1000)} s` : `${Math.floor(ms / 1000 / unit[0])} ${unit[1]}`;
}
