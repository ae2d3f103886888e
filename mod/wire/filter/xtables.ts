/** Tables of x_tables, which iptables-legacy writes: one block of entries (linux/netfilter_ipv4/ip_tables.h, ..ipv6..). */
import { bad, type Decoded, good } from "../../core/brand.ts";
import {
  type AcceptRule,
  type AddressBlock,
  type Chain,
  type Hook,
  prefixMask,
  type Rule,
  type RuleVerdict,
  single,
  type Table,
  type Test,
} from "./model.ts";
import { commentOfMatch, testsOfMatch, UNKNOWN_TEST, verdictOfTarget } from "./xt_match.ts";

/** struct ipt_getinfo: which hooks there are, where each begins and where its policy is. */
export interface XtablesInfo {
  readonly validHooks: number;
  readonly hookEntry: readonly number[];
  readonly underflow: readonly number[];
  readonly count: number;
}

/** Offsets in struct ipt_entry and struct ip6t_entry. */
export const ENTRY = {
  ip: {
    ...{ source: 0, destination: 4, sourceMask: 8, destinationMask: 12, address: 4 },
    ...{ iif: 16, oif: 32, iifMask: 48, oifMask: 64, protocol: 80, flags: 82, inverted: 83 },
    ...{ targetAt: 88, nextAt: 90, counters: 96, length: 112, gotoFlag: 2, fragFlag: 1 },
  },
  ip6: {
    ...{ source: 0, destination: 16, sourceMask: 32, destinationMask: 48, address: 16 },
    ...{ iif: 64, oif: 80, iifMask: 96, oifMask: 112, protocol: 128, flags: 131, inverted: 132 },
    ...{ targetAt: 140, nextAt: 142, counters: 152, length: 168, gotoFlag: 4, fragFlag: 0 },
  },
} as const;
/** IPT_INV_*, IP6T_INV_*. */
const INVERTED = { iif: 1, oif: 2, source: 8, destination: 16, fragment: 32, protocol: 64 } as const;
/** struct xt_entry_match, xt_entry_target: size 2, name 29, revision 1. */
const EXTENSION = { size: 0, name: 2, nameLength: 29, revision: 31, header: 32 } as const;
/** NF_INET_*. */
const HOOKS: Readonly<Record<Hook, number>> = { input: 1, forward: 2, output: 3 };
const HOOK_CHAINS = ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"] as const;
const ALIGN = 8;
const INTERFACE = 16;
const NEVER: Test = { field: "other", spans: [], negated: true };

/** Reads struct ipt_getinfo. */
export function readXtablesInfo(info: Uint8Array): XtablesInfo {
  const view = new DataView(info.buffer, info.byteOffset, info.byteLength);
  const five = (at: number) => Array.from({ length: 5 }, (_, i) => view.getUint32(at + i * 4, true));
  return {
    validHooks: view.getUint32(32, true),
    hookEntry: five(36),
    underflow: five(56),
    count: view.getUint32(76, true),
  };
}

/** Whether a table has a hook. */
export function hasHook({ validHooks }: XtablesInfo, hook: number): boolean {
  return (validHooks & (1 << hook)) !== 0;
}

/** One entry, as far as reading and inserting need it. */
export interface XtablesEntry {
  readonly at: number;
  readonly next: number;
  readonly targetAt: number;
  /** Name of the target; empty for the standard one. */
  readonly target: string;
  /** RuleVerdict of a standard target. */
  readonly verdict: number;
}

/** All entries in order, or why they make no sense. */
export function splitEntries(entries: Uint8Array, family: "ip" | "ip6"): Decoded<readonly XtablesEntry[]> {
  const { length, nextAt, targetAt } = ENTRY[family];
  const view = new DataView(entries.buffer, entries.byteOffset, entries.byteLength);
  const found: XtablesEntry[] = [];
  for (let at = 0; at < entries.length;) {
    if (entries.length - at < length + EXTENSION.header) return bad(`entry at ${at} is cut`);
    const [target, next] = [at + view.getUint16(at + targetAt, true), at + view.getUint16(at + nextAt, true)];
    if (target < at + length || next < target + EXTENSION.header || next > entries.length) {
      return bad(`entry at ${at} has a target at ${target} and ends at ${next}`);
    }
    const name = nameOf(entries, target);
    const standard = name === "" && next >= target + EXTENSION.header + 4;
    const verdict = standard ? view.getInt32(target + EXTENSION.header, true) : 0;
    found.push({ at, next, targetAt: target, target: name, verdict });
    at = next;
  }
  return good(found);
}

