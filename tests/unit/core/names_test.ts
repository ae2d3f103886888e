import assert from "node:assert/strict";
import {
  parsePeerName,
  parseU64,
  peerNameFromBytes,
  peerNameFromNumber,
  peerNameToBytes,
  peerNameToNumber,
} from "../../../mod/core/names.ts";
import { check, fc } from "../properties.ts";
import { loadVectors } from "../vectors.ts";

type Vector =
  | {
    readonly input: string;
    readonly canonical: string;
    readonly uint64: string;
    readonly error?: undefined;
  }
  | { readonly input: string; readonly error: true };

for (const vector of loadVectors<{ vectors: Vector[] }>("mesh-names").vectors) {
  Deno.test(`parsePeerName() on ${JSON.stringify(vector.input)}`, () => {
    const name = parsePeerName(vector.input);
    if (vector.error === true) return assert.equal(name, undefined);
    assert.equal(name, vector.canonical);
    assert.equal(peerNameToNumber(name!), Number(vector.uint64));
    assert.equal(peerNameFromNumber(BigInt(vector.uint64)), vector.canonical);
  });
}

Deno.test("peerNameFromBytes() folds any length and refuses more than 48 bits", () => {
  assert.equal(peerNameFromBytes(new Uint8Array(0)), "00:00:00:00:00:00");
  assert.equal(peerNameFromBytes(Uint8Array.of(1, 2)), "00:00:00:00:01:02");
  assert.equal(peerNameFromBytes(Uint8Array.of(0, 0, 1, 2, 3, 4, 5, 6)), "01:02:03:04:05:06");
  assert.equal(peerNameFromBytes(Uint8Array.of(1, 0, 0, 0, 0, 0, 0)), undefined);
});

Deno.test("peer names survive each of their forms, and their order is numeric", () => {
  const number = fc.nat(2 ** 24 - 1).chain((high) => fc.nat(2 ** 24 - 1).map((low) => high * 2 ** 24 + low));
  check(fc.property(number, number, (a, b) => {
    const name = peerNameFromNumber(a)!;
    assert.equal(peerNameToNumber(name), a);
    assert.equal(peerNameFromBytes(peerNameToBytes(name)), name);
    assert.equal(parsePeerName(name), name);
    assert.equal(name < peerNameFromNumber(b)!, a < b);
  }));
});

Deno.test("peerNameFromBytes() agrees with the hex text of any bytes", () => {
  const bytes = fc.tuple(fc.nat(9), fc.uint8Array({ maxLength: 8 }));
  check(fc.property(bytes, ([zeros, rest]) => {
    const hex = rest.toHex().replace(/^(00)+/, "");
    const expected = hex.length > 12 ? undefined : hex.padStart(12, "0").match(/../g)!.join(":");
    assert.equal(peerNameFromBytes(Uint8Array.from([...Array<number>(zeros).fill(0), ...rest])), expected);
  }));
});

Deno.test("peerNameFromNumber() refuses what is not a 48-bit integer", () => {
  for (const odd of [-1, 2 ** 48, 0.5, NaN, Infinity, 1n << 64n, -1n]) {
    assert.equal(peerNameFromNumber(odd), undefined, String(odd));
  }
});

Deno.test("parseU64() takes unsigned 64-bit decimals and nothing else", () => {
  assert.equal(parseU64("0"), 0n);
  assert.equal(parseU64("18446744073709551615"), (1n << 64n) - 1n);
  for (const text of ["", "-1", "18446744073709551616", "1e3", "0x1", " 1", "1 "]) {
    assert.equal(parseU64(text), undefined, text);
  }
});
