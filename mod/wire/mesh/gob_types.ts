/** Types and values of Go's gob format, as far as peers use it (source: spec mesh.md, section 3). */
import type { ByteReader, ByteWriter } from "../../core/bytes.ts";

/** A struct type. `name` is informative; receivers match fields by name. */
export interface GobStruct {
  /** Tells it from the other types. */
  readonly kind: "struct";
  /** What the sender calls it. */
  readonly name?: string;
  /** Exported names, as Go requires, and their types. */
  readonly fields: readonly (readonly [name: string, type: GobType])[];
}

/** What is on the wire. Keep types in constants: one stream defines each type *object* once. */
export type GobType =
  | "bool"
  | "int"
  | "uint"
  | "float"
  | "bytes"
  | "string"
  | { readonly kind: "slice"; readonly name?: string; readonly elem: GobType }
  | { readonly kind: "array"; readonly name?: string; readonly elem: GobType; readonly len: number }
  | { readonly kind: "map"; readonly name?: string; readonly key: GobType; readonly elem: GobType }
  | GobStruct;

/** A value: ints and uints are bigints, floats numbers, structs plain objects by field name. */
export type GobValue =
  | boolean
  | bigint
  | number
  | string
  | Uint8Array
  | readonly GobValue[]
  | ReadonlyMap<GobValue, GobValue>
  | { readonly [field: string]: GobValue };

/** The values of one type: `ValueOf<"uint">` is bigint, and so on down. */
export type ValueOf<T extends GobType> = GobType extends T ? GobValue
  : T extends "bool" ? boolean
  : T extends "int" | "uint" ? bigint
  : T extends "float" ? number
  : T extends "bytes" ? Uint8Array
  : T extends "string" ? string
  : T extends { kind: "slice" | "array"; elem: infer E extends GobType } ? readonly ValueOf<E>[]
  : T extends { kind: "map"; key: infer K extends GobType; elem: infer E extends GobType }
    ? ReadonlyMap<ValueOf<K>, ValueOf<E>>
  : T extends { kind: "struct"; fields: infer F extends GobStruct["fields"] }
    ? { readonly [P in F[number] as P[0]]: ValueOf<P[1]> }
  : never;

/** Longest message of a stream in bytes, the same as the longest frame of a connection. */
export const MAX_GOB_MESSAGE = 10 * 1024 * 1024;
/** Most values that one message may consist of, the parts of composite ones counted: a byte can stand for one, and an
 * object for each of ten million bytes would cost a gigabyte. */
export const MAX_GOB_VALUES = 1 << 20;
/** Types that one stream may define, the longest definition in bytes, and the most fields of one: a stream without end
 * could otherwise go on defining. */
export const MAX_DEFINITIONS = { count: 64, bytes: 16 * 1024, fields: 256 } as const;
/** Deepest nesting of composite values that is decoded. */
export const MAX_GOB_DEPTH = 32;
/** First type id that a sender may define. */
export const FIRST_USER_ID = 65;

/** Ids of the basic types. */
export const BASIC_IDS = { bool: 1, int: 2, uint: 3, float: 4, bytes: 5, string: 6 } as const;
/** Ids of the types that describe types: wireType and what it is made of. The last one is ours, Go has no id for it. */
export const WIRE_IDS = {
  wire: 16,
  array: 17,
  common: 18,
  slice: 19,
  struct: 20,
  field: 21,
  fields: 22,
  map: 23,
  selfEncoded: 64,
} as const;

const COMMON: GobType = { kind: "struct", fields: [["Name", "string"], ["Id", "int"]] };
const FIELD: GobType = { kind: "struct", fields: [["Name", "string"], ["Id", "int"]] };

/** The type that defines types, as far as we send it. Exactly one of its fields is set. */
export const WIRE_TYPE: GobStruct = {
  kind: "struct",
  fields: [
    ["ArrayT", { kind: "struct", fields: [["Common", COMMON], ["Elem", "int"], ["Len", "int"]] }],
    ["SliceT", { kind: "struct", fields: [["Common", COMMON], ["Elem", "int"]] }],
    ["StructT", { kind: "struct", fields: [["Common", COMMON], ["Field", { kind: "slice", elem: FIELD }]] }],
    ["MapT", { kind: "struct", fields: [["Common", COMMON], ["Key", "int"], ["Elem", "int"]] }],
  ],
};

/** The zero value of a type: what a field that was not sent means. */
export function zeroValue(type: GobType): GobValue {
  switch (type) {
    case "bool":
      return false;
    case "int":
    case "uint":
      return 0n;
    case "float":
      return 0;
    case "bytes":
      return new Uint8Array(0);
    case "string":
      return "";
  }
  switch (type.kind) {
    case "slice":
      return [];
    case "array":
      return Array.from({ length: type.len }, () => zeroValue(type.elem));
    case "map":
      return new Map();
    case "struct":
      return Object.fromEntries(type.fields.map(([name, field]) => [name, zeroValue(field)]));
  }
}

/** Appends an unsigned integer: one byte up to 127, else 256 - n and n bytes. */
export function writeUint(out: ByteWriter, value: bigint | number): void {
  if (value < 0x80) return void out.u8(Number(value));
  const digits = value.toString(16);
  const count = (digits.length + 1) >> 1;
  out.u8(256 - count);
  out.bytes(Uint8Array.fromHex(digits.padStart(count * 2, "0")));
}

/** Appends a signed integer: zigzag, then as unsigned. */
export function writeInt(out: ByteWriter, value: bigint): void {
  writeUint(out, value >= 0n ? value << 1n : (-value << 1n) - 1n);
}

/** Reads an unsigned integer of up to 64 bits. */
export function readUint(reader: ByteReader): bigint {
  const first = reader.u8("integer");
  if (first < 0x80) return BigInt(first);
  const count = 256 - first;
  if (count > 8) {
    reader.fail(`integer has ${count} bytes, at most 8 are allowed`);
    return 0n;
  }
  const bytes = reader.take(count, "integer");
  let high = 0, low = 0;
  for (let i = 0; i < bytes.length; i++) {
    if (bytes.length - i > 4) high = high * 256 + bytes[i]!;
    else low = low * 256 + bytes[i]!;
  }
  return high === 0 ? BigInt(low) : (BigInt(high) << 32n) | BigInt(low);
}

/** Reads a signed integer. */
export function readInt(reader: ByteReader): bigint {
  const raw = readUint(reader);
  return raw & 1n ? -(raw >> 1n) - 1n : raw >> 1n;
}

/** Reads a count of things that take at least one byte each: never more than what is left. */
export function readCount(reader: ByteReader, what: string): number {
  const value = readUint(reader);
  if (value > BigInt(reader.left)) {
    reader.fail(`${what} is ${value}, only ${reader.left} bytes follow`);
    return 0;
  }
  return Number(value);
}
