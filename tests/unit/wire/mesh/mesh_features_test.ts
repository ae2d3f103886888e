import assert from "node:assert/strict";
import { fromHex } from "../../../../mod/core/bytes.ts";
import type { PeerName, PeerUid, ShortId } from "../../../../mod/core/names.ts";
import { GobDecoder, GobEncoder } from "../../../../mod/wire/mesh/gob.ts";
import { FEATURES, featuresOf } from "../../../../mod/wire/mesh/mesh_features.ts";
import { decodeFeatures, encodeFeatures, type Features } from "../../../../mod/wire/mesh/mesh_message.ts";
import { fuzz } from "../../fuzz.ts";

const ALPHA: Features = {
  name: "00:00:00:00:00:0a" as PeerName,
  nickname: "alpha",
  uid: 1111111111111111111n as PeerUid,
  connId: 9876543210987654321n,
  shortId: 291 as ShortId,
  trusted: false,
  overlays: ["fastdp", "sleeve"],
  publicKey: undefined,
};
const MAP: ReadonlyMap<string, string> = new Map([
  ["PeerNameFlavour", "mac"],
  ["Name", "00:00:00:00:00:0a"],
  ["NickName", "alpha"],
  ["UID", "1111111111111111111"],
  ["ConnID", "9876543210987654321"],
  ["ShortID", "291"],
  ["Trusted", "false"],
  ["Overlays", "fastdp sleeve"],
]);
const KEY = "07a37cbc142093c8b755dc1b10e86cb426374ad16aa853ed0bdfc0b2b86d1c7c";

Deno.test("encodeFeatures() gives all keys in a fixed order", () => {
  const map = new GobDecoder(encodeFeatures(ALPHA, 2)).next(FEATURES);
  assert.ok(map.ok);
  assert.deepEqual([...map.value], [...MAP]);
});

Deno.test("encodeFeatures() leaves out what is undefined, and most keys in version 1", () => {
  const keys = (features: Features, version: 1 | 2) => {
    const map = new GobDecoder(encodeFeatures(features, version)).next(FEATURES);
    return map.ok ? [...map.value.keys()].join(" ") : map.reason;
  };
  const always = "PeerNameFlavour Name NickName UID ConnID";
  assert.equal(keys({ ...ALPHA, shortId: undefined, overlays: undefined }, 2), `${always} Trusted`);
  assert.equal(keys({ ...ALPHA, publicKey: fromHex(KEY) }, 2), `${always} ShortID Trusted Overlays`);
  assert.equal(keys(ALPHA, 1), always);
  assert.equal(keys({ ...ALPHA, publicKey: fromHex(KEY) }, 1), `${always} PublicKey`);
});

Deno.test("decodeFeatures() returns what encodeFeatures() was given", () => {
  assert.deepEqual(decodeFeatures(encodeFeatures(ALPHA, 2), 2), { ok: true, value: ALPHA });
  const trusting = { ...ALPHA, trusted: true, shortId: undefined, overlays: undefined, nickname: "" };
  assert.deepEqual(decodeFeatures(encodeFeatures(trusting, 2), 2), { ok: true, value: trusting });
  const old = { ...ALPHA, shortId: undefined, overlays: undefined, publicKey: fromHex(KEY) };
  assert.deepEqual(decodeFeatures(encodeFeatures(old, 1), 1), { ok: true, value: old });
});

Deno.test("featuresOf() ignores unknown keys, and in version 1 the keys of version 2", () => {
  const more = new Map([...MAP, ["Trusted", "rubbish"], ["ShortID", "-1"], ["Colour", "blue"]]);
  assert.deepEqual(featuresOf(more, 1), {
    ok: true,
    value: { ...ALPHA, shortId: undefined, overlays: undefined },
  });
  const key = new Map([...MAP, ["PublicKey", "rubbish"]]);
  assert.deepEqual(featuresOf(key, 2), { ok: true, value: ALPHA });
});

