/** What the data plane counts. */
import { type DataplaneCounters, DROP_REASONS, type DropReason } from "./dataplane_types.ts";

/** Counters while they count. */
export type MutableCounters =
  & { -readonly [K in Exclude<keyof DataplaneCounters, "dropped">]: DataplaneCounters[K] }
  & { readonly dropped: Record<DropReason, number> };

/** Everything at zero. */
export function newCounters(): MutableCounters {
  const dropped = Object.fromEntries(DROP_REASONS.map((reason) => [reason, 0])) as Record<DropReason, number>;
  return {
    misses: 0,
    installed: 0,
    replaced: 0,
    deleted: 0,
    executed: 0,
    flowLimit: 0,
    macLimit: 0,
    macMoves: 0,
    heartbeatsSent: 0,
    heartbeatsReceived: 0,
    dropped,
  };
}
