import assert from "node:assert/strict";
import { fromHex, toHex } from "../../../../mod/core/bytes.ts";
import { type PeerName, peerNameFromNumber } from "../../../../mod/core/names.ts";
import {
  decodeGossipFrame,
  encodeGossipFrame,
  type GossipFrame,
  TAG,
} from "../../../../mod/wire/mesh/mesh_message.ts";
import { fuzz } from "../../fuzz.ts";
import { check, fc } from "../../properties.ts";
import { loadVectors } from "../../vectors.ts";

interface Vector {
  readonly description: string;
  readonly message_hex: string;
  readonly tag: number;
  readonly channel: string;
  readonly source: PeerName;
  readonly destination: PeerName;
  readonly payload: string;
  readonly forwarder: number;
  readonly inner_tag: number;
  readonly body: string;
}
const vectors = loadVectors<{ vectors: Vector[] }>("mesh-frames").vectors;
const isGossip = ({ tag }: Vector) => tag >= TAG.gossip && tag <= TAG.gossipBroadcast;

function frameOf({ tag, channel, source, destination, payload }: Vector): GossipFrame {
  const common = { channel, source, payload: fromHex(payload) };
  if (tag === TAG.gossipUnicast) return { tag: "unicast", ...common, destination };
  return { tag: tag === TAG.gossip ? "gossip" : "broadcast", ...common };
}

for (const vector of vectors.filter(isGossip)) {
  Deno.test(`encodeGossipFrame() and decodeGossipFrame(): ${vector.description}`, () => {
    const frame = frameOf(vector);
    assert.equal(toHex(encodeGossipFrame(frame)), vector.message_hex);
    assert.deepEqual(decodeGossipFrame(fromHex(vector.message_hex)), { ok: true, value: frame });
  });
}

Deno.test("TAG.heartbeat is the heartbeat of the vectors", () => {
  const heartbeat = vectors.find(({ description }) => description === "heartbeat")!;
  assert.equal(toHex(Uint8Array.of(TAG.heartbeat)), heartbeat.message_hex);
});

const REFUSED: readonly (readonly [what: string, hex: string, reason: RegExp])[] = [
  ["another tag", "07", /tag 7/],
  ["no bytes", "", /tag undefined/],
  ["no channel", "04", /channel/],
  ["a number as channel", "0403060001", /channel.*is a uint, expected a string/],
  ["a name as text", "04040c000178040c000178", /source/],
  ["a name beyond 48 bits", "04040c0001780a0600f901000000000000", /no peer name/],
  ["no payload", "04040c00017803060001", /payload/],
  ["a unicast without destination", "05040c00017803060001030a0000", /destination/],
];
for (const [what, hex, reason] of REFUSED) {
  Deno.test(`decodeGossipFrame() refuses ${what}`, () => {
    const decoded = decodeGossipFrame(fromHex(hex));
    assert.match(decoded.ok ? "" : decoded.reason, reason);
  });
}

Deno.test("decodeGossipFrame() ignores what follows the last value", () => {
  const frame: GossipFrame = {
    tag: "gossip",
    channel: "x",
    source: "00:00:00:00:00:01" as PeerName,
    payload: fromHex("aa"),
  };
  const message = Uint8Array.from([...encodeGossipFrame(frame), 1, 2, 3]);
  assert.deepEqual(decodeGossipFrame(message), { ok: true, value: frame });
});

const name = fc.nat(0xffff_ffff).map((low) => peerNameFromNumber(low * 65_536 + 7)!);
const frame: fc.Arbitrary<GossipFrame> = fc.oneof(
  fc.record({
    tag: fc.constantFrom("gossip" as const, "broadcast" as const),
    channel: fc.string(),
    source: name,
    payload: fc.uint8Array(),
  }, { noNullPrototype: true }),
  fc.record({
    tag: fc.constant("unicast" as const),
    channel: fc.string(),
    source: name,
    destination: name,
    payload: fc.uint8Array(),
  }, { noNullPrototype: true }),
);

Deno.test("decodeGossipFrame() returns what encodeGossipFrame() was given", () => {
  check(fc.property(frame, (value) => {
    assert.deepEqual(decodeGossipFrame(encodeGossipFrame(value)), { ok: true, value });
  }));
});

Deno.test("decodeGossipFrame() returns on any input", () => {
  const samples = vectors.map(({ message_hex }) => fromHex(message_hex));
  fuzz(decodeGossipFrame, samples);
});
