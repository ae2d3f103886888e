import assert from "node:assert/strict";
import { TOO_LARGE_HERE } from "../../../mod/overlay/ports/sleeve_port.ts";
import { IPV4_DF, u16At } from "../../../mod/wire/packet/inner_frame.ts";
import { vniOf } from "../../../mod/wire/packet/vxlan.ts";
import { carry, type End, enginePair, NAMES, type PairOptions, shortOf } from "./engine_pair.ts";
import * as packets from "./super_packets.ts";
import { SHAPE, type Shape } from "./super_packets.ts";

const MTU = 1_000;
const ETHERNET = 14;
const VIRTIO = 10;
/** One UDP datagram of 3,000 octets in one frame. */
const LARGE: Shape = { ...SHAPE, udp: true, size: 3_000, payload: 3_000 };
const dropped = (end: End) => end.engine.counts().dropped;

/** Two ends, of which the second has containers of a small MTU. */
function pair(options: PairOptions = {}): [End, End] {
  return [
    enginePair({ mtu: 8_000, ...options })[0],
    enginePair({ mtu: 8_000, containerMtu: MTU, ...options })[1],
  ];
}

/** A packet of a TAP with one whole frame. `df`: nobody may cut it. */
function packet(of: Shape, { df = false, to = undefined as number | undefined } = {}): Uint8Array {
  const bytes = packets.superPacket(of);
  const ip = VIRTIO + ETHERNET;
  if (to !== undefined) bytes[VIRTIO] = to;
  if (!df && !of.ipv6) {
    // It has DF; the header's checksum stays right.
    bytes[ip + 6]! &= ~(IPV4_DF >> 8);
    const sum = u16At(bytes, ip + 10) + IPV4_DF;
    const fixed = (sum & 0xffff) + (sum >>> 16);
    [bytes[ip + 10], bytes[ip + 11]] = [fixed >> 8, fixed & 255];
  }
  return bytes;
}

/** Puts the payloads of IPv4 fragments together. */
function whole(fragments: readonly Uint8Array[]): Uint8Array {
  const parts = fragments.map((bytes) => {
    const ip = VIRTIO + ETHERNET;
    return {
      at: (u16At(bytes, ip + 6) & 0x1fff) * 8,
      data: bytes.subarray(ip + 20, ip + u16At(bytes, ip + 2)),
    };
  });
  const out = new Uint8Array(Math.max(...parts.map(({ at, data }) => at + data.length)));
  for (const { at, data } of parts) out.set(data, at);
  return out;
}

Deno.test("a packet larger than containers take is delivered in fragments, in order, with a whole checksum", () => {
  for (const partial of [false, true]) {
    const [a, b] = pair({ partial });
    const small = packet({ ...LARGE, size: 100, payload: 100 });
    for (const one of [small, packet(LARGE), small]) a.send(one);
    carry(a, b);
    const list = b.taken.map((one) => one.packet);
    assert.deepEqual(list.map((one) => one.length - VIRTIO - ETHERNET <= MTU), list.map(() => true));
    assert.deepEqual([list[0]!.length, list.at(-1)!.length], [small.length, small.length]);
    const [frame] = packets.cutPlainly(packet(LARGE));
    assert.deepEqual(whole(list.slice(1, -1)), frame!.subarray(ETHERNET + 20));
    assert.deepEqual(dropped(b), {});
    assert.ok(b.taken.every(({ key }) => key.id === vniOf(shortOf(0), shortOf(1))));
  }
});

Deno.test("what must not be cut is answered: its sender is told what containers take, by this host's own address", () => {
  for (const ipv6 of [false, true]) {
    const [a, b] = pair();
    const of = { ...LARGE, ipv6 };
    a.send(packet(of, { df: !ipv6 }));
    carry(a, b);
    assert.deepEqual(b.taken, []);
    assert.deepEqual(dropped(b), { [TOO_LARGE_HERE]: 1 });
    carry(b, a);
    const [answer] = a.taken;
    assert.equal(answer?.key.id, vniOf(shortOf(1), shortOf(0)));
    const bytes = answer!.packet.subarray(VIRTIO);
    const mac = [...bytes.subarray(6, 12)].map((octet) => octet.toString(16).padStart(2, "0")).join(":");
    assert.equal(mac, NAMES[1]);
    const icmp = ETHERNET + (ipv6 ? 40 : 20);
    const [kind, mtu] = ipv6 ? [2, 1_280] : [3, MTU];
    assert.deepEqual([bytes[icmp], u16At(bytes, icmp + 6)], [kind, mtu]);
  }
});

Deno.test("nobody is answered about what went to many, or is no IP; packets for others pass as they are", () => {
  const [a, b] = pair();
  a.send(packet(LARGE, { df: true, to: 0xff }));
  const odd = packet(LARGE);
  odd.fill(0x7f, VIRTIO + 12, VIRTIO + ETHERNET);
  a.send(odd);
  carry(a, b);
  carry(b, a);
  assert.deepEqual([a.taken, b.taken, dropped(b)], [[], [], { [TOO_LARGE_HERE]: 2 }]);
  const tagged = packet({ ...LARGE, tags: 1, payload: MTU - 28 }, { df: true });
  a.send(tagged);
  carry(a, b);
  assert.equal(b.taken[0]?.packet.length, tagged.length, "a tag does not count");
});
