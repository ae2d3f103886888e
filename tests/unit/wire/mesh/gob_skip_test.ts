import assert from "node:assert/strict";
import { good } from "../../../../mod/core/brand.ts";
import { fromHex, toHex } from "../../../../mod/core/bytes.ts";
import { GobDecoder, GobEncoder, type GobStruct } from "../../../../mod/wire/mesh/gob.ts";

const INNER: GobStruct = { kind: "struct", name: "Inner", fields: [["A", "int"], ["B", "string"]] };

Deno.test("GobDecoder.skip() keeps the definitions that come with what it skips", () => {
  const encoder = new GobEncoder();
  const value = { A: 7n, B: "x" };
  const decoder = new GobDecoder(encoder.encode(value, INNER));
  assert.deepEqual(decoder.skip("struct"), { ok: true, value: undefined });
  assert.equal(decoder.atEnd(), true);
  decoder.feed(encoder.encode(value, INNER));
  assert.deepEqual(decoder.next(INNER), { ok: true, value });
});

Deno.test("GobDecoder.skip() does not read the value, but refuses other kinds, unknown types and cut messages", () => {
  const odd = "060c00ff000000"; // a string of a length that is none
  assert.equal(new GobDecoder(fromHex(odd)).next().ok, false);
  assert.equal(new GobDecoder(fromHex(odd)).skip().ok, true);
  const refused: readonly (readonly [hex: string, reason: string])[] = [
    [odd, "value is a string, expected a slice"],
    ["04ff820000", "type 65 is not defined"],
    ["0306", "stream ends inside a message, 2 bytes into it"],
  ];
  for (const [hex, reason] of refused) {
    const decoder = new GobDecoder(fromHex(hex));
    assert.deepEqual(decoder.skip("slice"), { ok: false, reason });
    assert.deepEqual(decoder.next(), { ok: false, reason }, "and goes on refusing");
  }
});

Deno.test("GobDecoder.nextBy() asks its reader only for types defined exactly so, and may be declined", () => {
  const asked: string[] = [];
  const reader = (declines: boolean) => ({
    type: INNER,
    quick: (bytes: Uint8Array, at: number) => {
      asked.push(toHex(bytes.subarray(at)));
      return declines ? undefined : { by: "quick" };
    },
    slow: (value: unknown) => good({ by: value }),
  });
  const value = { A: 7n, B: "x" };
  const bytes = new GobEncoder().encode(value, INNER);
  assert.deepEqual(new GobDecoder(bytes).nextBy(reader(false)), good({ by: "quick" }));
  assert.deepEqual(new GobDecoder(bytes).nextBy(reader(true)), good({ by: value }));
  assert.deepEqual(asked.splice(0), ["010e01017800", "010e01017800"]);
  const others: readonly GobStruct["fields"][] = [
    [["B", "string"], ["A", "int"]],
    [["A", "int"]],
    [["A", "int"], ["B", "string"], ["C", "int"]],
  ];
  for (const fields of others) {
    const sent = new GobEncoder().encode({ A: 7n, B: "x", C: 1n }, { kind: "struct", fields });
    assert.deepEqual(
      new GobDecoder(sent).nextBy(reader(false)),
      good({ by: { ...value, B: fields.length === 1 ? "" : "x" } }),
    );
  }
  const elsewhere = new GobDecoder(new GobEncoder().encode(7n, "int")).nextBy(reader(false));
  assert.deepEqual(elsewhere, { ok: false, reason: "value is a int, expected a struct" });
  assert.deepEqual(asked, []);
});
