import assert from "node:assert/strict";
import { fromHex, toHex } from "../../../../mod/core/bytes.ts";
import {
  GobDecoder,
  GobEncoder,
  type GobType,
  type GobValue,
  MAX_GOB_MESSAGE,
} from "../../../../mod/wire/mesh/gob.ts";
import { fuzz } from "../../fuzz.ts";
import { check, fc } from "../../properties.ts";
import { loadVectors } from "../../vectors.ts";

const STRING_MAP: GobType = { kind: "map", key: "string", elem: "string" };
const PEER: GobType = {
  kind: "struct",
  name: "peerSummaryT",
  fields: [
    ["NameByte", "bytes"],
    ["NickName", "string"],
    ["UID", "uint"],
    ["Version", "uint"],
    ["ShortID", "uint"],
    ["HasShortID", "bool"],
  ],
};
const INNER: GobType = { kind: "struct", name: "Inner", fields: [["A", "int"], ["B", "string"]] };
const SAMPLE: GobType = {
  kind: "struct",
  name: "Sample",
  fields: [
    ["I", "int"],
    ["U", "uint"],
    ["S", "string"],
    ["B", "bytes"],
    ["F", "bool"],
    ["L", { kind: "slice", name: "[]main.Inner", elem: INNER }],
    ["M", { kind: "map", name: "map[string]uint64", key: "string", elem: "uint" }],
    ["P", INNER],
    ["Arr", { kind: "array", name: "[3]uint8", elem: "uint", len: 3 }],
    ["In", INNER],
    ["D", "float"],
  ],
};
const TYPES: Record<string, readonly GobType[]> = {
  "uint": ["uint"],
  "int": ["int"],
  "bool": ["bool"],
  "string": ["string"],
  "bytes": ["bytes"],
  "string,uint,bytes": ["string", "uint", "bytes"],
  "map[string]string": [STRING_MAP],
  "struct peerSummary": [PEER],
  "struct,struct": [PEER, PEER],
  "struct Sample": [SAMPLE],
};

interface Vector {
  readonly description: string;
  readonly hex: string;
  readonly types: string;
  readonly value: unknown;
}
const vectors = loadVectors<{ vectors: Vector[] }>("mesh-gob").vectors;
const samples = vectors.map((vector) => fromHex(vector.hex));

/** The value that a vector's JSON stands for; struct fields that it omits stay absent. */
function fromJson(json: unknown, type: GobType): GobValue {
  if (type === "int" || type === "uint") return BigInt(json as string);
  if (type === "bytes") return fromHex(json as string);
  if (typeof type === "string") return json as GobValue;
  if (type.kind === "slice" || type.kind === "array") {
    return (json as unknown[]).map((elem) => fromJson(elem, type.elem));
  }
  const entries = Object.entries(json as Record<string, unknown>);
  if (type.kind === "map") return new Map(entries.map(([key, elem]) => [key, fromJson(elem, type.elem)]));
  const fields = new Map(type.fields);
  return Object.fromEntries(entries.map(([name, value]) => [name, fromJson(value, fields.get(name)!)]));
}

/** A vector's values and their types, in stream order. */
function valuesOf(vector: Vector): { value: GobValue; type: GobType }[] {
  const types = TYPES[vector.types]!;
  const list = types.length === 1 ? [vector.value] : vector.value as unknown[];
  return types.map((type, i) => ({ type, value: fromJson(list[i], type) }));
}

for (const vector of vectors) {
  Deno.test(`GobDecoder decodes: ${vector.description}, ${vector.hex.slice(0, 24)}`, () => {
    const decoder = new GobDecoder(fromHex(vector.hex));
    for (const { value } of valuesOf(vector)) assert.deepEqual(decoder.next(), { ok: true, value });
    assert.equal(decoder.atEnd(), true);
  });
  Deno.test(`GobEncoder gives the same bytes: ${vector.description}, ${vector.hex.slice(0, 24)}`, () => {
    // Ids are the sender's choice: take its first one from the stream's first definition.
    const first = vector.types.includes("Sample") ? 67 : vector.types.includes("struct") ? 66 : 65;
    const encoder = new GobEncoder(first);
    assert.equal(
      valuesOf(vector).map(({ value, type }) => toHex(encoder.encode(value, type))).join(""),
      vector.hex,
    );
  });
}

