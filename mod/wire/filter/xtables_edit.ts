/** Changes a table of x_tables: what is put in or taken out moves all that lies behind it, and jumps must follow. */
import { bad, type Decoded, good } from "../../core/brand.ts";
import { hasHook, splitEntries, type XtablesInfo } from "./xtables.ts";

/** What is changed. */
export interface XtablesEdits {
  /** Entries that go, by offset. */
  readonly removed: readonly number[];
  /** Entries that come, each before the one at an offset; those before the same one keep this order. */
  readonly inserted: readonly { readonly before: number; readonly entry: Uint8Array }[];
}

/** A changed table, for XtablesSocket.replace(). */
export interface EditedTable {
  /** struct ipt_replace with its entries; the pointer in it is 0. */
  readonly replacement: Uint8Array<ArrayBuffer>;
  /** How many entries the old table has. */
  readonly oldCount: number;
  /** For each new entry, which old one it was; -1: it is new. */
  readonly origins: readonly number[];
}

const REPLACE = {
  hooks: 32,
  count: 36,
  size: 40,
  hookEntry: 44,
  underflow: 64,
  counters: 84,
  entries: 96,
} as const;
const VERDICT_AT = 32;

/** Makes the changed table. */
export function editXtables(
  { entries, family, info, name }: {
    readonly entries: Uint8Array;
    readonly family: "ip" | "ip6";
    readonly info: XtablesInfo;
    readonly name: string;
  },
  { inserted, removed }: XtablesEdits,
): Decoded<EditedTable> {
  const split = splitEntries(entries, family);
  if (!split.ok) return split;
  const pieces: { readonly bytes: Uint8Array; readonly origin: number; readonly at: number }[] = [];
  /** Where the way to an entry leads now: to what was put before it. */
  const starts = new Map<number, number>();
  /** Where the entry itself is now. */
  const moved = new Map<number, number>();
  let length = 0;
  const add = (bytes: Uint8Array, origin: number) => {
    pieces.push({ bytes, origin, at: length });
    length += bytes.length;
  };
  split.value.forEach((entry, i) => {
    starts.set(entry.at, length);
    for (const one of inserted) if (one.before === entry.at) add(one.entry, -1);
    moved.set(entry.at, length);
    if (!removed.includes(entry.at)) add(entries.slice(entry.at, entry.next), i);
  });
  const unknown = [...removed, ...inserted.map(({ before }) => before)].find((at) => !moved.has(at));
  if (unknown !== undefined) return bad(`there is no entry at ${unknown}`);

  const replacement = new Uint8Array(new ArrayBuffer(REPLACE.entries + length));
  const view = new DataView(replacement.buffer);
  for (const { at, bytes, origin } of pieces) {
    replacement.set(bytes, REPLACE.entries + at);
    const old = split.value[origin];
    if (old === undefined || old.target !== "" || old.verdict < 0) continue;
    const goesOn = old.verdict === old.next;
    const target = goesOn ? at + bytes.length : starts.get(old.verdict);
    if (target === undefined) return bad(`entry at ${old.at} leads to ${old.verdict}`);
    view.setInt32(REPLACE.entries + at + (old.targetAt - old.at) + VERDICT_AT, target, true);
  }
  replacement.set(new TextEncoder().encode(name).subarray(0, 31));
  view.setUint32(REPLACE.hooks, info.validHooks, true);
  view.setUint32(REPLACE.count, pieces.length, true);
  view.setUint32(REPLACE.size, length, true);
  for (let hook = 0; hook < 5; hook++) {
    if (!hasHook(info, hook)) continue;
    const [begin, policy] = [starts.get(info.hookEntry[hook]!), moved.get(info.underflow[hook]!)];
    if (begin === undefined || policy === undefined) return bad(`hook ${hook} begins at no entry`);
    view.setUint32(REPLACE.hookEntry + hook * 4, begin, true);
    view.setUint32(REPLACE.underflow + hook * 4, policy, true);
  }
  view.setUint32(REPLACE.counters, split.value.length, true);
  return good({ replacement, oldCount: split.value.length, origins: pieces.map(({ origin }) => origin) });
}

/** Counters for each new entry, from those of the old ones: struct xt_counters, 16 octets each. */
export function carryCounters(old: Uint8Array, origins: readonly number[]): Uint8Array<ArrayBuffer> {
  const counters = new Uint8Array(origins.length * 16);
  origins.forEach((origin, i) => {
    if (origin >= 0) counters.set(old.subarray(origin * 16, origin * 16 + 16), i * 16);
  });
  return counters;
}