const ACCEPTED: readonly (readonly [key: string, value: string, expected: Partial<Features>])[] = [
  ...["1", "t", "T", "TRUE", "true", "True"].map((word) => ["Trusted", word, { trusted: true }] as const),
  ...["0", "f", "F", "FALSE", "false", "False"].map((word) => ["Trusted", word, { trusted: false }] as const),
  ["Name", "::A", { name: ALPHA.name }],
  ["NickName", "", { nickname: "" }],
  ["UID", "18446744073709551615", { uid: 18446744073709551615n as PeerUid }],
  ["ShortID", "0", { shortId: 0 as ShortId }],
  ["ShortID", "4095", { shortId: 4095 as ShortId }],
  ["Overlays", "sleeve", { overlays: ["sleeve"] }],
  ["Overlays", "awsvpc  sleeve", { overlays: ["awsvpc", "sleeve"] }],
  ["Overlays", "", { overlays: [] }],
];
for (const [key, value, expected] of ACCEPTED) {
  Deno.test(`featuresOf() accepts ${key} ${JSON.stringify(value)}`, () => {
    assert.deepEqual(featuresOf(new Map([...MAP, [key, value]]), 2), {
      ok: true,
      value: { ...ALPHA, ...expected },
    });
  });
}

const REFUSED: readonly (readonly [key: string, value: string])[] = [
  ["PeerNameFlavour", "hash"],
  ["Name", ""],
  ["Name", "alpha"],
  ["Name", "00:00:00:00:00:00"],
  ["UID", ""],
  ["UID", "-1"],
  ["UID", "0x10"],
  ["UID", "18446744073709551616"],
  ["ConnID", "1.5"],
  ["ConnID", "18446744073709551616"],
  ["ShortID", "4096"],
  ["ShortID", ""],
  ["ShortID", "none"],
  ["Trusted", ""],
  ["Trusted", "yes"],
  ["Trusted", "tRUE"],
];
for (const [key, value] of REFUSED) {
  Deno.test(`featuresOf() refuses ${key} ${JSON.stringify(value)}, naming both`, () => {
    const decoded = featuresOf(new Map([...MAP, [key, value]]), 2);
    assert.ok(!decoded.ok);
    assert.ok(
      decoded.reason.startsWith(`feature ${key} is ${JSON.stringify(value)}, expected `),
      decoded.reason,
    );
  });
}

Deno.test("featuresOf() refuses a public key that is not 64 hex digits, and takes either case", () => {
  for (const text of ["", KEY.slice(2), `${KEY}00`, KEY.replace("0", "g")]) {
    assert.equal(featuresOf(new Map([...MAP, ["PublicKey", text]]), 1).ok, false, text);
  }
  const upper = featuresOf(new Map([...MAP, ["PublicKey", KEY.toUpperCase()]]), 1);
  assert.deepEqual(upper.ok && upper.value.publicKey, fromHex(KEY));
});

Deno.test("featuresOf() names a missing key", () => {
  for (const key of ["PeerNameFlavour", "Name", "NickName", "UID", "ConnID"]) {
    const map = new Map([...MAP].filter(([other]) => other !== key));
    assert.deepEqual(featuresOf(map, 2), { ok: false, reason: `feature ${key} is missing` });
  }
  for (const key of ["ShortID", "Trusted", "Overlays"]) {
    assert.equal(featuresOf(new Map([...MAP].filter(([other]) => other !== key)), 2).ok, true, key);
  }
});

Deno.test("featuresOf() bounds and escapes what it repeats of a peer's text", () => {
  const decoded = featuresOf(new Map([...MAP, ["UID", `\u001b[31m${"9".repeat(100_000)}`]]), 2);
  assert.ok(!decoded.ok && decoded.reason.length < 120);
  assert.ok(!decoded.reason.includes("\u001b"));
});

Deno.test("decodeFeatures() returns on any input", () => {
  const samples = [encodeFeatures(ALPHA, 2), new GobEncoder().encode(1n, "uint")];
  fuzz((bytes) => decodeFeatures(bytes, 2), samples, { mutations: 1_000 });
  fuzz((bytes) => decodeFeatures(bytes, 1), samples);
});