Deno.test("GobDecoder.next() with a type fills in zeros, skips unknown fields and ignores order", () => {
  const sent: GobType = {
    kind: "struct",
    fields: [["Extra", STRING_MAP], ["Version", "uint"], ["More", { kind: "slice", elem: INNER }]],
  };
  const value = { Extra: new Map([["a", "b"]]), Version: 7n, More: [{ A: 1n, B: "x" }, { A: 0n, B: "" }] };
  assert.deepEqual(new GobDecoder(new GobEncoder().encode(value, sent)).next(PEER), {
    ok: true,
    value: {
      NameByte: new Uint8Array(0),
      NickName: "",
      UID: 0n,
      Version: 7n,
      ShortID: 0n,
      HasShortID: false,
    },
  });
});

Deno.test("GobDecoder.next() with a type gives zeros of every kind", () => {
  const value = { I: 1n, Arr: [0n, 0n, 0n], In: {} };
  const decoded = new GobDecoder(new GobEncoder().encode(value, SAMPLE)).next(SAMPLE);
  const zero = { A: 0n, B: "" };
  const empty = { S: "", B: new Uint8Array(0), F: false, L: [], M: new Map(), D: 0, U: 0n };
  assert.deepEqual(decoded, { ok: true, value: { ...empty, I: 1n, P: zero, Arr: [0n, 0n, 0n], In: zero } });
});

const REFUSED: readonly (readonly [what: string, hex: string, type: GobType | undefined, reason: RegExp])[] =
  [
    ["empty input", "", undefined, /ends inside/],
    ["integer of nine bytes as length", "f7000000000000000001", undefined, /9 bytes/],
    ["message longer than allowed", "fc00a00001", undefined, /at most 10485760/],
    ["message cut short", "0306", undefined, /ends inside/],
    ["undefined type", "04ff820000", undefined, /type 65 is not defined/],
    ["reserved type", "03100000", undefined, /type 8 is not defined/],
    ["marker missing", "03060101", undefined, /marker/],
    ["bytes after the value", "0406000100", undefined, /too many/],
    ["string longer than the message", "030c0009", undefined, /length of string/],
    ["uint where int is expected", "03060001", "int", /is a uint, expected a int/],
    ["string where bytes are expected", "030c0000", "bytes", /is a string/],
    ["built-in type defined", "0c090401020a00010c010c0000", undefined, /built in/],
    ["map as struct", "0eff81040102ff8200010c010c000004ff820000", PEER, /is a map, expected a struct/],
    ["type defined twice", "0eff81040102ff8200010c010c0000".repeat(2), undefined, /twice/],
    ["more entries than bytes", "0eff81040102ff8200010c010c000004ff82007f", undefined, /number of entries/],
  ];
for (const [what, hex, type, reason] of REFUSED) {
  Deno.test(`GobDecoder.next() refuses: ${what}`, () => {
    const decoder = new GobDecoder(fromHex(hex));
    const decoded = decoder.next(type);
    assert.equal(decoded.ok, false);
    assert.match(decoded.ok ? "" : decoded.reason, reason);
    assert.deepEqual(decoder.next(type), decoded, "and goes on refusing");
  });
}

Deno.test("GobDecoder.next() refuses a struct without a known field", () => {
  const other: GobType = { kind: "struct", fields: [["Other", "uint"]] };
  const decoded = new GobDecoder(new GobEncoder().encode({ Other: 1n }, other)).next(PEER);
  assert.deepEqual(decoded, { ok: false, reason: "no field of the struct is known" });
});

