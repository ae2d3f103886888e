/** What very many hosts that share one range cost each other, simulated: nothing but this process is needed. */
import { checkLinear, crowd, type CrowdCost } from "../unit/ipam/crowd.ts";

/** Each time twice as many. */
const COUNTS: readonly number[] = [250, 500, 1_000];

/** Rows of a table, as numbers of hosts are done; throws when a host's costs grow faster than their number. */
export function crowdRows(counts: readonly number[] = COUNTS, tell = console.error): string[][] {
  const rows: string[][] = [];
  let before: { readonly count: number; readonly costs: readonly CrowdCost[] } | undefined;
  for (const count of counts) {
    const costs = crowd(count);
    for (const { bytes, messages, ms, what } of costs) {
      rows.push([
        `${count} hosts: ${what}`,
        `${ms} ms`,
        messages.toFixed(1),
        `${(bytes / 1024).toFixed(1)} KiB`,
      ]);
      tell(rows.at(-1)!.join(", "));
    }
    if (before !== undefined) checkLinear(before.costs, costs, count / before.count);
    before = { count, costs };
  }
  return rows;
}
