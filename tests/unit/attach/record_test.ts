import assert from "node:assert/strict";
import { type AttachmentRecord, decodeRecord, encodeRecord, isStill } from "../../../mod/attach/record.ts";
import { parseAttachTarget } from "../../../mod/attach/target.ts";
import { parseCidr, parseMac } from "../../../mod/core/addr.ts";
import { seededRandom, withSeed } from "../properties.ts";
import { mutate } from "../fuzz.ts";

const record: AttachmentRecord = {
  id: "0123456789",
  target: "pid:7",
  namespace: { device: 4, inode: 4026532000 },
  processMark: "boot 7",
  interface: "ethmesh",
  mac: parseMac("02:00:00:00:00:01"),
  addresses: [parseCidr("10.2.1.1/24")!, parseCidr("fd00::1/64")!],
};
/** What release 0.1.0 writes: must stay readable. */
const stored =
  '{"version":1,"id":"0123456789","target":"pid:7","namespace":{"device":4,"inode":4026532000},' +
  '"processMark":"boot 7","interface":"ethmesh","mac":"02:00:00:00:00:01","addresses":["10.2.1.1/24","fd00::1/64"]}';

Deno.test("encodeRecord() and decodeRecord() keep the stored form", () => {
  assert.equal(encodeRecord(record), stored);
  assert.deepEqual(decodeRecord(stored), { ok: true, value: record });
  const bare = { ...record, processMark: undefined, mac: undefined };
  assert.deepEqual(decodeRecord(encodeRecord(bare)), { ok: true, value: bare });
});

Deno.test("decodeRecord() names what is wrong", () => {
  const changed = (change: Record<string, unknown>) => JSON.stringify({ ...JSON.parse(stored), ...change });
  const cases: [text: string, reason: RegExp][] = [
    ["", /not JSON/],
    ["null", /not an object/],
    ["[]", /version is undefined/],
    [changed({ version: 2 }), /version is 2, expected 1/],
    [changed({ id: "../x" }), /^id is/],
    [changed({ target: "" }), /^target is/],
    [changed({ interface: "eth mesh" }), /^interface is/],
    [changed({ namespace: null }), /^namespace/],
    [changed({ namespace: { device: 1 } }), /^namespace/],
    [changed({ mac: "x" }), /^mac is/],
    [changed({ processMark: 1 }), /^processMark/],
    [changed({ addresses: [] }), /^addresses/],
    [changed({ addresses: ["10.2.1.1/24", 7] }), /^addresses/],
    [changed({ addresses: "10.2.1.1/24" }), /^addresses/],
  ];
  for (const [text, reason] of cases) {
    const decoded = decodeRecord(text);
    assert.ok(!decoded.ok, text);
    assert.match(decoded.reason, reason);
  }
});

Deno.test("decodeRecord() returns for any text", () => {
  const random = seededRandom();
  const bytes = new TextEncoder().encode(stored);
  withSeed(() => {
    for (let i = 0; i < 500; i++) {
      assert.equal(typeof decodeRecord(new TextDecoder().decode(mutate(bytes, random))).ok, "boolean");
    }
  });
});

Deno.test("isStill() lets names return but not process numbers", () => {
  const found = {
    target: parseAttachTarget("pid:7"),
    path: "/proc/7/ns/net",
    namespace: { device: 4, inode: 9 },
    processMark: "boot 8",
  };
  assert.equal(isStill(record, found), false);
  assert.equal(isStill(record, { ...found, processMark: "boot 7" }), true);
  assert.equal(isStill(record, undefined), false);
  const named = { ...record, target: "netns:a", processMark: undefined };
  assert.equal(
    isStill(named, { ...found, target: parseAttachTarget("netns:a"), processMark: undefined }),
    true,
  );
});
