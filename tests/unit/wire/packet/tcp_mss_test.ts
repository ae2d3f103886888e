import assert from "node:assert/strict";
import { clampMss } from "../../../../mod/wire/packet/tcp_mss.ts";
import { TCP_FLAG } from "../../../../mod/wire/packet/transport.ts";
import { check, fc } from "../../properties.ts";
import {
  assertIntact,
  complete,
  frameOf,
  offsets,
  SHAPE,
  type Shape,
  shape,
} from "../../sleeve/super_packets.ts";
import { fuzz } from "../../fuzz.ts";

const SYN: Shape = { ...SHAPE, flags: TCP_FLAG.syn, tcpOptions: 12, payload: 0 };

/** A SYN that announces 1460, behind `before` options of one octet. */
function syn(shape: Shape, before = 0): Uint8Array<ArrayBuffer> {
  const frame = frameOf(shape);
  frame.set([2, 4, 5, 0xb4], offsets(shape).transport + 20 + before);
  complete(frame, offsets(shape).transport, 16);
  return frame;
}
/** With another number for what follows the IPv6 header. */
function withNextHeader(frame: Uint8Array, header: number): Uint8Array {
  frame[20] = header;
  return frame;
}
const clamp = (frame: Uint8Array, mtu: number, complete = true) =>
  clampMss(frame, 0, frame.length, { mtu, complete });

Deno.test("clampMss() lowers what a SYN announces to what fits, and keeps the checksum right", () => {
  for (const ipv6 of [false, true]) {
    for (const before of [0, 1, 2, 3]) {
      const shape = { ...SYN, ipv6 };
      const frame = syn(shape, before);
      assert.equal(clamp(frame, 1_400), true);
      assertIntact(shape, frame);
      const at = offsets(shape).transport + 20 + before + 2;
      assert.equal(frame[at]! << 8 | frame[at + 1]!, ipv6 ? 1_340 : 1_360);
      assert.equal(clamp(frame, 1_400), false);
    }
  }
});

Deno.test("clampMss() leaves alone what fits, later segments, UDP and frames it cannot read", () => {
  const untouched: [Uint8Array, number][] = [
    [syn(SYN), 1_500],
    [syn({ ...SYN, flags: TCP_FLAG.ack }), 1_400],
    [withNextHeader(syn({ ...SYN, ipv6: true, options: 8 }), 44), 1_400], // a fragment
    [withNextHeader(syn({ ...SYN, ipv6: true, options: 8 }), 51), 1_400], // what authenticates it
    [syn({ ...SYN, tags: 1 }), 1_504],
    [frameOf({ ...SYN, udp: true }), 1_400],
    [syn(SYN).subarray(0, 50), 1_400],
  ];
  for (const [frame, mtu] of untouched) {
    const before = frame.slice();
    assert.equal(clamp(frame, mtu), false);
    assert.deepEqual(frame, before);
  }
});

Deno.test("clampMss() looks behind tags, IPv4 options and IPv6 extension headers, and changes nothing else", () => {
  const mtus = fc.integer({ min: 600, max: 1_520 });
  check(fc.property(shape, mtus, fc.nat(8), fc.boolean(), (any, mtu, before, behind) => {
    const of = { ...any, flags: TCP_FLAG.syn | (any.flags & TCP_FLAG.ack), tcpOptions: 12, payload: 0 };
    const frame = syn(of, before);
    const start = behind ? 7 : 0; // frames lie anywhere in their buffer
    const room = new Uint8Array(frame.length + 20);
    room.set(frame, start);
    const fits = Math.max(536, mtu - 4 * of.tags - (of.ipv6 ? 60 : 40));
    const clamped = clampMss(room, start, start + frame.length, { mtu, complete: true });
    assert.equal(clamped, fits < 1_460);
    const after = room.slice(start, start + frame.length);
    const { transport } = offsets(of);
    const at = transport + 20 + before + 2;
    assert.equal(after[at]! << 8 | after[at + 1]!, Math.min(1_460, fits));
    assertIntact(of, after);
    for (const field of [transport + 16, at]) after.set(frame.subarray(field, field + 2), field);
    assert.deepEqual(after, frame);
    assert.ok(room.subarray(start + frame.length).every((octet) => octet === 0));
  }));
});

Deno.test("clampMss() leaves a partial checksum as it is, and never goes below 536", () => {
  const frame = syn(SYN);
  const field = offsets(SYN).transport + 16;
  const before = frame.slice(field, field + 2);
  assert.equal(clamp(frame, 100, false), true);
  assert.deepEqual(frame.slice(field, field + 2), before);
  assert.deepEqual([...frame.subarray(field + 4, field + 8)], [2, 4, 536 >> 8, 536 & 255]);
});

Deno.test("clampMss() returns whatever it is given", () => {
  fuzz((bytes) => clamp(bytes, 600), [
    syn(SYN),
    syn({ ...SYN, ipv6: true }, 3),
    syn({ ...SYN, ipv6: true, tags: 2, options: 16 }),
    syn({ ...SYN, tags: 1, options: 8 }),
  ]);
});
