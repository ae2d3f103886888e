import assert from "node:assert/strict";
import { type TakeMisses, UserEnd } from "../../../../mod/datapath/ebpf/tap_shell.ts";
import type { MissHeader } from "../../../../mod/datapath/ebpf/layout.ts";
import type { FlowAction, PortNo } from "../../../../mod/wire/netlink/ovs_keys.ts";
import { VIRTIO_HEADER } from "../../../../mod/wire/packet/virtio_net.ts";
import { DECIDED_MISSES, READ_PACKETS } from "../../../../mod/datapath/miss_queue.ts";
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

/** Decides about each miss; one waits in the name of its interface. */
function take(decide: TakeMisses["decide"]): TakeMisses {
  return { decide, keyOf: ({ ifindex }) => ({ inPort: ifindex as PortNo }) };
}

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
  assert.deepEqual(user.read(take((header, frame) => seen.push([header, frame.slice()])), true), {
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
  const decide: TakeMisses["decide"] = (header, frame) => {
    assert.deepEqual(header, {
      ...{ ifindex: 5, id: 0x03_02_01, tagged: false, size: 52 },
      ...{ source: "2001:db8::1", destination: "fd50::2" },
    });
    assert.deepEqual(frame.slice(), FRAME);
    user.send(frame, OUTPUT);
    assert.deepEqual(frame.slice(), FRAME);
    seen++;
  };
  const { misses } = user.read(take(decide), true);
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
  const decide: TakeMisses["decide"] = (_, frame) => {
    user.send(frame, OUTPUT);
    user.send(frame, OUTPUT);
    assert.deepEqual(frame.slice(), FRAME);
  };
  user.read(take(decide), true);
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

/** A packet for a link. */
function packetOf(tci: number): Uint8Array {
  return Uint8Array.of(
    ...new Uint8Array(VIRTIO_HEADER),
    ...FRAME.subarray(0, 12),
    ...[0x81, 0, tci >> 8, tci & 255],
    ...FRAME.subarray(12),
  );
}

Deno.test("what is no miss goes to its link, and what has no tag of ours is counted", () => {
  const { path, tap, user } = end();
  const key = { link: 3, id: 9 } as never;
  const tag = user.tags.tagOf(key);
  tap.queue.push(packetOf(tag), packetOf(tag + 1), Uint8Array.of(...new Uint8Array(VIRTIO_HEADER), ...FRAME));
  assert.deepEqual(user.read(take(() => assert.fail("no miss")), true), { emptied: true, misses: 0 });
  assert.deepEqual(path.sent.map(({ key }) => key), [key]);
  assert.deepEqual([...path.sent[0]!.packet.subarray(VIRTIO_HEADER)], [...FRAME]);
  const { dropped } = user.counts();
  assert.deepEqual([dropped["unknown-tag"], dropped["untagged"]], [1, 1]);
});

Deno.test("one call reads and decides a bounded part; what waits is decided later, each place in turn", () => {
  const { path, tap, user } = end();
  const key = { link: 3, id: 9 } as never;
  const tag = user.tags.tagOf(key);
  const flood = READ_PACKETS - 2;
  for (let i = 0; i < flood; i++) tap.queue.push(localMiss(FRAME));
  const other = miss(Uint8Array.of(1, ...FRAME.subarray(1)));
  tap.queue.push(other, packetOf(tag), localMiss(FRAME));
  const seen: number[] = [];
  const decided = take(({ ifindex }) => seen.push(ifindex));
  assert.deepEqual(user.read(decided, true), { emptied: false, misses: flood });
  assert.deepEqual(seen, new Array(DECIDED_MISSES).fill(6));
  assert.equal(path.sent.length, 1, "what has a flow waits for no miss");
  assert.deepEqual([user.waits, tap.queue.length], [true, 1]);
  assert.deepEqual(user.read(decided, true), { emptied: true, misses: 1 });
  assert.deepEqual(seen.slice(DECIDED_MISSES, DECIDED_MISSES + 4), [6, 5, 6, 6]);
  while (user.waits) user.read(decided, false);
  assert.deepEqual([seen.length, user.lost], [flood + 2, 0]);
});

Deno.test("a miss that has waited goes back as it came", () => {
  const { tap, user } = end(new Array(2 * DECIDED_MISSES).fill(7));
  for (let i = 0; i <= DECIDED_MISSES; i++) tap.queue.push(miss(FRAME));
  const decided = take((_, frame) => user.send(frame, OUTPUT));
  user.read(decided, true);
  assert.equal(tap.written.length, DECIDED_MISSES);
  user.read(decided, false);
  assert.equal(tap.written.length, DECIDED_MISSES + 1);
  assert.deepEqual(tap.written.at(-1), tap.written[0]);
});

Deno.test("heartbeats wait for no other miss", () => {
  const { tap, user } = end();
  for (let i = 0; i < 2 * DECIDED_MISSES; i++) tap.queue.push(miss(FRAME.map((octet) => octet + 1)));
  tap.queue.push(miss(new Uint8Array(100)));
  let beats = 0;
  user.read(take((_, frame) => beats += frame[5] === 0 ? 1 : 0), true);
  assert.equal(beats, 1);
});

Deno.test("only misses of local ports are counted: those of tunnels and links were not given on credit", () => {
  const { tap, user } = end();
  const ofLink = miss(FRAME);
  ofLink.fill(0, VIRTIO_HEADER + 8, VIRTIO_HEADER + 12);
  tap.queue.push(miss(FRAME), localMiss(FRAME), ofLink);
  let seen = 0;
  assert.deepEqual(user.read(take(() => seen++), true), { emptied: true, misses: 1 });
  assert.equal(seen, 3);
});
