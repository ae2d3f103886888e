/** Reads and changes x_tables, which iptables-legacy writes: no program is needed. */
import { ERRNO } from "../core/errno.ts";
import { errnoOf } from "../core/errors.ts";
import type { Rule, Table } from "../wire/filter/model.ts";
import { encodeAccept, encodeNat, readXtables, readXtablesInfo } from "../wire/filter/xtables.ts";
import { carryCounters, editXtables, type XtablesEdits } from "../wire/filter/xtables_edit.ts";
import { isOwnNat, natRules } from "./nat.ts";
import type { FirewallChange } from "./plan.ts";
import { type Exposure, isOwn } from "./wanted.ts";

/** The tables of one protocol, see ffi/xtables_socket.ts. */
export interface XtablesPort extends Disposable {
  read(table: string): { readonly info: Uint8Array; readonly entries: Uint8Array };
  replace(table: string, replacement: Uint8Array<ArrayBuffer>, counters: number): Uint8Array;
  addCounters(table: string, counters: Uint8Array): void;
}

/** What reading and changing needs. */
export interface LegacyParts {
  readonly open: (family: "ip" | "ip6") => XtablesPort;
  /** The names of the tables that are there: asking for others makes them. */
  readonly names: (family: "ip" | "ip6") => readonly string[];
  /** Takes the lock that all writers of these tables take; undefined: another one has it now. */
  readonly lock: () => Disposable | undefined;
}

const FAMILIES = ["ip", "ip6"] as const;
const POSTROUTING = 4; // NF_INET_POST_ROUTING
const HOOK_NUMBERS: Readonly<Record<string, number>> = { INPUT: 1, FORWARD: 2, OUTPUT: 3 };

/** A table as read, in both forms. */
interface Read {
  readonly family: "ip" | "ip6";
  readonly name: string;
  readonly entries: Uint8Array;
  readonly info: ReturnType<typeof readXtablesInfo>;
  readonly table: Table;
}

/** Reads the filter tables that are there. Throws what makes no sense. */
export function readLegacy(parts: LegacyParts): readonly Table[] {
  return FAMILIES.flatMap((family) => {
    if (!parts.names(family).includes("filter")) return [];
    using port = parts.open(family);
    return [readTable(port, { family, name: "filter" }).table];
  });
}

function readTable(
  port: XtablesPort,
  { family, name }: { readonly family: "ip" | "ip6"; readonly name: string },
): Read {
  const raw = port.read(name);
  const info = readXtablesInfo(raw.info);
  const read = { entries: raw.entries, family, info, name };
  const table = readXtables(read);
  if (!table.ok) throw new TypeError(`Cannot understand table ${name}: ${table.reason}`);
  return { ...read, table: table.value };
}

/** Plans on what is there now and makes the changes, with the lock held. False: another program has the lock now, or has
 * changed a table meanwhile, so that it must be tried again. */
export function changeLegacy(
  parts: LegacyParts,
  plan: (tables: readonly Table[]) => readonly FirewallChange[],
): boolean {
  using lock = parts.lock();
  if (lock === undefined) return false;
  return FAMILIES.filter((family) => parts.names(family).includes("filter")).every((family) => {
    using port = parts.open(family);
    const read = readTable(port, { family, name: "filter" });
    const changes = plan([read.table]).filter(({ at }) => at.backend === "legacy" && at.family === family);
    return changes.length === 0 || replace(port, read, editsOf(read, changes));
  });
}

function editsOf({ family, info, table }: Read, changes: readonly FirewallChange[]): XtablesEdits {
  return {
    removed: changes.flatMap((change) => change.kind === "delete" ? [change.handle] : []),
    inserted: changes.flatMap((change) => {
      if (change.kind !== "insert") return [];
      const { at: { chain }, before, rule } = change;
      const hook = HOOK_NUMBERS[chain];
      const end = hook === undefined ? table.chains.get(chain)?.rules.at(-1)?.handle : info.underflow[hook];
      return [{ before: before ?? end ?? -1, entry: encodeAccept(rule, family) }];
    }),
  };
}

function replace(port: XtablesPort, read: Read, edits: XtablesEdits): boolean {
  const edited = editXtables(read, edits);
  if (!edited.ok) throw new TypeError(`Cannot change table ${read.name}: ${edited.reason}`);
  const { oldCount, origins, replacement } = edited.value;
  try {
    const old = port.replace(read.name, replacement, oldCount);
    port.addCounters(read.name, carryCounters(old, origins));
  } catch (thrown) {
    if (errnoOf(thrown) === ERRNO.EAGAIN) return false;
    throw thrown;
  }
  return true;
}

/** Makes table nat have the rules that exposed networks need, and no other ones of ours. False: to be tried again. */
export function natLegacy(parts: LegacyParts, exposures: readonly Exposure[]): boolean {
  return FAMILIES.every((family) => {
    const rules = natRules(family, exposures);
    if (rules.length === 0 && !parts.names(family).includes("nat")) return true;
    using port = parts.open(family);
    const isRight = (own: readonly Rule[]) =>
      own.length === rules.length && own.every(({ comment }, i) => comment === rules[i]!.comment);
    if (isRight(ownNat(readTable(port, { family, name: "nat" })))) return true; // without the lock: others watch it, too
    using lock = parts.lock();
    if (lock === undefined) return false;
    const read = readTable(port, { family, name: "nat" });
    const own = ownNat(read);
    const before = read.info.underflow[POSTROUTING]!;
    return replace(port, read, {
      removed: own.map(({ handle }) => handle),
      inserted: rules.map((rule) => ({ before, entry: encodeNat(rule, family) })),
    });
  });
}

function ownNat({ table }: Read): readonly Rule[] {
  return (table.chains.get("POSTROUTING")?.rules ?? []).filter(({ comment }) => isOwnNat(comment));
}

/** Removes every rule of ours. Gives how many there were; undefined: another program has the lock now. */
export function removeLegacy(parts: LegacyParts): number | undefined {
  let removed = 0;
  using lock = parts.lock();
  if (lock === undefined) return undefined;
  for (const family of FAMILIES) {
    for (const name of ["filter", "nat"].filter((one) => parts.names(family).includes(one))) {
      using port = parts.open(family);
      const read = readTable(port, { family, name });
      const rules = [...read.table.chains.values()].flatMap((chain) => chain.rules);
      const own = rules.filter(({ comment }) => name === "nat" ? isOwnNat(comment) : isOwn(comment))
        .map(({ handle }) => handle);
      if (own.length === 0) continue;
      if (!replace(port, read, { removed: own, inserted: [] })) return undefined;
      removed += own.length;
    }
  }
  return removed;
}
