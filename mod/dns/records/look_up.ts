/** What is answered for one name, for those who ask by command: all types, an alias followed. */
import type { DnsEntry } from "../../wire/dns/dns_gossip.ts";
import { compareOnWire } from "../../wire/dns/dns_gossip.ts";
import { RECORD_TYPE } from "../../wire/dns/dns_types.ts";
import { bestOf, isAnswerable } from "./name_index.ts";
import { aliasTarget } from "./spelling.ts";

/** Aliases that lead to aliases: no more than this, as when a client asks. */
export const MAX_ALIASES = 8;

/** The answered entries of a whole name, those of an alias first. Goes through all entries. */
export function answersFor(entries: Iterable<DnsEntry>, hostname: string): readonly DnsEntry[] {
  const byName = Map.groupBy(alive(entries), (entry) => entry.hostname.toLowerCase());
  const found: DnsEntry[] = [];
  let name = hostname.toLowerCase();
  for (let i = 0; i <= MAX_ALIASES; i++) {
    const all = byName.get(name) ?? [];
    const records = all.filter(({ type }) => type !== RECORD_TYPE.ORDER);
    const answered = records.filter(({ type }) => type !== RECORD_TYPE.CNAME);
    if (answered.length > 0) return [...found, ...wellOf(answered).sort(compareOnWire)];
    const [alias] = wellOf(records).sort(compareOnWire);
    if (alias === undefined) return found;
    found.push(alias);
    name = aliasTarget(alias).toLowerCase();
  }
  return found;
}

function* alive(entries: Iterable<DnsEntry>): Iterable<DnsEntry> {
  for (const entry of entries) if (isAnswerable(entry)) yield entry;
}

/** The best of each type. */
function wellOf(entries: readonly DnsEntry[]): DnsEntry[] {
  return [...Map.groupBy(entries, ({ type }) => type).values()].flatMap(bestOf);
}
