import assert from "node:assert/strict";
import { UserEnd } from "../../../../mod/datapath/ebpf/tap_shell.ts";
import type { MissHeader } from "../../../../mod/datapath/ebpf/layout.ts";
import type { FlowAction, PortNo } from "../../../../mod/wire/netlink/ovs_keys.ts";
import { VIRTIO_HEADER } from "../../../../mod/wire/packet/virtio_net.ts";
import { FakePath, FakeTap } from "../../overlay/fake_sleeve.ts";

const OUTPUT: readonly FlowAction[] = [{ kind: "output", port: 1 as PortNo }];

/** A miss as the kernel hands it up: a super-packet of interface 5, tunnel 0x030201, from 192.0.2.1 to 192.0.2.2. */
function miss(frame: Uint8Array): Uint8Array {
  const head = new Uint8Array(VIRTIO_HEADER + 20);
  head.set([1, 1, 110, 0, 100, 2, 54, 0, 16, 0]); // checksum at 34 and headers of 94 in the frame itself
  head.set([5, 0, 0, 0, 1, 2, 3, 0x80, 1, 2, 0, 192, 0x81, 0, 0x10, 0, 2, 2, 0, 192], VIRTIO_HEADER);
  return Uint8Array.of(...head, ...frame);
}

/** One of local interface 6; with a VLAN tag. */
function localMiss(frame: Uint8Array): Uint8Array {
  const packet = miss(frame);
  packet.set([6, 0, 0, 0, 0, 0, 0, 0x80, 0, 0, 0, 0, 0x81, 0, 0x10, 0, 0, 0, 0, 0], VIRTIO_HEADER);
  return packet;
}

const FRAME = Uint8Array.from({ length: 100 }, (_, i) => i);

function end(slots: (number | undefined)[] = [5, 6, 7]) {
  const tap = new FakeTap();
  let path!: FakePath;
  const user = new UserEnd({
    tap,
    openPath: (take) => path = new FakePath(take),
    slotOf: () => slots.shift(),
  });
  return { tap, path, user };
}

Deno.test("a miss says where it came from, and its frame is whole", () => {
  const { tap, user } = end();
  tap.queue.push(miss(FRAME));
  const seen: [MissHeader, Uint8Array][] = [];
  assert.deepEqual(user.read((header, frame) => seen.push([header, frame.slice()])), {
    emptied: true,
    misses: 0,
  });
  const [[header, frame]] = seen as [[MissHeader, Uint8Array]];
  assert.deepEqual(header, {
    ifindex: 5,
    id: 0x03_02_01,
    tagged: true,
    source: "192.0.2.1",
    destination: "192.0.2.2",
    size: 20,
  });
  assert.deepEqual(frame, FRAME);
});

/** A miss whose outer header is IPv6: from 2001:db8::1 to fd50::2, neither of which has a number. */
function miss6(frame: Uint8Array): Uint8Array {
  const head = new Uint8Array(VIRTIO_HEADER + 52);
  head.set([1, 1, 142, 0, 100, 2, 86, 0, 16, 0]); // checksum at 34 and headers of 94 in the frame itself
  head.set([5, 0, 0, 0, 1, 2, 3, 0x40, 0, 0, 0, 0, 0x81, 0, 0x10, 0, 0, 0, 0, 0], VIRTIO_HEADER);
  head.set([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], VIRTIO_HEADER + 20);
  head.set([0xfd, 0x50, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2], VIRTIO_HEADER + 36);
  return Uint8Array.of(...head, ...frame);
}

Deno.test("a miss over IPv6 has both addresses in front of its frame, which goes back as any other", () => {
  const { tap, user } = end();
  tap.queue.push(miss6(FRAME), miss6(new Uint8Array(0)).slice(0, -1));
  let seen = 0;
  const { misses } = user.read((header, frame) => {
    assert.deepEqual(header, {
      ...{ ifindex: 5, id: 0x03_02_01, tagged: false, size: 52 },
      ...{ source: "2001:db8::1", destination: "fd50::2" },
    });
    assert.deepEqual(frame.slice(), FRAME);
    user.send(frame, OUTPUT);
    assert.deepEqual(frame.slice(), FRAME);
    seen++;
  });
  assert.deepEqual([seen, misses], [1, 0]);
  const [sent] = tap.written;
  assert.deepEqual([...sent!.subarray(0, VIRTIO_HEADER)], [1, 1, 98, 0, 100, 2, 38, 0, 16, 0]);
  assert.deepEqual([...sent!.subarray(VIRTIO_HEADER)], [
    ...FRAME.subarray(0, 12),
    ...[0x88, 0xa8, 0, 5],
    ...FRAME.subarray(12),
  ]);
});

