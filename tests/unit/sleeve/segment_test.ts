import assert from "node:assert/strict";
import { toHex } from "../../../mod/core/bytes.ts";
import type { Random } from "../../../mod/core/ports.ts";
import { Joiner } from "../../../mod/sleeve/join.ts";
import { MAX_SEGMENTS, Segmenter } from "../../../mod/sleeve/segment.ts";
import { TCP_FLAG, TransportLayout } from "../../../mod/wire/packet/transport.ts";
import { readVirtio, VIRTIO_HEADER, writeVirtio } from "../../../mod/wire/packet/virtio_net.ts";
import { fuzz, mutate } from "../fuzz.ts";
import { check, fc, seededRandom, withSeed } from "../properties.ts";
import { cut, join } from "./cut_and_join.ts";
import * as packets from "./super_packets.ts";
import { SHAPE, type Shape } from "./super_packets.ts";

const hex = (list: readonly Uint8Array[]) => list.map(toHex);

Deno.test("Segmenter cuts any TCP super-packet into the frames that it stands for", () => {
  check(
    fc.property(packets.shape, (shape) => {
      const frames = cut(packets.superPacket(shape));
      assert.deepEqual(hex(frames), hex(packets.segmentsOf(shape)));
      for (const frame of frames) packets.assertIntact(shape, frame);
    }),
    { runs: 150 },
  );
});

Deno.test("Joiner makes of a super-packet's segments the super-packet, in all ways of vouching", () => {
  check(
    fc.property(packets.shape, (shape) => {
      const packet = packets.superPacket(shape);
      const one = shape.payload <= shape.size;
      if (!one) {
        assert.deepEqual(hex(join(cut(packet))), hex([packet]));
        assert.deepEqual(hex(join(cut(packet), "sealed")), hex([packet]));
      }
      assert.deepEqual(hex(join(cut(packet, false), "partial")), hex([packet]));
    }),
    { runs: 150 },
  );
});

Deno.test("Joiner's packets, cut again, are the frames that came: whatever they were, in their order", () => {
  const random = seededRandom();
  withSeed(() => {
    for (let round = 0; round < 150; round++) {
      const frames = stream(random);
      const joined = join(frames);
      assert.deepEqual(hex(joined.flatMap((packet) => cut(packet))), hex(frames));
    }
  });
});

/** Runs of segments of some flows, with frames lost, doubled, swapped and damaged. */
function stream(random: Random): Uint8Array<ArrayBuffer>[] {
  const frames: Uint8Array<ArrayBuffer>[] = [];
  for (let runs = 1 + random.below(6); runs > 0; runs--) {
    const size = 100 + random.below(1_300);
    const more = random.below(4) === 0
      ? { flags: [0x10, 0x18, 0x11, 0x90, 0xd8, 0x12, 0x14, 0x30, 0x08][random.below(9)]! }
      : {};
    const ways = { ipv6: random.below(2) === 0, tags: random.below(2), tcpOptions: 12 * random.below(2) };
    frames.push(
      ...packets.segmentsOf({
        ...SHAPE,
        size,
        ...ways,
        ...more,
        payload: 1 + random.below(9 * size),
        fill: random.below(99),
      }),
    );
  }
  for (let changes = random.below(4); changes > 0 && frames.length > 1; changes--) {
    const [at, other] = [random.below(frames.length), random.below(frames.length)];
    const frame = frames[at]!;
    switch (random.below(5)) {
      case 0:
        frames.splice(at, 1);
        break;
      case 1:
        frames.splice(other, 0, frame.slice());
        break;
      case 2:
        [frames[at], frames[other]] = [frames[other]!, frame];
        break;
      case 3:
        frames[at] = frame.map((byte, i) => i === 14 + random.below(frame.length - 14) ? byte ^ 1 : byte);
        break;
      default:
        frames[at] = mutate(frame.subarray(0, 200), random);
    }
  }
  return frames;
}

Deno.test("Joiner joins two super-packets of one flow only as far as a packet goes", () => {
  const first = { ...SHAPE, payload: 44 * 1_448 };
  const second = { ...first, seq: first.seq + first.payload, id: first.id + 44, payload: 4 * 1_448 };
  const frames = [...packets.segmentsOf(first), ...packets.segmentsOf(second)];
  const joined = join(frames);
  const lengths = joined.map((packet) => packet.length - VIRTIO_HEADER - 66);
  assert.deepEqual(lengths, [45 * 1_448, 3 * 1_448]);
  assert.deepEqual(hex(joined.flatMap((packet) => cut(packet))), hex(frames));
});