/** A table in the words of model.ts. */
export function readXtables(
  { entries, family, info, name }: {
    readonly entries: Uint8Array;
    readonly family: "ip" | "ip6";
    readonly info: XtablesInfo;
    readonly name: string;
  },
): Decoded<Table> {
  const split = splitEntries(entries, family);
  if (!split.ok) return split;
  const starts = chainStarts(entries, { entries: split.value, info });
  const nameAt = new Map([...starts].map(([chain, { from }]) => [from, chain]));
  const chains = new Map<string, Chain>();
  for (const [chain, { from, hook, policyAt }] of starts) {
    const rules: Rule[] = [];
    let policy: "accept" | "drop" = "accept";
    for (const entry of split.value) {
      if (entry.at < from) continue;
      if (entry.at === policyAt) {
        policy = entry.verdict === -1 ? "drop" : "accept";
        break;
      }
      // A chain without a hook ends where the next one's head is; its own end returns, which is a rule like others.
      if (entry.target === "ERROR") break;
      rules.push(readEntry(entries, { entry, family, nameAt }));
    }
    chains.set(chain, { name: chain, policy, rules, ...hook === undefined ? {} : { hook } });
  }
  return good({ backend: "legacy", family, name, chains });
}

/** Where each chain begins. A chain of a user begins behind an entry that says ERROR with its name. */
function chainStarts(
  bytes: Uint8Array,
  { entries, info }: { readonly entries: readonly XtablesEntry[]; readonly info: XtablesInfo },
): ReadonlyMap<string, { readonly from: number; readonly hook?: Hook; readonly policyAt?: number }> {
  const starts = new Map<string, { from: number; hook?: Hook; policyAt?: number }>();
  HOOK_CHAINS.forEach((chain, number) => {
    if (!hasHook(info, number)) return;
    const hook = (Object.keys(HOOKS) as Hook[]).find((one) => HOOKS[one] === number);
    const place = { from: info.hookEntry[number]!, policyAt: info.underflow[number]! };
    starts.set(chain, hook === undefined ? place : { ...place, hook });
  });
  for (const { next, target, targetAt } of entries) {
    if (target !== "ERROR" || next >= bytes.length) continue;
    const name = textAt(bytes, targetAt + EXTENSION.header, next);
    if (name !== "ERROR") starts.set(name, { from: next });
  }
  return starts;
}

function readEntry(
  bytes: Uint8Array,
  { entry, family, nameAt }: {
    readonly entry: XtablesEntry;
    readonly family: "ip" | "ip6";
    readonly nameAt: ReadonlyMap<number, string>;
  },
): Rule {
  const layout = ENTRY[family];
  const tests = [...headerTests(bytes.subarray(entry.at, entry.targetAt), family)];
  let comment: string | undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = entry.at + layout.length; at < entry.targetAt;) {
    const size = view.getUint16(at, true);
    if (size < EXTENSION.header || at + size > entry.targetAt) {
      tests.push(UNKNOWN_TEST);
      break;
    }
    const name = nameOf(bytes, at);
    const info = bytes.slice(at + EXTENSION.header, at + size);
    comment ??= commentOfMatch(name, info);
    tests.push(...testsOfMatch(name, bytes[at + EXTENSION.revision]!, info));
    at += size;
  }
  const goes = (bytes[entry.at + layout.flags]! & layout.gotoFlag) !== 0 ? "goto" : "jump";
  const verdict = entry.target === ""
    ? standardVerdict(entry, { goes, nameAt })
    : verdictOfTarget(entry.target);
  return { handle: entry.at, tests, verdict, ...comment === undefined ? {} : { comment } };
}

function standardVerdict(
  { next, verdict }: XtablesEntry,
  { goes, nameAt }: { readonly goes: "jump" | "goto"; readonly nameAt: ReadonlyMap<number, string> },
): RuleVerdict {
  if (verdict >= 0) {
    const chain = nameAt.get(verdict);
    if (verdict === next && chain === undefined) return { kind: "continue" };
    return chain === undefined ? { kind: "unknown" } : { kind: goes, chain };
  }
  const kinds: Readonly<Record<number, RuleVerdict["kind"]>> = {
    [-1]: "drop",
    [-2]: "accept",
    [-5]: "return",
  };
  const kind = kinds[verdict];
  return kind === "drop" || kind === "accept" || kind === "return" ? { kind } : { kind: "unknown" };
}

