/** Definitions of types inside a gob stream: what a sender says its values look like. */
import { BASIC_IDS, type GobValue, MAX_DEFINITIONS, WIRE_IDS } from "./gob_types.ts";

/** A struct as its sender defined it; `id` is the type of a field. */
export interface StructDefinition {
  /** Tells it from the other definitions. */
  readonly kind: "struct";
  /** The fields in the order of the sender's indices. */
  readonly fields: readonly { readonly name: string; readonly id: number }[];
}

/** A type as its sender defined it; `elem` and `key` are type ids. */
export type Definition =
  | { readonly kind: keyof typeof BASIC_IDS }
  | { readonly kind: "slice"; readonly elem: number }
  | { readonly kind: "array"; readonly elem: number; readonly len: number }
  | { readonly kind: "map"; readonly key: number; readonly elem: number }
  | StructDefinition;

interface Wire {
  readonly ArrayT?: { readonly Elem?: bigint; readonly Len?: bigint };
  readonly SliceT?: { readonly Elem?: bigint };
  readonly StructT?: { readonly Field?: readonly { readonly Name?: string; readonly Id?: bigint }[] };
  readonly MapT?: { readonly Key?: bigint; readonly Elem?: bigint };
}

/** The definition that a decoded wireType value stands for, or in a string why it is none. */
export function definitionOf(wireType: GobValue): Definition | string {
  const kinds = Object.keys(wireType).length;
  if (kinds !== 1) return `definition names ${kinds} kinds of type, not one`;
  const { ArrayT, SliceT, StructT, MapT } = wireType as Wire;
  if (ArrayT !== undefined) {
    return { kind: "array", elem: Number(ArrayT.Elem), len: Number(ArrayT.Len ?? 0n) };
  }
  if (SliceT !== undefined) return { kind: "slice", elem: Number(SliceT.Elem) };
  if (MapT !== undefined) return { kind: "map", key: Number(MapT.Key), elem: Number(MapT.Elem) };
  if (StructT === undefined) return { kind: "bytes" }; // a type that encodes itself travels as bytes
  const fields = (StructT.Field ?? []).map(({ Name, Id }) => ({ name: Name ?? "", id: Number(Id) }));
  if (fields.length > MAX_DEFINITIONS.fields) return `struct has ${fields.length} fields, too many`;
  // Values become objects, on which this name would not be a plain field; no Go program can send it.
  if (fields.some(({ name }) => name === "__proto__")) return "no struct has a field named __proto__";
  return { kind: "struct", fields };
}

function struct(...fields: readonly (readonly [name: string, id: number])[]): StructDefinition {
  return { kind: "struct", fields: fields.map(([name, id]) => ({ name, id })) };
}

const { int, string } = BASIC_IDS;
const common = ["Common", WIRE_IDS.common] as const;

/** The types that every stream knows from the start, by id. */
export const BUILT_IN: ReadonlyMap<number, Definition> = new Map<number, Definition>([
  [1, { kind: "bool" }],
  [2, { kind: "int" }],
  [3, { kind: "uint" }],
  [4, { kind: "float" }],
  [5, { kind: "bytes" }],
  [6, { kind: "string" }],
  [
    WIRE_IDS.wire,
    struct(
      ["ArrayT", WIRE_IDS.array],
      ["SliceT", WIRE_IDS.slice],
      ["StructT", WIRE_IDS.struct],
      ["MapT", WIRE_IDS.map],
      ["GobEncoderT", WIRE_IDS.selfEncoded],
      ["BinaryMarshalerT", WIRE_IDS.selfEncoded],
      ["TextMarshalerT", WIRE_IDS.selfEncoded],
    ),
  ],
  [WIRE_IDS.array, struct(common, ["Elem", int], ["Len", int])],
  [WIRE_IDS.common, struct(["Name", string], ["Id", int])],
  [WIRE_IDS.slice, struct(common, ["Elem", int])],
  [WIRE_IDS.struct, struct(common, ["Field", WIRE_IDS.fields])],
  [WIRE_IDS.field, struct(["Name", string], ["Id", int])],
  [WIRE_IDS.fields, { kind: "slice", elem: WIRE_IDS.field }],
  [WIRE_IDS.map, struct(common, ["Key", int], ["Elem", int])],
  [WIRE_IDS.selfEncoded, struct(common)],
]);
