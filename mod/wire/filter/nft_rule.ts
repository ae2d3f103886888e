/** Reads rules of nf_tables: small programs on registers, each step of which loads, compares or decides. */
import { AttributeReader } from "../netlink/netlink.ts";
import {
  compareOctets,
  type Field,
  neighbour,
  type OctetSpan,
  type Rule,
  single,
  type Test,
} from "./model.ts";
import type { RuleVerdict } from "./model.ts";
import {
  ATTRIBUTES,
  CMP,
  CODE,
  COMMENT,
  DATA,
  EXPRESSION,
  FIB,
  LIST_ELEMENT,
  META,
  PAYLOAD,
  RULE,
  VERDICT,
} from "./nft_numbers.ts";
import { commentOfMatch, testsOfMatch, UNKNOWN_TEST, verdictOfTarget } from "./xt_match.ts";

/** What a set holds; `verdict` is there in verdict maps. */
export interface SetElement {
  readonly span: OctetSpan;
  readonly verdict?: RuleVerdict;
}
/** Finds the elements of a set of the rule's table; undefined: they are not known. */
export type FindSet = (name: string) => readonly SetElement[] | undefined;

/** What a register holds. */
interface Loaded {
  readonly field: Field;
  readonly length: number;
  readonly mask?: Uint8Array;
  /** Octets before it of which nothing is known: programs load neighbours together. */
  readonly skipped?: number;
}
const NOTHING: Loaded = { field: "other", length: 0 };
const META_FIELDS: Readonly<Record<number, readonly [Field, number]>> = {
  [META.ethertype]: ["ethertype", 2],
  [META.iifIndex]: ["iif-index", 4],
  [META.oifIndex]: ["oif-index", 4],
  [META.iif]: ["iif", 16],
  [META.oif]: ["oif", 16],
  [META.family]: ["family", 1],
  [META.protocol]: ["protocol", 1],
};
const CT_FIELDS: Readonly<Record<number, Field>> = { 0: "ct-state", 2: "ct-status" };
const IPV4_PROTOCOL_AT = 9;
const IPV6_PROTOCOL_AT = 6;
const DPORT_AT = 2;
/** Steps after which a rule goes on as if they were not there. */
const HARMLESS: ReadonlySet<string> = new Set([
  "counter",
  "log",
  "notrack",
  "objref",
  "last",
  "dup",
  "tproxy",
]);

/** Where a rule is, and what it does. */
export interface PlacedRule {
  readonly table: string;
  readonly chain: string;
  readonly rule: Rule;
}

/** Reads the attributes of a rule; undefined when they make no sense. `family`: that of the table. */
export function readRule(body: Uint8Array, from: number, findSet: FindSet): PlacedRule | undefined {
  const reader = new AttributeReader(body, from);
  const program = new Program(findSet);
  let [table, chain, handle] = ["", "", 0];
  let comment: string | undefined;
  while (reader.next()) {
    if (reader.type === RULE.table) table = reader.text();
    else if (reader.type === RULE.chain) chain = reader.text();
    else if (reader.type === RULE.handle) handle = be64(reader);
    else if (reader.type === RULE.userData) comment = commentOf(reader.value());
    else if (reader.type === RULE.expressions) program.run(reader.nested());
  }
  if (reader.failure !== undefined) return undefined;
  const { tests, verdict } = program;
  comment ??= program.comment;
  return { table, chain, rule: { handle, tests, verdict, ...comment === undefined ? {} : { comment } } };
}

/** The names of the sets that a rule looks things up in. */
export function setsOfRule(body: Uint8Array, from: number): readonly string[] {
  const names: string[] = [];
  readRule(body, from, (name) => void names.push(name));
  return names;
}

/** Reads a verdict's attributes. */
export function readVerdict(reader: AttributeReader): RuleVerdict {
  let code = 0;
  let chain = "";
  while (reader.next()) {
    if (reader.type === VERDICT.code) code = reader.be32() | 0;
    else if (reader.type === VERDICT.chain) chain = reader.text();
  }
  switch (code) {
    case CODE.accept:
      return { kind: "accept" };
    case CODE.drop:
      return { kind: "drop" };
    case CODE.return:
      return { kind: "return" };
    case CODE.jump:
      return { kind: "jump", chain };
    case CODE.goto:
      return { kind: "goto", chain };
    case CODE.continue:
    case CODE.break:
      return { kind: "continue" };
    default:
      return { kind: "unknown" }; // a queue of user space, say
  }
}

class Program {
  readonly tests: Test[] = [];
  verdict: RuleVerdict = { kind: "continue" };
  comment: string | undefined;
  readonly #registers = new Map<number, Loaded>();

  constructor(readonly findSet: FindSet) {}

