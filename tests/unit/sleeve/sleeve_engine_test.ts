import assert from "node:assert/strict";
import { fromHex, toHex } from "../../../mod/core/bytes.ts";
import type { ConnUid, PeerName } from "../../../mod/core/names.ts";
import type { LinkId } from "../../../mod/core/overlay_port.ts";
import type { Millis } from "../../../mod/core/time.ts";
import { loadSealer } from "../../../mod/sys/sealer.ts";
import { TCP_FLAG } from "../../../mod/wire/packet/transport.ts";
import { vniOf } from "../../../mod/wire/packet/vxlan.ts";
import { fuzz, mutate } from "../fuzz.ts";
import { check, fc, seededRandom, withSeed } from "../properties.ts";
import { loadVectors } from "../vectors.ts";
import { addressOf, carry, type End, enginePair, LINK, type PairOptions, shortOf } from "./engine_pair.ts";
import * as packets from "./super_packets.ts";
import { SHAPE, type Shape } from "./super_packets.ts";

const sealer = await loadSealer();
const SMALL: Shape = { ...SHAPE, size: 1_000, payload: 1_000 };
const SEALED: PairOptions = {
  sealer,
  protection: { kind: "sealed", sessionKey: new Uint8Array(32).fill(3) },
};
const VARIANTS: readonly PairOptions[] = [{}, { partial: true }, SEALED, { ...SEALED, partial: true }];
const hex = (list: readonly Uint8Array[]) => list.map(toHex);
/** Frames with complete checksums that packets of a TAP stand for. */
const framesOf = (list: readonly Uint8Array[]) => hex(list.flatMap((packet) => packets.cutPlainly(packet)));
const dropped = (end: End) => end.engine.counts().dropped;

Deno.test("SleeveEngine carries any super-packet to the other end, whole, in every variant", () => {
  for (const options of VARIANTS) {
    check(
      fc.property(fc.array(packets.shape, { minLength: 1, maxLength: 3 }), (shapes) => {
        const [a, b] = enginePair({ ...options, mtu: 1_600 });
        const sent = shapes.map(packets.superPacket);
        sent.forEach((packet) => a.send(packet));
        carry(a, b);
        assert.deepEqual(framesOf(b.taken.map((one) => one.packet)), framesOf(sent));
        assert.deepEqual(dropped(b), {});
        for (const { key } of b.taken) {
          assert.deepEqual(key, { link: LINK, id: vniOf(shortOf(0), shortOf(1)) });
        }
      }),
      { runs: 25 },
    );
  }
});

Deno.test("SleeveEngine sends a super-packet's segments as equal datagrams and joins them to one packet", () => {
  for (const options of VARIANTS) {
    const [a, b] = enginePair({ ...options, mtu: 1_500 });
    const packet = packets.superPacket({ ...SHAPE, payload: 40 * SHAPE.size });
    a.send(packet);
    a.flush();
    assert.deepEqual([...new Set(a.socket.sent.map((one) => one.bytes.length))].length, 1);
    assert.equal(a.socket.sent.length, 40);
    assert.ok(a.socket.sent.every((one) => one.df));
    carry(a, b);
    assert.deepEqual(hex(b.taken.map((one) => one.packet)), [toHex(packet)]);
  }
});

Deno.test("SleeveEngine notes the largest datagram of traffic, and tells it when the core does not look by itself", () => {
  const [a] = enginePair({ mtu: 1_500 });
  const { use } = a.path;
  const traffic = () => a.news.splice(0).filter((one) => one.kind === "traffic").length;
  a.send(packets.superPacket({ ...SHAPE, payload: 100 }));
  a.flush();
  assert.deepEqual([use, traffic()], [{ largest: 552, asleep: true }, 1], "small ones are surely carried");
  const small = packets.superPacket({ ...SHAPE, payload: 500 });
  for (let i = 0; i < 4; i++) a.send(small);
  a.flush();
  const largest = Math.max(...a.socket.sent.map((one) => one.bytes.length));
  assert.ok(largest > 1_000, "small frames travel together");
  assert.deepEqual([use, traffic()], [{ largest, asleep: false }, 1]);
  a.send(packets.superPacket({ ...SHAPE, payload: 1_400 }));
  a.flush();
  assert.ok(use.largest > largest);
  assert.equal(traffic(), 0, "the core looks by itself");
  const before = use.largest;
  a.engine.perform(
    { kind: "special", link: LINK, df: true, frame: { kind: "mtu-probe", mtu: 1_480 } },
    0 as Millis,
  );
  a.flush();
  assert.equal(use.largest, before, "a probe is no traffic");
});

