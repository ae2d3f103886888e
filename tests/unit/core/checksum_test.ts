import assert from "node:assert/strict";
import { foldSum, internetChecksum, sumWords, updateChecksum } from "../../../mod/core/checksum.ts";
import { fromHex } from "../../../mod/core/bytes.ts";
import { check, fc } from "../properties.ts";

/** RFC 1071 word by word. */
function slowChecksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) {
    sum += bytes[i]! * 256 + (bytes[i + 1] ?? 0);
    if (sum > 0xffff) sum -= 0xffff;
  }
  return ~sum & 0xffff;
}

Deno.test("internetChecksum() of the example in RFC 1071 and of a captured IPv4 header", () => {
  assert.equal(internetChecksum(fromHex("0001f203f4f5f6f7")), ~0xddf2 & 0xffff);
  assert.equal(internetChecksum(fromHex("45000046634c40004011c2960a6100020a610001")), 0);
});

Deno.test("internetChecksum() equals the word by word sum at any offset and length", () => {
  check(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(40), (bytes, skip) => {
      const from = Math.min(skip, bytes.length);
      assert.equal(internetChecksum(bytes, from), slowChecksum(bytes.subarray(from)));
    }),
    { runs: 500 },
  );
});

Deno.test("sumWords() does not overflow over the largest runs", () => {
  const bytes = new Uint8Array(262_144).fill(0xff);
  assert.equal(foldSum(sumWords(new DataView(bytes.buffer), 0, bytes.length)), 0xffff);
  assert.equal(foldSum(0xffff_ffff), 0xffff);
  assert.equal(foldSum(0x1_0000_ffff), 1);
  assert.equal(foldSum(2 ** 48 - 1) % 0xffff, 0);
});

Deno.test("updateChecksum() equals summing again", () => {
  check(fc.property(fc.uint8Array({ minLength: 20, maxLength: 40 }), fc.nat(0xffff), (bytes, fresh) => {
    bytes[0] = 0x45; // never all zeros, as no real header is
    const before = internetChecksum(bytes);
    const old = bytes[2]! << 8 | bytes[3]!;
    bytes[2] = fresh >>> 8;
    bytes[3] = fresh & 255;
    assert.equal(updateChecksum(before, old, fresh), internetChecksum(bytes));
  }));
});