/** Changes to the second of three segments that keep it apart from the first. */
const apart: [name: string, change: Partial<Shape>][] = [
  ["a gap in sequence numbers", { seq: SHAPE.seq + 1 }],
  ["another identification", { id: SHAPE.id + 5 }],
  ["options", { tcpOptions: 0 }],
  ["a tag", { tags: 1 }],
  ["SYN", { flags: TCP_FLAG.ack | TCP_FLAG.syn }],
  ["RST", { flags: TCP_FLAG.ack | TCP_FLAG.rst }],
  ["URG", { flags: TCP_FLAG.ack | TCP_FLAG.urg }],
  ["CWR", { flags: TCP_FLAG.ack | TCP_FLAG.cwr }],
  ["ECE", { flags: TCP_FLAG.ack | TCP_FLAG.ece }],
  ["no ACK", { flags: 0 }],
  ["the other protocol", { ipv6: true }],
  ["a longer payload", { payload: 1_449 }],
];

Deno.test("Joiner keeps apart what one header could not say", () => {
  for (const [name, change] of apart) {
    const base = { ...SHAPE, seq: SHAPE.seq + SHAPE.payload, id: SHAPE.id + 1 };
    const shifted = "seq" in change ? { seq: base.seq + 1 } : change;
    const [first] = packets.segmentsOf(SHAPE);
    const second = packets.segmentsOf({ ...base, size: 2_000, ...shifted })[0]!;
    const delivered = join([first!, second]);
    assert.deepEqual(
      hex(delivered),
      ["00".repeat(10) + toHex(first!), "00".repeat(10) + toHex(second)],
      name,
    );
  }
});

Deno.test("Joiner compares every octet that must be equal, and believes no wrong checksum", () => {
  const changes = [{}, { tcpOptions: 0 }, { tcpOptions: 40, tags: 1 }, { options: 16, tags: 2 }, {
    ipv6: true,
  }];
  for (const change of [...changes, { ipv6: true, options: 8, tcpOptions: 0, tags: 1 }]) {
    const shape = { ...SHAPE, ...change };
    const frames = packets.segmentsOf({ ...shape, payload: 2 * 1_448 });
    const { transport, payload } = packets.offsets(shape);
    for (let at = 0; at < payload; at++) {
      const changed = frames[1]!.slice();
      changed[at]! ^= 0x40;
      const joined = join([frames[0]!, changed], "sealed").length === 1;
      // Sealed frames are not checked: their own checksum may differ.
      const matters = at !== transport + 16 && at !== transport + 17;
      assert.equal(joined, !matters, `octet ${at} of ${JSON.stringify(change)}`);
      assert.equal(join([frames[0]!, changed]).length, 2, `octet ${at} of ${JSON.stringify(change)}`);
    }
  }
  const frames = packets.segmentsOf({ ...SHAPE, payload: 2 * 1_448 });
  const damaged = frames[1]!.slice();
  damaged[1_000]! ^= 1;
  assert.equal(join([frames[0]!, damaged]).length, 2);
  assert.equal(join([damaged, frames[0]!]).length, 2);
});

Deno.test("Joiner leaves frames alone whose headers are longer than anybody needs", () => {
  for (const options of [400, 504]) {
    const frames = packets.segmentsOf({ ...SHAPE, ipv6: true, options, payload: 2 * 800, size: 800 });
    assert.equal(join(frames).length, options === 400 ? 1 : 2);
  }
});