Deno.test("SleeveEngine puts small frames into one datagram, in order with large ones", () => {
  const [a, b] = enginePair({ partial: true });
  const small = (id: number) => packets.superPacket({ ...SHAPE, udp: true, payload: 64, size: 64, id });
  const list = [small(1), small(2), packets.superPacket({ ...SHAPE, size: 1_300, payload: 2_600 }), small(3)];
  list.forEach((packet) => a.send(packet));
  a.flush();
  assert.equal(a.socket.sent.length, 4);
  carry(a, b);
  assert.deepEqual(framesOf(b.taken.map((one) => one.packet)), framesOf(list));
});

Deno.test("SleeveEngine delivers nothing but what was sent, whatever the network does to it", () => {
  const random = seededRandom();
  withSeed(() => {
    for (let round = 0; round < 40; round++) {
      const [a, b] = enginePair({ ...VARIANTS[round % VARIANTS.length]!, mtu: 1_000 });
      const shapes: Shape[] = Array.from({ length: 1 + random.below(6) }, (_, i) => ({
        ...SHAPE,
        udp: random.below(3) === 0,
        ipv6: random.below(3) === 0,
        seq: i * 100_000,
        id: i * 100,
        size: 900,
        payload: 1 + random.below(random.below(3) === 0 ? 20_000 : 800),
      })).map((shape) => shape.udp ? { ...shape, payload: Math.min(shape.payload, 900) } : shape);
      const sent = shapes.map(packets.superPacket);
      sent.forEach((packet) => a.send(packet));
      a.flush();
      const network = a.socket.sent.splice(0).flatMap((one) =>
        Array(random.below(8) === 0 ? random.below(3) : 1).fill(one)
      );
      for (let i = 0; i + 1 < network.length; i++) {
        const j = Math.min(network.length - 1, i + random.below(3));
        [network[i], network[j]] = [network[j], network[i]];
      }
      b.socket.inbox.push(...network);
      b.drain();
      const allowed = new Set(framesOf(sent));
      for (const frame of framesOf(b.taken.map((one) => one.packet))) assert.ok(allowed.has(frame), frame);
    }
  });
});

Deno.test("SleeveEngine takes datagrams that are forged, cut or mutated for the price of a counter", () => {
  const random = seededRandom();
  withSeed(() => {
    for (const options of VARIANTS) {
      const sealed = options.protection !== undefined;
      const [a, b] = enginePair(options);
      a.send(packets.superPacket({ ...SHAPE, size: 1_300, payload: 5_000 }));
      a.send(packets.superPacket({ ...SHAPE, udp: true, payload: 64, size: 64 }));
      a.engine.perform(
        { kind: "special", link: LINK, df: true, frame: { kind: "heartbeat", connUid: 7n as ConnUid } },
        0 as Millis,
      );
      a.flush();
      const good = a.socket.sent.splice(0);
      for (const { bytes, df, source } of good) {
        for (let end = 0; end < bytes.length; end += 7) {
          b.socket.inbox.push({ bytes: bytes.slice(0, end), df, source });
        }
        for (let i = 0; i < 50; i++) {
          let changed = mutate(bytes, random);
          if (toHex(changed) === toHex(bytes)) changed = new Uint8Array(3);
          b.socket.inbox.push({ bytes: changed, df, source });
        }
      }
      for (let i = 0; i < 200; i++) {
        b.socket.inbox.push({ bytes: random.bytes(random.below(300)), df: true, source: addressOf(0) });
      }
      b.drain();
      if (sealed) assert.deepEqual([b.taken, b.news], [[], []]);
      const counted = Object.values(dropped(b)).reduce((sum, count) => sum + count, 0);
      assert.ok(counted > 300);
      // And it works on.
      b.socket.inbox.push(...good);
      b.taken.length = 0;
      b.drain();
      assert.ok(b.taken.length >= 2);
      assert.deepEqual(b.news.at(-1), {
        kind: "special",
        link: LINK,
        frame: { kind: "heartbeat", connUid: 7n as ConnUid },
        source: addressOf(0),
      });
    }
  });
});