Deno.test("GobDecoder.next() refuses a field of another type, and an array of another length", () => {
  const text: GobType = { kind: "struct", fields: [["Version", "string"]] };
  const decoded = new GobDecoder(new GobEncoder().encode({ Version: "1" }, text)).next(PEER);
  assert.deepEqual(decoded, { ok: false, reason: "value is a string, expected a uint" });
  const three = new GobEncoder().encode([1n, 2n, 3n], { kind: "array", elem: "uint", len: 3 });
  assert.equal(new GobDecoder(three).next({ kind: "array", elem: "uint", len: 2 }).ok, false);
});

Deno.test("GobDecoder.next() bounds the nesting that a recursive type allows", () => {
  const definition = fromHex("0dff81020102ff820001ff820000"); // type 65 is a slice of type 65
  const nested = (depth: number) => {
    const body = [0xff, 0x82, 0x00, ...Array<number>(depth).fill(1), 0];
    return Uint8Array.from([...definition, body.length, ...body]);
  };
  assert.equal(new GobDecoder(nested(20)).next().ok, true);
  assert.deepEqual(new GobDecoder(nested(40)).next(), {
    ok: false,
    reason: "values are nested more than 32 deep",
  });
});

Deno.test("GobDecoder.next() refuses a field name that would not be a plain field", () => {
  const odd: GobType = { kind: "struct", fields: [["__proto__", "uint"], ["A", "uint"]] };
  const value = Object.fromEntries([["A", 1n]]);
  const decoded = new GobDecoder(new GobEncoder().encode(value, odd)).next();
  assert.match(decoded.ok ? "" : decoded.reason, /__proto__/);
});

Deno.test("GobDecoder.next() takes a self-encoding type as bytes", () => {
  // wireType field 4 (GobEncoderT) with Common.Id = 65, then a value of type 65
  const stream = fromHex("0aff81050102ff82000000" + "06ff8200020a0b");
  assert.deepEqual(new GobDecoder(stream).next(), { ok: true, value: fromHex("0a0b") });
});

Deno.test("GobDecoder.maxMessage bounds a message", () => {
  const decoder = new GobDecoder(new GobEncoder().encode(new Uint8Array(100), "bytes"));
  decoder.maxMessage = 50;
  assert.match(JSON.stringify(decoder.next()), /at most 50 are allowed/);
  assert.equal(MAX_GOB_MESSAGE, 10_485_760);
});

Deno.test("GobDecoder.poll() gives undefined until a value is complete, however the stream is cut", () => {
  for (const vector of vectors) {
    const decoder = new GobDecoder();
    const got: GobValue[] = [];
    for (const byte of fromHex(vector.hex)) {
      decoder.feed(Uint8Array.of(byte));
      const polled = decoder.poll();
      assert.equal(polled.ok, true);
      if (polled.ok && polled.value !== undefined) got.push(polled.value);
    }
    assert.deepEqual(got, valuesOf(vector).map(({ value }) => value), vector.description);
  }
});

Deno.test("GobDecoder.takeRest() gives back what was not used", () => {
  const decoder = new GobDecoder(fromHex("03060001" + "0306"));
  assert.deepEqual(decoder.next(), { ok: true, value: 1n });
  assert.equal(toHex(decoder.takeRest()), "0306");
  assert.equal(decoder.atEnd(), true);
});

Deno.test("GobEncoder.encode() refuses values that are not of the type", () => {
  const encoder = new GobEncoder();
  const odd: readonly (readonly [unknown, GobType])[] = [
    [-1n, "uint"],
    [1n << 64n, "uint"],
    [1n << 63n, "int"],
    [1, "uint"],
    ["x", "bytes"],
    [1n, "bool"],
    [[1n], { kind: "array", elem: "uint", len: 2 }],
    [{}, { kind: "map", key: "string", elem: "uint" }],
  ];
  for (const [value, type] of odd) assert.throws(() => encoder.encode(value as GobValue, type), TypeError);
});

const uint64 = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
const int64 = fc.bigInt({ min: -(1n << 63n), max: (1n << 63n) - 1n });

