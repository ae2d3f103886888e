/** Reads gob streams of other peers (source: spec mesh.md, sections 3.1 to 3.3). */
import { bad, type Decoded, good } from "../../core/brand.ts";
import { ByteReader } from "../../core/bytes.ts";
import { ByteQueue } from "./byte_queue.ts";
import { BUILT_IN, type Definition, definitionOf, type StructDefinition } from "./gob_definition.ts";
import {
  FIRST_USER_ID,
  type GobStruct,
  type GobType,
  type GobValue,
  MAX_DEFINITIONS,
  MAX_GOB_DEPTH,
  MAX_GOB_MESSAGE,
  MAX_GOB_VALUES,
  readCount,
  readInt,
  readUint,
  type ValueOf,
  WIRE_IDS,
  zeroValue,
} from "./gob_types.ts";

const NESTED_TOO_DEEP = `values are nested more than ${MAX_GOB_DEPTH} deep`;
const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

/** Reads values of one type. `quick` may decline with undefined; where it does not, it gives what `slow` gives. */
export interface QuickReader<T extends GobType, R> {
  /** What the values are. */
  readonly type: T;
  /** Reads a value that is all of a message from `at` on, or declines what is not plain. */
  quick(message: Uint8Array, at: number): R | undefined;
  /** Makes of a value what it stands for. */
  slow(value: ValueOf<T>): Decoded<R>;
}

/**
 * Decodes the values of one stream by the definitions that its sender put into it.
 *
 * With a type, values must be of it: struct fields are matched by name, unknown ones skipped, missing ones zero.
 * Without one, whatever the sender wrote is returned, and fields that were not sent are absent.
 * Byte strings are views into the input. After a refusal the stream is dead: every later call gives the same reason.
 */
export class GobDecoder {
  readonly #queue = new ByteQueue();
  readonly #definitions = new Map<number, Definition>();
  readonly #plans = new Map<StructDefinition, Map<GobStruct, Plan>>();
  readonly #exact = new Map<GobType, Map<number, boolean>>();
  #failure: string | undefined;
  /** Values that may still be read of the message in hand. */
  #valuesLeft = 0;
  /** Longest message accepted; may be changed at any time. */
  maxMessage: number = MAX_GOB_MESSAGE;

  /** Starts with the first bytes of a stream, or with all of it. */
  constructor(bytes: Uint8Array = new Uint8Array(0)) {
    this.#queue.push(bytes);
  }

  /** Appends bytes of the stream, which the decoder keeps: the caller must not change them afterwards. */
  feed(bytes: Uint8Array): void {
    this.#queue.push(bytes);
  }

  /** Octets of memory kept for bytes that no value has used yet. */
  get held(): number {
    return this.#queue.held;
  }

  /** Whether all bytes are used up, which is where a finite stream may end. */
  atEnd(): boolean {
    return this.#queue.length === 0 && this.#failure === undefined;
  }

  /** The next value. It is a failure if the bytes end first. */
  next<T extends GobType = GobType>(type?: T): Decoded<ValueOf<T>> {
    return this.#whole(this.poll(type));
  }