Deno.test("SleeveEngine takes a sealed packet once, and no clear packet on a sealed link", () => {
  const [a, b] = enginePair(SEALED);
  a.send(packets.superPacket(SMALL));
  a.flush();
  const good = a.socket.sent.splice(0);
  b.socket.inbox.push(...good, ...good);
  b.drain();
  assert.equal(b.taken.length, 1);
  assert.deepEqual(dropped(b), { replayed: 1 });
  const [clear] = enginePair();
  clear.send(packets.superPacket(SMALL));
  carry(clear, b);
  assert.equal(b.taken.length, 1);
  assert.equal(dropped(b)["damaged"], 1);
});

Deno.test("SleeveEngine takes clear frames from the link's address only, its special frames from anywhere", () => {
  const [a, b] = enginePair();
  a.send(packets.superPacket(SMALL));
  const frame = { kind: "heartbeat", connUid: 9n as ConnUid } as const;
  a.engine.perform({ kind: "special", link: LINK, df: true, frame }, 0 as Millis);
  a.flush();
  const source = { ...addressOf(0), port: 40_000 };
  b.socket.inbox.push(...a.socket.sent.splice(0).map((one) => ({ ...one, source })));
  b.drain();
  assert.deepEqual(b.taken, []);
  assert.deepEqual(dropped(b), { "wrong-address": 1 });
  assert.deepEqual(b.news, [{ kind: "special", link: LINK, frame, source }]);
});

Deno.test("SleeveEngine answers what is too big in the name of its destination", () => {
  const [a] = enginePair({ mtu: 1_000 });
  a.send(packets.superPacket({ ...SHAPE, payload: 1_200 }));
  a.send(packets.superPacket({ ...SHAPE, payload: 1_200 }), true);
  assert.equal(a.taken.length, 1);
  const { key, packet } = a.taken[0]!;
  assert.equal(key.id, vniOf(shortOf(1), shortOf(0)));
  assert.deepEqual([...packet.subarray(0, 10)], Array(10).fill(0));
  assert.deepEqual([packet[10 + 14 + 20], packet[10 + 14 + 21]], [3, 4]);
  assert.deepEqual(dropped(a), { "too-big": 2 });
});

Deno.test("SleeveEngine answers what is too big once the MTU is settled, each pair of addresses once", () => {
  const [a] = enginePair({ mtu: 1_500 });
  a.path.mtu = 600;
  a.path.unsettled = true;
  const packet = packets.superPacket({ ...SHAPE, payload: 2 * SHAPE.size });
  for (let i = 0; i < 100; i++) a.send(packet);
  a.flush();
  assert.deepEqual([a.taken.length, dropped(a)["too-big"]], [0, 100]);
  a.path.mtu = 1_100;
  a.path.unsettled = false;
  a.flush();
  assert.equal(a.taken.length, 1);
  const answer = a.taken[0]!.packet.subarray(10 + 14);
  assert.deepEqual([...answer.subarray(20, 22), answer[26]! << 8 | answer[27]!], [3, 4, 1_100]);
  a.path.mtu = 600;
  a.path.unsettled = true;
  a.send(packet);
  a.path.mtu = 1_500;
  a.path.unsettled = false;
  a.flush();
  assert.equal(a.taken.length, 1, "what fits by now is sent again by itself");
});