/** Types with an arbitrary of their values, nested a few levels. */
const typed: fc.Arbitrary<{ type: GobType; values: fc.Arbitrary<GobValue> }> = fc.letrec((tie) => {
  type Typed = { type: GobType; values: fc.Arbitrary<GobValue> };
  const inner = tie("typed") as fc.Arbitrary<Typed>;
  return {
    typed: fc.oneof(
      { depthSize: "small", withCrossShrink: true },
      fc.constantFrom<Typed>(
        { type: "bool", values: fc.boolean() },
        { type: "uint", values: uint64 },
        { type: "int", values: int64 },
        { type: "float", values: fc.double({ noNaN: true }).map((value) => value + 0) },
        { type: "bytes", values: fc.uint8Array({ maxLength: 300 }) },
        { type: "string", values: fc.string({ unit: "grapheme" }) },
      ),
      inner.map(({ type, values }): Typed => ({
        type: { kind: "slice", elem: type },
        values: fc.array(values, { maxLength: 4 }),
      })),
      inner.map(({ type, values }): Typed => ({
        type: { kind: "array", elem: type, len: 2 },
        values: fc.array(values, { minLength: 2, maxLength: 2 }),
      })),
      inner.map(({ type, values }): Typed => ({
        type: { kind: "map", key: "uint", elem: type },
        values: fc.array(fc.tuple(uint64, values), { maxLength: 4 }).map((entries) => new Map(entries)),
      })),
      fc.array(inner, { minLength: 1, maxLength: 4 }).map((parts): Typed => ({
        type: { kind: "struct", fields: parts.map(({ type }, i) => [`F${i}`, type] as const) },
        values: fc.tuple(...parts.map(({ values }) => values)).map((list) =>
          Object.fromEntries(list.map((value, i) => [`F${i}`, value]))
        ),
      })),
    ),
  };
}).typed as fc.Arbitrary<{ type: GobType; values: fc.Arbitrary<GobValue> }>;

Deno.test("GobDecoder.next() returns what GobEncoder.encode() was given", () => {
  const pairs = typed.chain(({ type, values }) =>
    fc.record({ type: fc.constant(type), list: fc.array(values, { minLength: 1, maxLength: 3 }) })
  );
  check(
    fc.property(pairs, ({ type, list }) => {
      const encoder = new GobEncoder();
      const stream = list.map((value) => encoder.encode(value, type));
      const decoder = new GobDecoder();
      for (const [i, bytes] of stream.entries()) {
        decoder.feed(bytes);
        assert.deepEqual(decoder.next(type), { ok: true, value: list[i] });
      }
      assert.equal(decoder.atEnd(), true);
    }),
    { runs: 300 },
  );
});

Deno.test("GobDecoder.skip() leaves the values after it as they are", () => {
  const list = fc.array(
    fc.tuple(typed.chain(({ type, values }) => fc.tuple(fc.constant(type), values)), fc.boolean()),
    {
      maxLength: 6,
    },
  );
  check(fc.property(list, (parts) => {
    const encoder = new GobEncoder();
    const decoder = new GobDecoder();
    for (const [[type, value]] of parts) decoder.feed(encoder.encode(value, type));
    for (const [[type, value], read] of parts) {
      const expected = { ok: true, value: read ? value : undefined };
      assert.deepEqual(read ? decoder.next(type) : decoder.skip(), expected);
    }
    assert.equal(decoder.atEnd(), true);
  }));
});

Deno.test("GobDecoder.next() returns on any input", () => {
  for (const type of [undefined, PEER, SAMPLE, STRING_MAP, "bytes"] as const) {
    fuzz(
      (bytes) => {
        const decoder = new GobDecoder(bytes);
        let decoded = decoder.next(type);
        if (decoded.ok && bytes.length % 2 === 0) decoder.skip();
        for (let i = 0; i < 3 && decoded.ok; i++) decoded = decoder.next(type);
        return decoded;
      },
      samples,
      { mutations: 60 },
    );
  }
});