  run(list: AttributeReader): void {
    while (list.next()) {
      if (list.type !== LIST_ELEMENT) continue;
      const element = list.nested();
      let name = "";
      let data: AttributeReader | undefined;
      while (element.next()) {
        if (element.type === EXPRESSION.name) name = element.text();
        else if (element.type === EXPRESSION.data) data = element.nested();
      }
      this.#step(name, data ?? new AttributeReader(new Uint8Array(0)));
    }
  }

  #step(name: string, data: AttributeReader): void {
    switch (name) {
      case "meta":
      case "payload":
      case "ct":
      case "fib":
        return this.#load(name, numbersOf(data));
      case "bitwise":
        return this.#mask(data);
      case "cmp":
      case "range":
        return this.#compare(name, data);
      case "lookup":
        return this.#lookUp(data);
      case "immediate":
        return this.#decide(data);
      case "match":
      case "target":
        return this.#xt(name, data);
      case "reject":
        return void (this.verdict = { kind: "drop" });
      case "queue":
      case "synproxy":
        return void (this.verdict = { kind: "unknown" });
      default:
        if (!HARMLESS.has(name)) this.tests.push(UNKNOWN_TEST);
    }
  }

  #load(name: LoadingStep, numbers: ReadonlyMap<number, number>): void {
    const attributes = ATTRIBUTES[name];
    const register = numbers.get(attributes.register);
    if (register === undefined) return; // sets something instead
    this.#registers.set(register, loadedBy(name, numbers));
  }

  #from(reader: AttributeReader): Loaded {
    return this.#registers.get(reader.be32()) ?? NOTHING;
  }

  #mask(data: AttributeReader): void {
    const at = ATTRIBUTES.bitwise;
    let loaded = NOTHING;
    let register = -1;
    let mask: Uint8Array | undefined;
    let plain = true;
    while (data.next()) {
      if (data.type === at.source) loaded = this.#from(data);
      else if (data.type === at.register) register = data.be32();
      else if (data.type === at.mask) mask = valueIn(data.nested());
      else if (data.type === at.xor) plain &&= valueIn(data.nested()).every((octet) => octet === 0);
      else if (data.type === at.operation) plain &&= data.be32() === 0;
    }
    const fits = plain && mask !== undefined && loaded.mask === undefined;
    this.#registers.set(register, fits ? { ...loaded, mask: mask! } : NOTHING);
  }

  #compare(name: "cmp" | "range", data: AttributeReader): void {
    let loaded = NOTHING;
    let operation = -1;
    const values: Uint8Array[] = [];
    while (data.next()) {
      if (data.type === 1) loaded = this.#from(data);
      else if (data.type === 2) operation = data.be32();
      else values.push(valueIn(data.nested()));
    }
    const spans = name === "cmp" ? spansOf(operation, values[0]) : spanOf(values);
    this.#ask(loaded, spans, operation === CMP.neq);
  }

  #ask(loaded: Loaded, spans: readonly OctetSpan[] | undefined, negated: boolean): void {
    if (loaded.field === "other" || spans === undefined) return void this.tests.push(UNKNOWN_TEST);
    const { field, mask, skipped } = loaded;
    if (skipped === undefined) {
      return void this.tests.push({ field, spans, negated, ...mask === undefined ? {} : { mask } });
    }
    this.tests.push(UNKNOWN_TEST);
    const [span] = spans;
    const alone = spans.length === 1 && !negated && mask === undefined &&
      compareOctets(span!.low, span!.high) === 0;
    if (alone) this.tests.push({ field, spans: [single(span!.low.subarray(skipped))], negated });
  }

  #lookUp(data: AttributeReader): void {
    const at = ATTRIBUTES.lookup;
    let loaded = NOTHING;
    let name = "";
    let [negated, maps] = [false, false];
    while (data.next()) {
      if (data.type === at.source) loaded = this.#from(data);
      else if (data.type === at.set) name = data.text();
      else if (data.type === at.flags) negated = (data.be32() & 1) !== 0;
      else if (data.type === at.register) maps = true;
    }
    const elements = loaded.field === "other" ? undefined : this.findSet(name);
    // A concatenation of fields has longer keys than the first of them.
    const known = elements?.every(({ span }) => span.low.length === loaded.length) === true;
    if (!maps) return this.#ask(loaded, known ? elements!.map(({ span }) => span) : undefined, negated);
    if (!known || loaded.skipped !== undefined) return void (this.verdict = { kind: "unknown" });
    const { field, mask } = loaded;
    const entries = elements!.map(({ span, verdict }) => ({
      span,
      verdict: verdict ?? { kind: "unknown" as const },
    }));
    this.verdict = { kind: "map", field, entries, ...mask === undefined ? {} : { mask } };
  }

  #decide(data: AttributeReader): void {
    let register = -1;
    while (data.next()) {
      if (data.type === ATTRIBUTES.immediate.register) register = data.be32();
      else if (data.type === ATTRIBUTES.immediate.data && register === 0) {
        const inner = data.nested();
        while (inner.next()) if (inner.type === DATA.verdict) this.verdict = readVerdict(inner.nested());
      }
    }
  }

  #xt(kind: "match" | "target", data: AttributeReader): void {
    const at = ATTRIBUTES.xt;
    let [name, revision] = ["", 0];
    let info: Uint8Array = new Uint8Array(0);
    while (data.next()) {
      if (data.type === at.name) name = data.text();
      else if (data.type === at.revision) revision = data.be32();
      else if (data.type === at.info) info = data.value();
    }
    if (kind === "target") return void (this.verdict = verdictOfTarget(name));
    this.comment ??= commentOfMatch(name, info);
    this.tests.push(...testsOfMatch(name, revision, info));
  }
}

