import assert from "node:assert/strict";
import { toHex } from "../../../mod/core/bytes.ts";
import { check, fc } from "../properties.ts";
import { cut, join } from "./cut_and_join.ts";
import * as packets from "./super_packets.ts";
import { SHAPE, type Shape } from "./super_packets.ts";

const UDP: Shape = { ...SHAPE, udp: true, size: 100, payload: 100 };
const hex = (list: readonly Uint8Array[]) => list.map(toHex);
const shapes = packets.shape.map((shape): Shape => ({
  ...shape,
  udp: true,
  payload: Math.min(shape.payload, 60 * shape.size),
}));

Deno.test("Joiner makes of a flow's equal datagrams a super-packet, in all ways of vouching", () => {
  check(
    fc.property(shapes, (shape) => {
      const packet = packets.superPacket(shape);
      if (shape.payload > shape.size) {
        assert.deepEqual(hex(join(cut(packet), "unknown", true)), hex([packet]));
        assert.deepEqual(hex(join(cut(packet), "sealed", true)), hex([packet]));
      }
      assert.deepEqual(hex(join(cut(packet, false), "partial", true)), hex([packet]));
    }),
    { runs: 150 },
  );
});

Deno.test("Joiner joins at most 64 datagrams, and none where the TAP does not take them", () => {
  const frames = packets.segmentsOf({ ...UDP, payload: 100 * 100 });
  const joined = join(frames, "unknown", true);
  assert.equal(joined.length, 2);
  assert.deepEqual(hex(joined.flatMap((packet) => cut(packet))), hex(frames));
  assert.equal(join(frames).length, 100);
});

/** Changes to the second of two datagrams that keep it apart from the first. */
const apart: [name: string, change: Partial<Shape>][] = [
  ["another identification", { id: SHAPE.id + 5 }],
  ["a tag", { tags: 1 }],
  ["options", { options: 8 }],
  ["the other family", { ipv6: true }],
  ["a longer payload", { payload: 101 }],
  ["the other protocol", { udp: false }],
];

Deno.test("Joiner keeps datagrams apart that one header could not say", () => {
  const [first] = packets.segmentsOf(UDP);
  for (const [name, change] of apart) {
    const [second] = packets.segmentsOf({ ...UDP, size: 2_000, id: UDP.id + 1, ...change });
    assert.equal(join([first!, second!], "unknown", true).length, 2, name);
  }
});

Deno.test("Joiner compares every octet of datagrams that must be equal, and joins none without a checksum", () => {
  const [first, second] = packets.segmentsOf({ ...UDP, payload: 200 });
  const { transport, payload } = packets.offsets(UDP);
  for (let at = 0; at < payload; at++) {
    const changed = second!.slice();
    changed[at]! ^= 0x40;
    const joined = join([first!, changed], "sealed", true).length === 1;
    assert.equal(joined, at === transport + 6 || at === transport + 7, `octet ${at}`);
    assert.equal(join([first!, changed], "unknown", true).length, 2, `octet ${at}`);
  }
  const bare = [first!, second!].map((frame) => {
    const copy = frame.slice();
    copy.fill(0, transport + 6, transport + 8);
    return copy;
  });
  for (const checksum of ["unknown", "sealed"] as const) assert.equal(join(bare, checksum, true).length, 2);
});
