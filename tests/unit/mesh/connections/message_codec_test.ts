import assert from "node:assert/strict";
import { concatBytes, fromHex } from "../../../../mod/core/bytes.ts";
import {
  FramedCodec,
  GobCodec,
  MAX_FRAME,
  type StreamCodec,
} from "../../../../mod/mesh/connections/message_codec.ts";
import { SealedStream } from "../../../../mod/mesh/connections/sealed_stream.ts";
import { fuzz } from "../../fuzz.ts";
import { check, fc } from "../../properties.ts";
import { sealer } from "./intro_pair.ts";

const key = new Uint8Array(32).fill(7);

function codecs(make: () => StreamCodec, sealed: boolean): { from: StreamCodec; to: StreamCodec } {
  const [from, to] = [make(), make()];
  if (sealed) {
    from.secure(new SealedStream(sealer, { key, outbound: true }));
    to.secure(new SealedStream(sealer, { key, outbound: false }));
  }
  return { from, to };
}

const KINDS: readonly (readonly [name: string, make: () => StreamCodec, sealed: boolean])[] = [
  ["FramedCodec, plain", () => new FramedCodec(), false],
  ["FramedCodec, sealed", () => new FramedCodec(), true],
  ["GobCodec, plain", () => new GobCodec(), false],
  ["GobCodec, sealed", () => new GobCodec(), true],
];
for (const [name, make, sealed] of KINDS) {
  Deno.test(`${name}: feed() returns what encode() was given, however it is cut`, () => {
    const messages = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 6 });
    check(fc.property(messages, fc.integer({ min: 1, max: 30 }), (list, size) => {
      const { from, to } = codecs(make, sealed);
      const stream = concatBytes(...list.map((message) => from.encode(message)));
      const got: Uint8Array[] = [];
      for (let at = 0; at < stream.length; at += size) {
        const fed = to.feed(stream.slice(at, at + size));
        assert.ok(fed.ok);
        got.push(...fed.value);
      }
      assert.deepEqual(got.map((message) => Uint8Array.from(message)), list);
      assert.equal(to.takeRest().length, 0);
    }));
  });

  Deno.test(`${name}: takes the longest message and no longer one`, () => {
    const { from, to } = codecs(make, sealed);
    const longest = new Uint8Array(from.maxMessage);
    const fed = to.feed(from.encode(longest));
    assert.ok(fed.ok && fed.value[0]!.length === from.maxMessage);
    assert.throws(() => from.encode(new Uint8Array(from.maxMessage + 1)), RangeError);
  });

  Deno.test(`${name}: feed() returns on any input`, () => {
    const { from } = codecs(make, sealed);
    const sample = concatBytes(from.encode(fromHex("00")), from.encode(fromHex("070001")));
    fuzz((bytes) => codecs(make, sealed).to.feed(bytes), [sample]);
  });
}

Deno.test("FramedCodec.feed() refuses a frame beyond 10 MiB before it arrives, and goes on refusing", () => {
  const codec = new FramedCodec();
  const refused = codec.feed(fromHex("00a00001"));
  assert.deepEqual(refused, {
    ok: false,
    reason: `the peer sent a message of 10485761 bytes, at most ${MAX_FRAME} are allowed`,
  });
  assert.deepEqual(codec.feed(fromHex("0000000100")), refused);
});

Deno.test("FramedCodec.feed() does not copy messages that arrive whole", () => {
  const chunk = fromHex("0000000100" + "00000003070001");
  const fed = new FramedCodec().feed(chunk);
  assert.ok(fed.ok);
  assert.deepEqual(fed.value.map((message) => message.buffer === chunk.buffer), [true, true]);
});

Deno.test("StreamCodec.feed() tells a wrong password from a message changed on the way", () => {
  const { from, to } = codecs(() => new FramedCodec(), true);
  const [first, second] = [from.encode(fromHex("00")), from.encode(fromHex("00"))];
  const wrong = codecs(() => new FramedCodec(), true).to.feed(first.with(5, first[5]! ^ 1));
  assert.match(wrong.ok ? "" : wrong.reason, /passwords differ/);
  assert.equal(to.feed(first).ok, true);
  const changed = to.feed(second.with(5, second[5]! ^ 1));
  assert.deepEqual(changed, { ok: false, reason: "message 1 did not decrypt: it was changed on the way" });
  assert.deepEqual(to.feed(second), changed);
});

Deno.test("GobCodec.feed() refuses values that are no byte strings", () => {
  const refused = new GobCodec().feed(fromHex("03060001"));
  assert.match(refused.ok ? "" : refused.reason, /is a uint, expected a bytes/);
});