type LoadingStep = "meta" | "payload" | "ct" | "fib";

function loadedBy(name: LoadingStep, numbers: ReadonlyMap<number, number>): Loaded {
  if (name === "fib") {
    const { flags, result } = ATTRIBUTES.fib;
    const fits = numbers.get(result) === FIB.kind && numbers.get(flags) === FIB.destination;
    return { field: fits ? "destination-kind" : "other", length: 4 };
  }
  if (name === "payload") {
    const at = ATTRIBUTES.payload;
    const [base, offset, length] = [
      numbers.get(at.base),
      numbers.get(at.offset),
      numbers.get(at.length) ?? 0,
    ];
    if (base === PAYLOAD.transport && offset === DPORT_AT && length === 2) return { field: "dport", length };
    if (base === PAYLOAD.transport && offset === 0 && length === 4) {
      return { field: "dport", length, skipped: DPORT_AT };
    }
    const isProtocol = offset === IPV4_PROTOCOL_AT || offset === IPV6_PROTOCOL_AT;
    if (base === PAYLOAD.network && isProtocol && length === 1) return { field: "protocol", length };
    return { field: "other", length };
  }
  const key = numbers.get(ATTRIBUTES[name].key) ?? -1;
  if (name === "ct") return { field: CT_FIELDS[key] ?? "other", length: 4 };
  const [field, length] = META_FIELDS[key] ?? ["other", 0];
  return { field, length };
}

function spansOf(operation: number, value: Uint8Array | undefined): readonly OctetSpan[] | undefined {
  if (value === undefined) return undefined;
  const least = new Uint8Array(value.length);
  const most = new Uint8Array(value.length).fill(0xff);
  const span = (low: Uint8Array | undefined, high: Uint8Array | undefined) =>
    low === undefined || high === undefined ? [] : [{ low, high }];
  switch (operation) {
    case CMP.eq:
    case CMP.neq:
      return [single(value)];
    case CMP.lt:
      return span(least, neighbour(value, -1));
    case CMP.lte:
      return span(least, value);
    case CMP.gt:
      return span(neighbour(value, 1), most);
    case CMP.gte:
      return span(value, most);
    default:
      return undefined;
  }
}

function spanOf([low, high]: readonly Uint8Array[]): readonly OctetSpan[] | undefined {
  return low === undefined || high === undefined || compareOctets(low, high) > 0
    ? undefined
    : [{ low, high }];
}

/** Attributes of four octets, by type. */
function numbersOf(data: AttributeReader): ReadonlyMap<number, number> {
  const numbers = new Map<number, number>();
  while (data.next()) if (data.length === 4) numbers.set(data.type, data.be32());
  return numbers;
}

/** A value nested as data; empty when there is none. */
export function valueIn(data: AttributeReader): Uint8Array {
  while (data.next()) if (data.type === DATA.value) return data.value();
  return new Uint8Array(0);
}

function be64(reader: AttributeReader): number {
  const value = reader.value();
  if (value.length !== 8) return 0;
  const view = new DataView(value.buffer, value.byteOffset, 8);
  return view.getUint32(0) * 0x1_0000_0000 + view.getUint32(4);
}

/** The comment in user data: octets of type and length, then that many. */
function commentOf(data: Uint8Array): string | undefined {
  for (let at = 0; at + 2 <= data.length; at += 2 + data[at + 1]!) {
    const text = data.subarray(at + 2, at + 2 + data[at + 1]!);
    if (data[at] !== COMMENT) continue;
    const end = text.indexOf(0);
    return new TextDecoder().decode(end < 0 ? text : text.subarray(0, end));
  }
  return undefined;
}