Deno.test("Joiner ends a packet with PSH, FIN or a short segment, and mixes no ways of vouching", () => {
  for (const flags of [TCP_FLAG.psh, TCP_FLAG.fin, 0]) {
    const first = { ...SHAPE, flags: TCP_FLAG.ack | flags, payload: 3 * 1_448 - (flags === 0 ? 1 : 0) };
    const next = { ...first, seq: first.seq + first.payload, id: first.id + 3 };
    const joined = join([...packets.segmentsOf(first), ...packets.segmentsOf(next)]);
    assert.deepEqual(hex(joined), hex([packets.superPacket(first), packets.superPacket(next)]));
  }
  const delivered: number[] = [];
  const frames = packets.segmentsOf({ ...SHAPE, payload: 2 * 1_448 });
  const input = new Uint8Array(4_000);
  const joiner = new Joiner(input, (_, from, to) => delivered.push(to - from));
  input.set(frames[0]!, 14);
  input.set(frames[1]!, 2_000);
  joiner.push(14, 14 + frames[0]!.length, "unknown");
  joiner.push(2_000, 2_000 + frames[1]!.length, "sealed");
  joiner.flush();
  assert.deepEqual(delivered, frames.map((frame) => frame.length + VIRTIO_HEADER));
});

Deno.test("Segmenter cuts UDP super-packets into datagrams", () => {
  for (const ipv6 of [false, true]) {
    const shape = { ...SHAPE, ipv6, udp: true, size: 1_200, payload: 10 * 1_200 + 7 };
    const frames = cut(packets.superPacket(shape));
    assert.equal(frames.length, 11);
    assert.deepEqual(hex(frames), hex(packets.segmentsOf(shape)));
    const partial = cut(packets.superPacket(shape), false);
    assert.deepEqual(hex(join(partial, "partial").map((packet) => cut(packet)[0]!)), hex(frames));
  }
});

Deno.test("Segmenter passes on what is no super-packet, and completes checksums wherever they are", () => {
  const plain = Uint8Array.from([...new Uint8Array(VIRTIO_HEADER), ...packets.frameOf(SHAPE)]);
  assert.deepEqual(hex(cut(plain)), [toHex(packets.frameOf(SHAPE))]);
  const udp = packets.superPacket({ ...SHAPE, udp: true, payload: 64 });
  assert.deepEqual(hex(cut(udp)), hex(packets.segmentsOf({ ...SHAPE, udp: true, payload: 64 })));
  assert.deepEqual(hex(cut(udp, false)), [toHex(udp.subarray(VIRTIO_HEADER))]);
  // A checksum deeper inside, as of a tunnel in a container, is completed even when others may stay partial.
  const deep = Uint8Array.from([
    ...new Uint8Array(VIRTIO_HEADER),
    ...packets.frameOf({ ...SHAPE, udp: true }),
  ]);
  const header = { flags: 1, gso: 0, headers: 0, size: 0, checksumStart: 100, checksumOffset: 16 };
  writeVirtio(deep, 0, header);
  assert.deepEqual(readVirtio(deep, 0), header);
  const expected = deep.slice(VIRTIO_HEADER);
  packets.complete(expected, 100, 16);
  for (const finish of [true, false]) assert.deepEqual(hex(cut(deep, finish)), [toHex(expected)]);
  const input = new Uint8Array(deep);
  const segmenter = new Segmenter(input);
  segmenter.start(0, input.length, false);
  assert.ok(!segmenter.partial);
});

Deno.test("Segmenter refuses what would flood the network with crumbs", () => {
  const packet = packets.superPacket({ ...SHAPE, size: 1, payload: MAX_SEGMENTS });
  assert.equal(cut(packet).length, MAX_SEGMENTS);
  assert.deepEqual(cut(packets.superPacket({ ...SHAPE, size: 1, payload: MAX_SEGMENTS + 1 })), []);
  assert.deepEqual(cut(new Uint8Array(VIRTIO_HEADER + 13)), []);
});

Deno.test("Segmenter, Joiner and TransportLayout take whatever comes, and lose nothing of it", () => {
  const shapes = [SHAPE, { ...SHAPE, ipv6: true, options: 8, tags: 2 }, { ...SHAPE, payload: 5_000 }];
  fuzz(
    (bytes) => {
      const frames = cut(bytes);
      const whole = bytes.length < 14 ? [] : [bytes, bytes];
      assert.deepEqual(hex(join([bytes, bytes]).flatMap((packet) => cut(packet))), hex(whole));
      return new TransportLayout().locate(bytes, 0, bytes.length) || frames;
    },
    [...shapes.map(packets.superPacket), ...shapes.map(packets.frameOf)],
    { truncations: 150, mutations: 100 },
  );
});