Deno.test("SleeveEngine cuts IPv4 without DF where fragments of the network do not arrive", () => {
  const [a, b] = enginePair({ mtu: 1_000 });
  a.path.fragmentsArrive = false;
  const packet = packets.superPacket({ ...SHAPE, udp: true, payload: 2_500, size: 2_500 });
  packet[10 + 14 + 6] = 0; // may be fragmented
  packet.set([packet[10 + 14 + 10]! + 0x40], 10 + 14 + 10); // and so its header's checksum
  a.send(packet);
  carry(a, b);
  assert.equal(b.taken.length, 3);
  const payload = b.taken.reduce((sum, one) => sum + one.packet.length - 10 - 34, 0);
  assert.equal(payload, 2_508);
});

Deno.test("SleeveEngine clamps the segment size of handshakes to the link", () => {
  const [a, b] = enginePair({ mtu: 1_000, partial: true });
  const packet = packets.superPacket({ ...SHAPE, flags: TCP_FLAG.syn, tcpOptions: 12, payload: 1, size: 1 });
  packet.set([2, 4, 5, 0xb4], 10 + 14 + 20 + 20);
  a.send(packet);
  carry(a, b);
  const option = b.taken[0]!.packet.subarray(10 + 14 + 20 + 20, 10 + 14 + 20 + 24);
  assert.deepEqual([...option], [2, 4, 960 >> 8, 960 & 255]);
  assert.equal(a.engine.clamped, 1);
});

Deno.test("SleeveEngine tells what the kernel refused for its size, and counts it", () => {
  const [a] = enginePair({ mtu: 60_000 });
  a.socket.pathMtu = 1_500;
  a.engine.perform(
    { kind: "special", link: LINK, df: true, frame: { kind: "mtu-probe", mtu: 59_986 } },
    0 as Millis,
  );
  a.flush();
  assert.deepEqual(a.news, [{ kind: "too-big", link: LINK, interfaceMtu: 1_500, routeMtu: 1_500 }]);
  assert.deepEqual(dropped(a), { "path-too-small": 1 });
});

Deno.test("SleeveEngine sends special frames alone, with DF or without as asked", () => {
  const [a, b] = enginePair();
  a.send(packets.superPacket({ ...SHAPE, udp: true, payload: 64, size: 64 }));
  const perform = (df: boolean, frame: Parameters<typeof a.engine.perform>[0] & { kind: "special" }) =>
    a.engine.perform({ ...frame, df }, 0 as Millis);
  perform(true, { kind: "special", link: LINK, df: true, frame: { kind: "mtu-probe", mtu: 1_400 } });
  perform(false, { kind: "special", link: LINK, df: false, frame: { kind: "frag-test" } });
  a.flush();
  assert.deepEqual(a.socket.sent.map((one) => [one.bytes.length, one.df]), [
    [20 + 106, true],
    [20 + 1_414, true],
    [20 + 60_001, false],
  ]);
  carry(a, b);
  assert.deepEqual(b.news.map((one) => one.kind === "special" && one.frame), [
    { kind: "mtu-probe", mtu: 1_400 },
    { kind: "frag-test" },
  ]);
});

Deno.test("SleeveEngine tells when traffic begins, and what shows that the peer is there", () => {
  for (const options of VARIANTS) {
    const [a, b] = enginePair(options);
    a.send(packets.superPacket(SMALL));
    a.send(packets.superPacket(SMALL));
    carry(a, b);
    assert.deepEqual(a.news, [{ kind: "traffic", link: LINK }]);
    assert.deepEqual([a.path.carried, b.path.heard, b.path.carried], [2, 1, 0]);
  }
  const [a, b] = enginePair();
  a.send(packets.superPacket(SMALL));
  a.flush();
  const source = { ...addressOf(0), port: 40_000 };
  b.socket.inbox.push(...a.socket.sent.splice(0).map((one) => ({ ...one, source })));
  b.drain();
  assert.equal(b.path.heard, 0, "anybody may have sent it");
});