  /** The next value by a reader of one type; `quick` is asked only if the sender defined the type exactly so. */
  nextBy<T extends GobType, R extends object>(reader: QuickReader<T, R>): Decoded<R> {
    let quick: R | undefined;
    const next = this.#whole(this.#poll((message, id) => {
      if (this.#isExactly(id, reader.type)) {
        const start = message.at + (this.#lookup(id)?.kind === "struct" ? 0 : 1);
        if (start === message.at || message.bytes[message.at] === 0) {
          quick = reader.quick(message.bytes, start);
        }
      }
      if (quick === undefined) return this.#topLevel(message, id, reader.type);
      message.rest();
      return true;
    }));
    if (!next.ok) return next;
    return quick === undefined ? reader.slow(next.value as ValueOf<T>) : good(quick);
  }

  /** Passes over the next value, of which it reads no more than what kind it is. */
  skip(kind?: Definition["kind"]): Decoded<undefined> {
    const skipped = this.#whole(this.#poll((message, id) => {
      const definition = this.#lookup(id);
      if (definition === undefined) return failed(message, `type ${id} is not defined`);
      if (kind !== undefined && kind !== definition.kind) return failed(message, mismatch(definition, kind));
      message.rest();
      return true;
    }));
    return skipped.ok ? good(undefined) : skipped;
  }

  /** The next value, or undefined until enough bytes were fed. */
  poll<T extends GobType = GobType>(type?: T): Decoded<ValueOf<T> | undefined> {
    return this.#poll((message, id) => this.#topLevel(message, id, type)) as Decoded<ValueOf<T> | undefined>;
  }

  #poll(take: (message: ByteReader, id: number) => GobValue): Decoded<GobValue | undefined> {
    while (this.#failure === undefined) {
      const body = this.#message();
      if (body === undefined) break;
      const reader = new ByteReader(body);
      this.#valuesLeft = MAX_GOB_VALUES;
      const id = Number(readInt(reader));
      let value: GobValue | undefined;
      if (id < 0) this.#define(reader, -id);
      else value = take(reader, id);
      if (reader.left > 0) reader.fail(`message has ${reader.left} bytes too many`);
      this.#failure = reader.failure;
      if (value !== undefined && this.#failure === undefined) return good(value);
    }
    return this.#failure === undefined ? good(undefined) : bad(this.#failure);
  }

  #whole<V>(polled: Decoded<V | undefined>): Decoded<V> {
    if (!polled.ok || polled.value !== undefined) return polled as Decoded<V>;
    return this.#fail(`stream ends inside a message, ${this.#queue.length} bytes into it`);
  }

  /** Takes the bytes that no message has used yet out of the decoder. */
  takeRest(): Uint8Array {
    return this.#queue.take(this.#queue.length);
  }

  #fail(reason: string): { readonly ok: false; readonly reason: string } {
    return bad(this.#failure ??= reason);
  }

  /** Takes the next message's body off the queue once it is complete. */
  #message(): Uint8Array | undefined {
    const head = new ByteReader(this.#queue.view());
    const first = head.left > 0 ? head.bytes[0]! : 0;
    if (head.left < (first < 0x80 ? 1 : first < 0xf8 ? 0 : 257 - first)) return undefined;
    const length = readUint(head);
    if (length > this.maxMessage) {
      head.fail(`message has ${length} bytes, at most ${this.maxMessage} are allowed`);
    }
    if (head.failure !== undefined) return void this.#fail(head.failure);
    if (BigInt(head.left) < length) return void this.#queue.expect(head.at + Number(length));
    this.#queue.take(head.at);
    return this.#queue.take(Number(length));
  }

  #define(reader: ByteReader, id: number): void {
    if (id < FIRST_USER_ID) return reader.fail(`type ${id} is built in and cannot be defined`);
    if (this.#definitions.has(id)) return reader.fail(`type ${id} is defined twice`);
    const { count, bytes } = MAX_DEFINITIONS;
    if (this.#definitions.size >= count) return reader.fail(`more than ${count} types are defined`);
    if (reader.left > bytes) {
      return reader.fail(`definition of type ${id} has ${reader.left} bytes, at most ${bytes} are allowed`);
    }
    const wire = this.#value(reader, WIRE_IDS.wire, undefined, 0);
    if (reader.failure !== undefined) return;
    const definition = definitionOf(wire);
    if (typeof definition === "string") return reader.fail(`type ${id}: ${definition}`);
    this.#definitions.set(id, definition);
  }

  #lookup(id: number): Definition | undefined {
    return (id < FIRST_USER_ID ? BUILT_IN : this.#definitions).get(id);
  }

  /** Whether the sender defined a type just as `type`: the same fields in the same order, all the way down. */
  #isExactly(id: number, type: GobType): boolean {
    const answers = this.#exact.get(type) ?? new Map<number, boolean>();
    const answer = answers.get(id) ?? this.#compare(id, type);
    this.#exact.set(type, answers.set(id, answer));
    return answer;
  }

  #compare(id: number, type: GobType): boolean {
    const definition = this.#lookup(id);
    if (typeof type === "string") return definition?.kind === type;
    switch (definition?.kind) {
      case "slice":
        return type.kind === "slice" && this.#isExactly(definition.elem, type.elem);
      case "struct":
        return type.kind === "struct" && type.fields.length === definition.fields.length &&
          definition.fields.every(({ name, id }, i) => {
            const [ours, field] = type.fields[i]!;
            return name === ours && this.#isExactly(id, field);
          });
      default: // a type that is not defined yet, or one for which nobody has a quick reader
        return false;
    }
  }

  #topLevel(reader: ByteReader, id: number, type: GobType | undefined): GobValue {
    const isStruct = this.#lookup(id)?.kind === "struct";
    if (!isStruct && reader.u8("marker") !== 0) reader.fail("value of a simple type lacks its zero marker");
    return this.#value(reader, id, type, 0);
  }

  // After a failure this returns some value, which nobody uses.
  #value(reader: ByteReader, id: number, type: GobType | undefined, depth: number): GobValue {
    const definition = this.#lookup(id);
    if (definition === undefined) return failed(reader, `type ${id} is not defined`);
    const kind = typeof type === "object" ? type.kind : type;
    if (kind !== undefined && kind !== definition.kind) {
      return failed(reader, mismatch(definition, kind));
    }
    if (depth > MAX_GOB_DEPTH) return failed(reader, NESTED_TOO_DEEP);
    if (--this.#valuesLeft < 0) return failed(reader, `message has more than ${MAX_GOB_VALUES} values`);
    switch (definition.kind) {
      case "bool":
        return readUint(reader) !== 0n;
      case "int":
        return readInt(reader);
      case "uint":
        return readUint(reader);
      case "float":
        return floatOf(readUint(reader));
      case "bytes":
        return reader.take(readCount(reader, "length of bytes"));
      case "string":
        return utf8.decode(reader.take(readCount(reader, "length of string")));
      case "slice":
      case "array": {
        const elem = type === undefined ? undefined : (type as { elem: GobType }).elem;
        const count = readCount(reader, "number of elements");
        const wanted = definition.kind === "array" ? definition.len : count;
        const fixed = type !== undefined && definition.kind === "array"
          ? (type as { len: number }).len
          : wanted;
        if (count !== wanted || count !== fixed) {
          return failed(reader, `array has ${count} elements, not ${fixed}`);
        }
        const elems: GobValue[] = [];
        for (let i = 0; i < count && reader.failure === undefined; i++) {
          elems.push(this.#value(reader, definition.elem, elem, depth + 1));
        }
        return elems;
      }
      case "map": {
        const { key, elem } = (type ?? {}) as { key?: GobType; elem?: GobType };
        const entries = new Map<GobValue, GobValue>();
        const count = readCount(reader, "number of entries");
        for (let i = 0; i < count && reader.failure === undefined; i++) {
          const k = this.#value(reader, definition.key, key, depth + 1);
          entries.set(k, this.#value(reader, definition.elem, elem, depth + 1));
        }
        return entries;
      }
      case "struct":
        return this.#struct(reader, definition, type as GobStruct | undefined, depth);
    }
  }

  #struct(reader: ByteReader, from: StructDefinition, type: GobStruct | undefined, depth: number): GobValue {
    const plan = type === undefined ? undefined : this.#planOf(from, type);
    if (plan !== undefined && !plan.matches) return failed(reader, "no field of the struct is known");
    const fields: Record<string, GobValue> = { ...plan?.zero };
    for (let index = -1;;) {
      const delta = readUint(reader);
      if (delta === 0n || reader.failure !== undefined) return fields;
      if (delta >= BigInt(from.fields.length - index)) return failed(reader, "struct has too many fields");
      index += Number(delta);
      const { name, id } = from.fields[index]!;
      const target = plan?.targets[index];
      const value = this.#value(reader, id, target, depth + 1);
      if (plan === undefined || target !== undefined) fields[name] = value;
    }
  }

  #planOf(from: StructDefinition, type: GobStruct): Plan {
    const plans = this.#plans.get(from) ?? new Map<GobStruct, Plan>();
    const plan = plans.get(type) ?? planOf(from, type);
    this.#plans.set(from, plans.set(type, plan));
    return plan;
  }
}

/** How to read one sender's struct as one of ours. */
interface Plan {
  /** For each field of the sender, our type for it; undefined: skip it. */
  readonly targets: readonly (GobType | undefined)[];
  readonly zero: Readonly<Record<string, GobValue>>;
  readonly matches: boolean;
}

function planOf(from: StructDefinition, type: GobStruct): Plan {
  const ours = new Map(type.fields);
  const targets = from.fields.map(({ name }) => ours.get(name));
  const matches = ours.size === 0 || targets.length === 0 || targets.some((target) => target !== undefined);
  return { targets, matches, zero: zeroValue(type) as Record<string, GobValue> };
}

function mismatch(definition: Definition, kind: string): string {
  return `value is a ${definition.kind}, expected a ${kind}`;
}

function failed(reader: ByteReader, reason: string): GobValue {
  reader.fail(reason);
  return false;
}

function floatOf(bits: bigint): number {
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, bits, false);
  return view.getFloat64(0, true);
}