Deno.test("the frame of a miss goes back with the tag of its slot, its checksum as far on, and can be sent again", () => {
  const { tap, user } = end();
  tap.queue.push(miss(FRAME));
  user.read((_, frame) => {
    user.send(frame, OUTPUT);
    user.send(frame, OUTPUT);
    assert.deepEqual(frame.slice(), FRAME);
  });
  const [first, second] = tap.written;
  const headers = [1, 1, 98, 0, 100, 2, 38, 0, 16, 0];
  assert.deepEqual([...first!.subarray(0, VIRTIO_HEADER)], headers);
  assert.deepEqual([...first!.subarray(VIRTIO_HEADER)], [
    ...FRAME.subarray(0, 12),
    ...[0x88, 0xa8, 0, 5],
    ...FRAME.subarray(12),
  ]);
  assert.deepEqual([...second!.subarray(0, VIRTIO_HEADER)], headers);
  assert.equal(second![VIRTIO_HEADER + 15], 6);
});

Deno.test("another frame goes out with a header that says nothing; without outputs nothing goes out", () => {
  const { tap, user } = end([1_000, 0]);
  user.send(FRAME, OUTPUT);
  user.send(FRAME, OUTPUT);
  assert.deepEqual([tap.written.length, user.counts().dropped["kernel-refused"]], [1, 0]);
  assert.deepEqual([...tap.written[0]!.subarray(0, VIRTIO_HEADER)], new Array(VIRTIO_HEADER).fill(0));
  assert.deepEqual([...tap.written[0]!.subarray(VIRTIO_HEADER + 12, VIRTIO_HEADER + 16)], [
    0x88,
    0xa8,
    3,
    0xe8,
  ]);
});

Deno.test("a frame whose outputs the kernel refuses is counted", () => {
  const { tap, user } = end([undefined]);
  user.send(FRAME, OUTPUT);
  assert.deepEqual([tap.written.length, user.counts().dropped["kernel-refused"]], [0, 1]);
});

Deno.test("what is no miss goes to its link, and what has no tag of ours is counted", () => {
  const { path, tap, user } = end();
  const key = { link: 3, id: 9 } as never;
  const tag = user.tags.tagOf(key);
  const packet = (tci: number) =>
    Uint8Array.of(
      ...new Uint8Array(VIRTIO_HEADER),
      ...FRAME.subarray(0, 12),
      ...[0x81, 0, tci >> 8, tci & 255],
      ...FRAME.subarray(12),
    );
  tap.queue.push(packet(tag), packet(tag + 1), Uint8Array.of(...new Uint8Array(VIRTIO_HEADER), ...FRAME));
  assert.deepEqual(user.read(() => assert.fail("no miss")), { emptied: true, misses: 0 });
  assert.deepEqual(path.sent.map(({ key }) => key), [key]);
  assert.deepEqual([...path.sent[0]!.packet.subarray(VIRTIO_HEADER)], [...FRAME]);
  const { dropped } = user.counts();
  assert.deepEqual([dropped["unknown-tag"], dropped["untagged"]], [1, 1]);
});

Deno.test("one call reads a bounded part", () => {
  const { tap, user } = end();
  for (let i = 0; i < 65; i++) tap.queue.push(localMiss(FRAME));
  assert.deepEqual(user.read(() => {}), { emptied: false, misses: 64 });
  assert.deepEqual(user.read(() => {}), { emptied: true, misses: 1 });
});

Deno.test("only misses of local ports are counted: those of tunnels and links were not given on credit", () => {
  const { tap, user } = end();
  const ofLink = miss(FRAME);
  ofLink.fill(0, VIRTIO_HEADER + 8, VIRTIO_HEADER + 12);
  tap.queue.push(miss(FRAME), localMiss(FRAME), ofLink);
  let seen = 0;
  assert.deepEqual(user.read(() => seen++), { emptied: true, misses: 1 });
  assert.equal(seen, 3);
});
