/** Where packets were lost, for the report of a failure. */
import { attempt } from "./process.ts";

interface Link {
  readonly ifname: string;
  readonly stats64?: { readonly rx: { readonly dropped: number }; readonly tx: { readonly dropped: number } };
}

/** What a daemon's report counts as lost, as `place count`; nothing where nothing was. */
export function lossesOf(report: unknown, place = ""): readonly string[] {
  if (typeof report === "number") {
    return report > 0 && /damaged|drop|refused|lost/i.test(place) ? [`${place} ${report}`] : [];
  }
  if (typeof report !== "object" || report === null) return [];
  return Object.entries(report).flatMap(([key, value]) => lossesOf(value, `${place}.${key}`));
}

/** What the kernel dropped at interfaces of a network namespace, as `interface direction count`. */
export async function dropsIn(netns: string): Promise<readonly string[]> {
  const { stdout } = await attempt(["ip", "-s", "-j", "link"], { netns, timeoutMs: 5_000 });
  const links: readonly Link[] = stdout.trim() === "" ? [] : JSON.parse(stdout);
  return links.flatMap(({ ifname, stats64 }) =>
    (["rx", "tx"] as const).flatMap((way) => {
      const dropped = stats64?.[way].dropped ?? 0;
      return dropped > 0 ? [`${ifname} ${way} ${dropped}`] : [];
    })
  );
}

/** Packets that the machine's kernel has dropped because a processor's queue for all namespaces was full: those of others'
 * floods, and ours among them. */
export function backlogDrops(): number {
  const rows = Deno.readTextFileSync("/proc/net/softnet_stat").trim().split("\n");
  return rows.reduce((sum, row) => sum + parseInt(row.split(" ")[1] ?? "0", 16), 0);
}