function headerTests(entry: Uint8Array, family: "ip" | "ip6"): readonly Test[] {
  const layout = ENTRY[family];
  const inverted = entry[layout.inverted]!;
  const tests: Test[] = [];
  const isSet = (at: number, length: number) => entry.subarray(at, at + length).some((octet) => octet !== 0);
  for (const field of ["iif", "oif"] as const) {
    const maskAt = field === "iif" ? layout.iifMask : layout.oifMask;
    if (!isSet(maskAt, INTERFACE)) continue;
    const mask = entry.slice(maskAt, maskAt + INTERFACE);
    const value = entry.slice(layout[field], layout[field] + INTERFACE).map((octet, i) => octet & mask[i]!);
    tests.push({ field, mask, spans: [single(value)], negated: (inverted & INVERTED[field]) !== 0 });
  }
  if (isSet(layout.sourceMask, layout.address) || isSet(layout.destinationMask, layout.address)) {
    tests.push(UNKNOWN_TEST);
  }
  const protocol = entry[layout.protocol]! | entry[layout.protocol + 1]! << 8;
  if (protocol !== 0) {
    tests.push({
      ...{ field: "protocol", spans: [single(Uint8Array.of(protocol))] } as const,
      negated: (inverted & INVERTED.protocol) !== 0,
    });
  }
  // Fragments are put together before they come here.
  if ((entry[layout.flags]! & layout.fragFlag) !== 0 && (inverted & INVERTED.fragment) === 0) {
    tests.push(NEVER);
  }
  return tests;
}

/** An entry that accepts. */
export function encodeAccept(rule: AcceptRule, family: "ip" | "ip6"): Uint8Array<ArrayBuffer> {
  return encodeEntry(rule, { family, target: standardTarget(-2) });
}

/** A standard target with a verdict. */
function standardTarget(verdict: number): Uint8Array<ArrayBuffer> {
  const target = new Uint8Array(aligned(EXTENSION.header + 4));
  const view = new DataView(target.buffer);
  view.setUint16(0, target.length, true);
  view.setInt32(EXTENSION.header, verdict, true);
  return target;
}

/** Asks for packets whose source is in a network and whose destination is not, or the other way round. */
export interface NatRule {
  readonly comment: string;
  readonly source: AddressBlock;
  readonly destination: AddressBlock;
  readonly outside: "source" | "destination" | undefined;
}

/** An entry that masquerades, or that ends the chain's look where neither side is outside. */
export function encodeNat(rule: NatRule, family: "ip" | "ip6"): Uint8Array<ArrayBuffer> {
  const target = rule.outside === undefined ? standardTarget(-5) : masqueradeTarget(family);
  const entry = encodeEntry(rule, { family, target });
  if (rule.outside !== undefined) entry[ENTRY[family].inverted]! |= INVERTED[rule.outside];
  return entry;
}

/** struct nf_nat_ipv4_multi_range_compat (revision 0), struct nf_nat_range (IPv6). */
function masqueradeTarget(family: "ip" | "ip6"): Uint8Array<ArrayBuffer> {
  const target = new Uint8Array(aligned(EXTENSION.header + (family === "ip" ? 20 : 40)));
  const view = new DataView(target.buffer);
  view.setUint16(0, target.length, true);
  target.set(new TextEncoder().encode("MASQUERADE"), EXTENSION.name);
  if (family === "ip") view.setUint32(EXTENSION.header, 1, true); // one range
  return target;
}

function encodeEntry(
  rule: AcceptRule,
  { family, target }: { readonly family: "ip" | "ip6"; readonly target: Uint8Array },
): Uint8Array<ArrayBuffer> {
  const layout = ENTRY[family];
  const comment = new Uint8Array(EXTENSION.header + 256);
  new DataView(comment.buffer).setUint16(0, comment.length, true);
  comment.set(new TextEncoder().encode("comment"), EXTENSION.name);
  comment.set(new TextEncoder().encode(rule.comment).subarray(0, 255), EXTENSION.header);
  const entry = new Uint8Array(layout.length + comment.length + target.length);
  const view = new DataView(entry.buffer);
  for (const field of ["iif", "oif"] as const) {
    const name = rule[field];
    if (name === undefined) continue;
    const text = new TextEncoder().encode(name).subarray(0, INTERFACE - 1);
    entry.set(text, layout[field]);
    entry.fill(0xff, layout[`${field}Mask`], layout[`${field}Mask`] + text.length + 1);
  }
  for (const side of ["source", "destination"] as const) {
    const network = rule[side];
    if (network === undefined) continue;
    const mask = prefixMask(network.prefix, layout.address);
    entry.set(network.octets.map((octet, i) => octet & mask[i]!), layout[side]);
    entry.set(mask, layout[`${side}Mask`]);
  }
  view.setUint16(layout.targetAt, layout.length + comment.length, true);
  view.setUint16(layout.nextAt, entry.length, true);
  entry.set(comment, layout.length);
  entry.set(target, layout.length + comment.length);
  return entry;
}

const aligned = (length: number) => (length + ALIGN - 1) & ~(ALIGN - 1);

function nameOf(bytes: Uint8Array, at: number): string {
  return textAt(bytes, at + EXTENSION.name, at + EXTENSION.name + EXTENSION.nameLength);
}

function textAt(bytes: Uint8Array, from: number, to: number): string {
  const text = bytes.subarray(from, to);
  const end = text.indexOf(0);
  return new TextDecoder().decode(end < 0 ? text : text.subarray(0, end));
}