Deno.test("SleeveEngine knows closed links, unknown links and unknown peers no more", () => {
  const [a, b] = enginePair();
  a.send(packets.superPacket(SMALL));
  b.engine.perform({ kind: "sleeve-close", link: LINK }, 0 as Millis);
  b.engine.perform({ kind: "sleeve-close", link: 99 as LinkId }, 0 as Millis);
  carry(a, b);
  assert.deepEqual(dropped(b), { "unknown-sender": 1 });
  b.send(packets.superPacket(SMALL));
  assert.equal(dropped(b)["no-link"], 1);
  const bytes = packets.superPacket(SMALL);
  a.engine.send({ link: LINK, id: vniOf(shortOf(0), shortOf(9)) }, bytes, {
    from: 0,
    to: bytes.length,
    broadcast: false,
  });
  assert.deepEqual(dropped(a), { "unknown-peer": 1 });
});

Deno.test("SleeveEngine delivers the frames of the original's packets, and from whom to whom", () => {
  const vectors = loadVectors("dataplane-sleeve");
  const names = ["0a1122334455", "0eaabbccddee", "020000000009"];
  const dotted = names.map((name) => name.replace(/..(?!$)/g, "$&:") as PeerName);
  for (const row of vectors.packets) {
    if (row.packet === undefined) continue;
    const self = row.packet.startsWith(names[0]!) ? 1 : 0;
    const sessionKey = fromHex(vectors.session_key);
    const [a, b] = enginePair({
      ...{ sealer, names: dotted },
      protection: row.encrypted ? { kind: "sealed", sessionKey } : { kind: "clear" },
    });
    const end = [a, b][self]!;
    end.socket.inbox.push({ bytes: fromHex(row.packet), df: true, source: addressOf(1 - self) });
    end.drain();
    type Frame = { src: string; dst: string; frame: string };
    const short = (name: string) => shortOf(names.indexOf(name));
    const special = (row.frames as Frame[]).filter(({ frame }) => frame.startsWith("00".repeat(14)));
    assert.equal(end.news.length, special.length, row.name);
    assert.deepEqual(
      end.taken.map(({ key, packet }) => [key.id, toHex(packet.subarray(10))]),
      (row.frames as Frame[]).filter((one) => !special.includes(one)).map((
        { src, dst, frame },
      ) => [vniOf(short(src), short(dst)), frame]),
      row.name,
    );
  }
});

Deno.test("SleeveEngine sends or counts whatever a container puts on the wire", () => {
  const shapes: readonly Shape[] = [
    { ...SHAPE, payload: 9_000 },
    { ...SHAPE, ipv6: true, options: 8, payload: 3_000 },
    { ...SHAPE, udp: true, size: 2_500, payload: 2_500 },
    { ...SHAPE, tags: 2, flags: TCP_FLAG.syn },
  ];
  for (const mtu of [68, 1_000, 65_535]) {
    for (const fragmentsArrive of [true, false]) {
      const [a, b] = enginePair({ partial: mtu === 1_000, mtu });
      a.path.fragmentsArrive = fragmentsArrive;
      a.path.maxPayload = Math.min(a.path.maxPayload, 65_507);
      let count = 0;
      fuzz(
        (bytes) => {
          a.send(bytes, count++ % 3 === 0);
          a.flush();
          return true;
        },
        shapes.map(packets.superPacket),
        { mutations: 60, randoms: 60, truncations: 60 },
      );
      a.send(packets.superPacket({ ...SMALL, udp: true, payload: 20, size: 20 }));
      carry(a, b);
      assert.equal(dropped(b)["undecodable"], undefined);
      assert.ok(b.taken.length > 0);
    }
  }
});

Deno.test("SleeveEngine sends no frame of a container that passes for one of its own", () => {
  const [a, b] = enginePair();
  a.send(new Uint8Array(10 + 14 + 50));
  carry(a, b);
  assert.deepEqual([b.taken, b.news], [[], []]);
  assert.deepEqual(dropped(a), { reserved: 1 });
});
