/** Questions to nf_tables and what it answers. */
import { AttributeReader, NLM_F, splitMessages } from "../netlink/netlink.ts";
import { NetlinkWriter } from "../netlink/netlink_writer.ts";
import { compareOctets, type Hook, neighbour, type RuleVerdict, type TableFamily } from "./model.ts";
import {
  CHAIN,
  DATA,
  ELEMENT,
  ELEMENTS,
  FAMILIES,
  familyOf,
  GEN_HEADER,
  HOOK,
  HOOK_NUMBERS,
  LIST_ELEMENT,
  MSG,
  RULE,
  SUBSYSTEM,
} from "./nft_numbers.ts";
import {
  type FindSet,
  type PlacedRule,
  readRule,
  readVerdict,
  type SetElement,
  setsOfRule,
  valueIn,
} from "./nft_rule.ts";

/** A chain without its rules. */
export interface ChainHead {
  readonly family: TableFamily;
  readonly table: string;
  readonly name: string;
  readonly hook: Hook | undefined;
  readonly policy: "accept" | "drop";
}

/** Where rules or elements are asked for. */
export interface NftPlace {
  readonly family: TableFamily;
  readonly table: string;
  readonly name: string;
}

function question(message: number, family: number): NetlinkWriter {
  return new NetlinkWriter(96).begin(SUBSYSTEM | message, NLM_F.request | NLM_F.dump).u8(family).u8(0).u16(0);
}

/** Asks for all chains. */
export function dumpChains(): Uint8Array<ArrayBuffer> {
  return question(MSG.getChain, 0).end().finish();
}

/** Asks for the rules of a chain. */
export function dumpRules({ family, name, table }: NftPlace): Uint8Array<ArrayBuffer> {
  return question(MSG.getRule, FAMILIES[family]).attrText(RULE.table, table).attrText(RULE.chain, name).end()
    .finish();
}

/** Asks for what is in a set. */
export function dumpElements({ family, name, table }: NftPlace): Uint8Array<ArrayBuffer> {
  return question(MSG.getElements, FAMILIES[family]).attrText(ELEMENTS.table, table)
    .attrText(ELEMENTS.set, name).end().finish();
}

/** The chains of the answer to dumpChains(); what cannot be read is left out. */
export function readChains(replies: readonly Uint8Array[]): readonly ChainHead[] {
  const chains: ChainHead[] = [];
  for (const { body, family } of messagesOf(replies, MSG.newChain)) {
    let [table, name, number, policy] = ["", "", -1, 1];
    const reader = new AttributeReader(body, GEN_HEADER);
    while (reader.next()) {
      if (reader.type === CHAIN.table) table = reader.text();
      else if (reader.type === CHAIN.name) name = reader.text();
      else if (reader.type === CHAIN.policy) policy = reader.be32();
      else if (reader.type === CHAIN.hook) {
        const inner = reader.nested();
        while (inner.next()) if (inner.type === HOOK.number) number = inner.be32();
      }
    }
    if (reader.failure !== undefined) continue;
    const hook = (["input", "forward", "output"] as const).find((known) => HOOK_NUMBERS[known] === number);
    chains.push({ family, table, name, hook, policy: policy === 0 ? "drop" : "accept" });
  }
  return chains;
}

/** Asks for the rules of all chains. */
export function dumpAllRules(): Uint8Array<ArrayBuffer> {
  return question(MSG.getRule, 0).end().finish();
}

/** The rules of the answer to dumpRules(). */
export function readRules(
  replies: readonly Uint8Array[],
  findSet: FindSet,
): readonly (PlacedRule & { readonly family: TableFamily })[] {
  return messagesOf(replies, MSG.newRule).flatMap(({ body, family }) => {
    const placed = readRule(body, GEN_HEADER, findSet);
    return placed === undefined ? [] : [{ ...placed, family }];
  });
}

/** The names of the sets in which these rules look things up. */
export function setsOfRules(replies: readonly Uint8Array[]): readonly string[] {
  return [...new Set(messagesOf(replies, MSG.newRule).flatMap(({ body }) => setsOfRule(body, GEN_HEADER)))];
}

interface RawElement {
  key: Uint8Array;
  end: Uint8Array | undefined;
  isEnd: boolean;
  verdict: RuleVerdict | undefined;
}

/** What is in a set, of the answer to dumpElements(). In sets of intervals, the element behind an interval ends it. */
export function readElements(replies: readonly Uint8Array[]): readonly SetElement[] {
  const raw = messagesOf(replies, MSG.newElements).flatMap(({ body }) => {
    const found: RawElement[] = [];
    const reader = new AttributeReader(body, GEN_HEADER);
    while (reader.next()) {
      if (reader.type !== ELEMENTS.list) continue;
      const list = reader.nested();
      while (list.next()) if (list.type === LIST_ELEMENT) found.push(readElement(list.nested()));
    }
    return found;
  }).sort((a, b) => compareOctets(a.key, b.key) || Number(b.isEnd) - Number(a.isEnd));
  const intervals = raw.some(({ isEnd }) => isEnd);
  return raw.flatMap(({ end, isEnd, key, verdict }, i) => {
    if (isEnd) return [];
    const behind = intervals ? raw[i + 1]?.key : undefined;
    const last = behind === undefined ? new Uint8Array(key.length).fill(0xff) : neighbour(behind, -1) ?? key;
    const high = end ?? (intervals ? last : key);
    return [{ span: { low: key, high }, ...verdict === undefined ? {} : { verdict } }];
  });
}

function readElement(reader: AttributeReader): RawElement {
  const element: RawElement = { key: new Uint8Array(0), end: undefined, isEnd: false, verdict: undefined };
  while (reader.next()) {
    if (reader.type === ELEMENT.key) element.key = valueIn(reader.nested());
    else if (reader.type === ELEMENT.keyEnd) element.end = valueIn(reader.nested());
    else if (reader.type === ELEMENT.flags) element.isEnd = (reader.be32() & 1) !== 0;
    else if (reader.type === ELEMENT.data) {
      const data = reader.nested();
      while (data.next()) if (data.type === DATA.verdict) element.verdict = readVerdict(data.nested());
    }
  }
  return element;
}

/** Whether a notice tells of chains or rules of packets of IP: what is in sets changes too often to matter. */
export function concernsRules(notice: Uint8Array): boolean {
  const split = splitMessages(notice);
  if (!split.ok) return true;
  return split.value.some(({ body, type }) =>
    (type & 0xff00) === SUBSYSTEM && (type & 0xff) <= MSG.deleteRule && familyOf(body[0]) !== undefined
  );
}

function messagesOf(
  replies: readonly Uint8Array[],
  message: number,
): readonly { readonly family: TableFamily; readonly body: Uint8Array }[] {
  return replies.flatMap((reply) => {
    const split = splitMessages(reply);
    return (split.ok ? split.value : []).flatMap(({ type, body }) => {
      const family = familyOf(body[0]);
      const fits = type === (SUBSYSTEM | message) && body.length >= GEN_HEADER && family !== undefined;
      return fits ? [{ family, body }] : [];
    });
  });
}
