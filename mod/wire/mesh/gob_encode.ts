/** Writes gob streams (source: spec mesh.md, sections 3.1 to 3.3). */
import { ByteWriter } from "../../core/bytes.ts";
import {
  BASIC_IDS,
  FIRST_USER_ID,
  type GobStruct,
  type GobType,
  type GobValue,
  type ValueOf,
  WIRE_TYPE,
  writeInt,
  writeUint,
} from "./gob_types.ts";

type Fields = { readonly [field: string]: GobValue | undefined };

/** Encodes the values of one stream: each type is defined before the first value that needs it, once. */
export class GobEncoder {
  readonly #ids = new Map<GobType, number>();
  readonly #defined = new Set<GobType>();
  #nextId: number;

  /** `firstId` is the id of the first type defined here; ids are the sender's choice. */
  constructor(firstId: number = FIRST_USER_ID) {
    this.#nextId = firstId;
  }

  /** The definitions that values of a type need and that this stream does not have yet; they precede those values. */
  define(type: GobType): Uint8Array<ArrayBuffer> {
    const out = new ByteWriter();
    this.#define(type, out);
    return out.finish();
  }

  /**
   * The messages of one value: the definitions it is the first to need, then the value.
   * A struct field that is undefined or absent is left out, which means zero (or a nil pointer or map).
   * Throws a TypeError for a value that is not of the type.
   */
  encode<T extends GobType>(value: ValueOf<T>, type: T): Uint8Array<ArrayBuffer> {
    const out = new ByteWriter();
    this.#define(type, out);
    const body = new ByteWriter();
    writeInt(body, BigInt(this.#idOf(type)));
    if (typeof type === "string" || type.kind !== "struct") body.u8(0);
    writeValue(body, value as GobValue, type);
    writeMessage(out, body);
    return out.finish();
  }

  // As Go numbers them: a struct before its fields, anything else after what it is made of.
  #idOf(type: GobType): number {
    if (typeof type === "string") return BASIC_IDS[type];
    const known = this.#ids.get(type);
    if (known !== undefined) return known;
    if (type.kind !== "struct") { for (const part of partsOf(type)) this.#idOf(part); }
    const id = this.#nextId++;
    this.#ids.set(type, id);
    for (const part of partsOf(type)) this.#idOf(part);
    return id;
  }

  #define(type: GobType, out: ByteWriter): void {
    if (typeof type === "string" || this.#defined.has(type)) return;
    this.#defined.add(type);
    const id = this.#idOf(type);
    const body = new ByteWriter();
    writeInt(body, BigInt(-id));
    writeStruct(body, this.#definition(type, id), WIRE_TYPE);
    writeMessage(out, body);
    for (const part of partsOf(type)) this.#define(part, out);
  }

  #definition(type: Exclude<GobType, string>, id: number): Fields {
    const Common = { Name: type.name ?? "", Id: BigInt(id) };
    const idOf = (part: GobType) => BigInt(this.#idOf(part));
    switch (type.kind) {
      case "array":
        return { ArrayT: { Common, Elem: idOf(type.elem), Len: BigInt(type.len) } };
      case "slice":
        return { SliceT: { Common, Elem: idOf(type.elem) } };
      case "map":
        return { MapT: { Common, Key: idOf(type.key), Elem: idOf(type.elem) } };
      case "struct":
        return {
          StructT: { Common, Field: type.fields.map(([Name, field]) => ({ Name, Id: idOf(field) })) },
        };
    }
  }
}

function partsOf(type: Exclude<GobType, string>): readonly GobType[] {
  if (type.kind === "struct") return type.fields.map(([, field]) => field);
  return type.kind === "map" ? [type.key, type.elem] : [type.elem];
}

function writeMessage(out: ByteWriter, body: ByteWriter): void {
  writeUint(out, body.length);
  out.bytes(body.view());
}

function misfit(value: unknown, type: GobType): TypeError {
  return new TypeError(`Cannot encode ${typeof value} as gob ${typeof type === "string" ? type : type.kind}`);
}

function writeValue(out: ByteWriter, value: GobValue, type: GobType): void {
  switch (type) {
    case "bool":
      if (typeof value !== "boolean") throw misfit(value, type);
      return void out.u8(value ? 1 : 0);
    case "int":
      if (typeof value !== "bigint" || BigInt.asIntN(64, value) !== value) throw misfit(value, type);
      return writeInt(out, value);
    case "uint":
      if (typeof value !== "bigint" || BigInt.asUintN(64, value) !== value) throw misfit(value, type);
      return writeUint(out, value);
    case "float":
      if (typeof value !== "number") throw misfit(value, type);
      return writeUint(out, floatBits(value));
    case "bytes":
      if (!(value instanceof Uint8Array)) throw misfit(value, type);
      writeUint(out, value.length);
      return void out.bytes(value);
    case "string": {
      if (typeof value !== "string") throw misfit(value, type);
      const text = new TextEncoder().encode(value);
      writeUint(out, text.length);
      return void out.bytes(text);
    }
  }
  switch (type.kind) {
    case "slice":
    case "array":
      if (!Array.isArray(value) || (type.kind === "array" && value.length !== type.len)) {
        throw misfit(value, type);
      }
      writeUint(out, value.length);
      for (const elem of value) writeValue(out, elem, type.elem);
      return;
    case "map":
      if (!(value instanceof Map)) throw misfit(value, type);
      writeUint(out, value.size);
      for (const [key, elem] of value) {
        writeValue(out, key, type.key);
        writeValue(out, elem, type.elem);
      }
      return;
    case "struct":
      if (typeof value !== "object") throw misfit(value, type);
      return writeStruct(out, value as Fields, type);
  }
}

function writeStruct(out: ByteWriter, value: Fields, type: GobStruct): void {
  let last = -1;
  type.fields.forEach(([name, field], index) => {
    const part = value[name];
    if (part === undefined || isOmitted(part, field)) return;
    writeUint(out, index - last);
    last = index;
    writeValue(out, part, field);
  });
  out.u8(0);
}

// Nested structs, arrays and maps are sent even when nothing is in them (spec mesh.md 3.3).
function isOmitted(value: GobValue, type: GobType): boolean {
  if (type === "bytes" || type === "string") return (value as Uint8Array | string).length === 0;
  if (typeof type === "string") return value === false || value === 0n || value === 0;
  return type.kind === "slice" && (value as readonly GobValue[]).length === 0;
}

function floatBits(value: number): bigint {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value, true);
  return view.getBigUint64(0, false);
}
