import assert from "node:assert/strict";
import { fromHex, toHex } from "../../../mod/core/bytes.ts";
import { loadSealer, NO_SEALER } from "../../../mod/sys/sealer.ts";
import { check, fc } from "../properties.ts";
import { loadVectors } from "../vectors.ts";

interface Vector {
  readonly a_private: string;
  readonly a_public: string;
  readonly b_private: string;
  readonly b_public: string;
  readonly password_utf8: string;
  readonly session_key: string;
  readonly messages: readonly {
    readonly nonce: string;
    readonly plaintext?: string;
    readonly sealed?: string;
  }[];
}
const { vectors } = loadVectors<{ vectors: Vector[] }>("mesh-crypto");
const sealer = await loadSealer();
const key = new Uint8Array(32).fill(9);
const nonce = new Uint8Array(24).fill(4);

for (const vector of vectors) {
  const password = new TextEncoder().encode(vector.password_utf8);
  const [a, b] = [fromHex(vector.a_private), fromHex(vector.b_private)];

  Deno.test(`Sealer.publicKey() and sessionKey(), password ${vector.password_utf8}`, () => {
    assert.equal(toHex(sealer.publicKey(a)), vector.a_public);
    assert.equal(toHex(sealer.publicKey(b)), vector.b_public);
    assert.equal(toHex(sealer.sessionKey(a, fromHex(vector.b_public), password)!), vector.session_key);
    assert.equal(toHex(sealer.sessionKey(b, fromHex(vector.a_public), password)!), vector.session_key);
    assert.notEqual(toHex(sealer.sessionKey(a, fromHex(vector.b_public), key)!), vector.session_key);
  });

  Deno.test(`Sealer.seal() and open(), password ${vector.password_utf8}`, () => {
    const session = fromHex(vector.session_key);
    for (const message of vector.messages) {
      if (message.plaintext === undefined) continue;
      const at = fromHex(message.nonce);
      assert.equal(toHex(sealer.seal(session, at, fromHex(message.plaintext))), message.sealed);
      assert.equal(toHex(sealer.open(session, at, fromHex(message.sealed!))!), message.plaintext);
    }
  });
}

Deno.test("Sealer.sessionKey() refuses keys of small order", () => {
  const smallOrder = [
    "00".repeat(32),
    "01" + "00".repeat(31),
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
  ];
  for (const hex of smallOrder) assert.equal(sealer.sessionKey(key, fromHex(hex), key), undefined, hex);
});

Deno.test("Sealer.open() refuses what seal() did not make, whatever changed", () => {
  check(
    fc.property(fc.uint8Array({ maxLength: 80 }), fc.nat(), fc.nat(7), (plain, where, bit) => {
      const sealed = sealer.seal(key, nonce, plain);
      assert.equal(sealed.length, plain.length + 16);
      assert.deepEqual(sealer.open(key, nonce, sealed), Uint8Array.from(plain));
      const at = where % sealed.length;
      assert.equal(sealer.open(key, nonce, sealed.with(at, sealed[at]! ^ (1 << bit))), undefined);
      assert.equal(sealer.open(key, nonce, sealed.subarray(0, at)), undefined);
    }),
  );
});

Deno.test("Sealer.seal() leaves its arguments alone", () => {
  const plain = Uint8Array.of(1, 2, 3);
  const at = nonce.slice();
  sealer.open(key, at, sealer.seal(key, at, plain));
  assert.deepEqual([plain, at, key], [Uint8Array.of(1, 2, 3), nonce, new Uint8Array(32).fill(9)]);
});

Deno.test("NO_SEALER throws instead of sending anything in clear", () => {
  assert.throws(() => NO_SEALER.publicKey(key), TypeError);
  assert.throws(() => NO_SEALER.sessionKey(key, key, key), TypeError);
  assert.throws(() => NO_SEALER.seal(key, nonce, key), TypeError);
  assert.throws(() => NO_SEALER.open(key, nonce, key), TypeError);
});
