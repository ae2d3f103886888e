import assert from "node:assert/strict";
import { fromHex, toHex } from "../../../../mod/core/bytes.ts";
import { type ConnUid, parsePeerName, peerNameFromNumber } from "../../../../mod/core/names.ts";
import {
  FrameReader,
  isDfPacket,
  MAX_PAYLOAD,
  MAX_SEQUENCE,
  PacketWriter,
  PARTIAL_FLAG,
  type PeerNumber,
  peerNumber,
  PLAIN_FRAMES,
  SEALED_FRAMES,
  senderOf,
  sequenceOf,
  sleeveOverheads,
  writeNonce,
  writeSequence,
} from "../../../../mod/wire/mesh/sleeve.ts";
import {
  decodeSpecial,
  encodeVerifiedMtu,
  isSpecialFrame,
} from "../../../../mod/wire/mesh/sleeve_special.ts";
import {
  decodeVerifiedMtu,
  type SpecialFrame,
  specialLength,
} from "../../../../mod/wire/mesh/sleeve_special.ts";
import { writeSpecial } from "../../../../mod/wire/mesh/sleeve_special.ts";
import { fuzz } from "../../fuzz.ts";
import { check, fc } from "../../properties.ts";
import { loadVectors } from "../../vectors.ts";

interface VectorFrame {
  readonly src: string;
  readonly dst: string;
  readonly frame?: string;
  readonly frame_len: number;
}
interface VectorPacket {
  readonly name: string;
  readonly encrypted: boolean;
  readonly frames: readonly VectorFrame[];
  readonly packet?: string;
  readonly packet_len: number;
  readonly packet_prefix?: string;
  readonly packet_sha256?: string;
}
const vectors = loadVectors("dataplane-sleeve");
const captured = loadVectors("dataplane-captured");
const plain = (vectors.packets as VectorPacket[]).filter((packet) => !packet.encrypted);

const nameOf = (hex: string) => peerNumber(parsePeerName(hex.replace(/..(?!$)/g, "$&:"))!);
const bytesOf = (frame: VectorFrame) =>
  frame.frame === undefined ? new Uint8Array(frame.frame_len) : fromHex(frame.frame);

interface Frame {
  readonly src: PeerNumber;
  readonly dst: PeerNumber;
  readonly frame: string;
}
function readAll(bytes: Uint8Array, from = PLAIN_FRAMES, to = bytes.length) {
  const reader = new FrameReader();
  const frames: Frame[] = [];
  reader.start(bytes, from, to);
  while (reader.next()) {
    assert.ok(reader.to <= to && reader.from <= reader.to);
    frames.push({ src: reader.src, dst: reader.dst, frame: toHex(bytes.subarray(reader.from, reader.to)) });
  }
  assert.ok(!reader.next(), "stays at the end");
  return { frames, failure: reader.failure };
}

Deno.test("PacketWriter makes the packets of the original, FrameReader takes them apart", async () => {
  for (const row of plain) {
    const buffer = new Uint8Array(MAX_PAYLOAD + 3).fill(0xee);
    const writer = new PacketWriter();
    const sender = nameOf("0a1122334455");
    writer.start(buffer, 3, { sender, sealed: false, limit: MAX_PAYLOAD });
    assert.ok(writer.empty);
    for (const frame of row.frames) {
      assert.ok(writer.add(nameOf(frame.src), nameOf(frame.dst), bytesOf(frame)));
    }
    assert.equal(writer.length, row.packet_len, row.name);
    const packet = buffer.slice(3, writer.to);
    if (row.packet !== undefined) assert.equal(toHex(packet), row.packet, row.name);
    else {
      assert.ok(toHex(packet).startsWith(row.packet_prefix!));
      assert.equal(toHex(new Uint8Array(await crypto.subtle.digest("SHA-256", packet))), row.packet_sha256);
    }
    assert.equal(senderOf(packet, 0, packet.length), sender);
    assert.deepEqual(readAll(packet), {
      failure: undefined,
      frames: row.frames.map((frame) => ({
        src: nameOf(frame.src),
        dst: nameOf(frame.dst),
        frame: toHex(bytesOf(frame)),
      })),
    });
  }
});

Deno.test("captured sleeve packets are read, and written again as they were", () => {
  const relayed = captured.sleeve_relay_chain.packets.map((row: { udp_payload: string }) => ({
    name: "relay",
    hex: row.udp_payload,
    expect: { frames: 1 },
  }));
  const payloads = [
    ...captured.packets.filter((row: { name: string }) => /UDP payload/.test(row.name)),
    ...relayed,
  ];
  assert.equal(payloads.length, 6);
  for (const { name, hex, expect } of payloads) {
    const packet = fromHex(hex);
    const { frames, failure } = readAll(packet);
    assert.equal(failure, undefined, name);
    assert.equal(frames.length, expect.frames, name);
    const writer = new PacketWriter();
    const again = new Uint8Array(packet.length);
    writer.start(again, 0, {
      sender: senderOf(packet, 0, packet.length) as PeerNumber,
      sealed: false,
      limit: packet.length,
    });
    for (const { src, dst, frame } of frames) assert.ok(writer.add(src, dst, fromHex(frame)));
    assert.equal(toHex(again), hex, name);
  }
});

Deno.test("captured heartbeat, probe and fragmentation test are what they were", () => {
  const [heartbeat, probe, , , fragTest] = captured.packets.map((row: { hex: string }) => fromHex(row.hex));
  const special = (bytes: Uint8Array<ArrayBuffer>, length?: number) => {
    const whole = new Uint8Array(28 + PLAIN_FRAMES + 14 + (length ?? 22));
    whole.set(bytes);
    const [frame] = readAll(whole, 28 + PLAIN_FRAMES).frames;
    const decoded = decodeSpecial(fromHex(frame!.frame), 0, frame!.frame.length / 2);
    return decoded.ok ? decoded.value : decoded.reason;
  };
  assert.deepEqual(special(heartbeat), { kind: "heartbeat", connUid: 0xc9adbfe7babe9184n });
  assert.equal(senderOf(heartbeat, 28, heartbeat.length), 2);
  assert.deepEqual(special(probe, 1452), { kind: "mtu-probe", mtu: 1438 });
  assert.deepEqual(special(fragTest, 60_001), { kind: "frag-test" });
});

Deno.test("sleeveOverheads() are those of the original", () => {
  for (const [name, sealed] of [["plain", false], ["encrypted", true]] as const) {
    const { packet, overheadDF, mtu_for_underlay_1500: mtu } = vectors.overheads[name];
    assert.deepEqual(sleeveOverheads({ sealed }), { packet, outer: 28, df: overheadDF });
    assert.equal(1500 - sleeveOverheads({ sealed }).df, mtu);
    assert.equal(sleeveOverheads({ sealed, ipv6: true }).df, overheadDF + 20);
  }
});

Deno.test("FrameReader hands out the frames before garbage, and says what is wrong", () => {
  const packet = plain.find((row) => row.name === "plain-arp-broadcast")!.packet!;
  const garbage = readAll(fromHex(packet + "0102"));
  assert.equal(garbage.frames.length, 1);
  assert.equal(garbage.failure, "packet has 2 bytes behind its last frame");
  const short = readAll(fromHex(packet + "0a1122334455" + "0eaabbccddee" + "0009" + "010203"));
  assert.equal(short.frames.length, 1);
  assert.equal(short.failure, "frame of 9 bytes is cut to 3");
  assert.deepEqual(readAll(fromHex(packet), 6, 6), { frames: [], failure: undefined });
});

Deno.test("PacketWriter keeps to its limit", () => {
  const writer = new PacketWriter();
  const buffer = new Uint8Array(100);
  writer.start(buffer, 0, { sender: nameOf("0a1122334455"), sealed: true, limit: SEALED_FRAMES + 14 + 20 });
  const peer = 1 as PeerNumber;
  assert.equal(writer.reserve(peer, peer, 21), -1);
  assert.ok(writer.fits(20));
  assert.equal(writer.reserve(peer, peer, 20), SEALED_FRAMES + 14);
  assert.ok(!writer.add(peer, peer, new Uint8Array(0)));
  assert.equal(writer.length, SEALED_FRAMES + 34);
});

Deno.test("S and nonce say direction, channel and number", () => {
  check(fc.property(fc.maxSafeNat(), fc.boolean(), fc.boolean(), (seq, df, outbound) => {
    const packet = new Uint8Array(SEALED_FRAMES);
    const nonce = new Uint8Array(24);
    writeSequence(packet, 0, seq, df);
    writeNonce(nonce, outbound, packet, 0);
    assert.equal(sequenceOf(packet, 0, packet.length), seq);
    assert.equal(isDfPacket(packet, 0), df);
    const s = (df ? 1n << 63n : 0n) | BigInt(seq);
    assert.equal(toHex(nonce), (outbound ? "80" : "00") + "00".repeat(15) + s.toString(16).padStart(16, "0"));
  }));
  const beyond = new Uint8Array(SEALED_FRAMES);
  beyond.set(fromHex("0020000000000000"), 6);
  assert.equal(sequenceOf(beyond, 0, SEALED_FRAMES), -1, `more than ${MAX_SEQUENCE}`);
  assert.equal(sequenceOf(beyond, 0, SEALED_FRAMES - 1), -1, "cut");
});

Deno.test("a name as number is its octets", () => {
  check(fc.property(fc.nat({ max: 2 ** 48 - 1 }), (number) => {
    assert.equal(peerNumber(peerNameFromNumber(number)!), number);
  }));
});

Deno.test("special frames come back from what was written", () => {
  const rows: SpecialFrame[] = [
    { kind: "heartbeat", connUid: 0x1122334455667788n as ConnUid },
    { kind: "heartbeat", connUid: 0n as ConnUid },
    { kind: "heartbeat", connUid: 0xffff_ffff_ffff_ffffn as ConnUid },
    { kind: "beat", connUid: 0x1122334455667788n as ConnUid, ask: true, seq: 0xfedc },
    { kind: "mtu-verified", connUid: 5n as ConnUid, mtu: 0x1234 },
    { kind: "beat", connUid: 0n as ConnUid, ask: false, seq: 0 },
    { kind: "frag-test" },
    { kind: "mtu-probe", mtu: 1438 },
    { kind: "mtu-probe", mtu: 0 },
  ];
  for (const row of rows) {
    const length = specialLength(row);
    const bytes = new Uint8Array(length + 4).fill(0xee);
    writeSpecial(bytes, 2, row);
    assert.deepEqual(decodeSpecial(bytes, 2, 2 + length), { ok: true, value: row });
    assert.deepEqual([bytes[1], bytes[length + 2]], [0xee, 0xee]);
  }
  const broken = new Uint8Array(60_001);
  broken[60_000] = 1;
  assert.ok(!decodeSpecial(broken, 0, broken.length).ok);
  assert.ok(!isSpecialFrame(new Uint8Array(13), 0, 13));
});

Deno.test("sizes in control messages are those of the original", () => {
  const messages = loadVectors("dataplane-control").messages as { name: string; hex: string; mtu?: number }[];
  for (const { name, hex, mtu } of messages.filter((row) => /sleeve PMTU/.test(row.name))) {
    const payload = hex.slice(/bare/.test(name) ? 2 : 6);
    assert.equal(toHex(encodeVerifiedMtu(mtu!)), payload);
    assert.deepEqual(decodeVerifiedMtu(fromHex(payload)), { ok: true, value: mtu });
  }
});

Deno.test("readers of packets return whatever they are given", () => {
  const samples = [...plain.filter((row) => row.packet !== undefined && row.packet_len < 300)].map((row) =>
    fromHex(row.packet!)
  );
  fuzz((bytes) => {
    sequenceOf(bytes, 0, bytes.length);
    decodeVerifiedMtu(bytes);
    decodeSpecial(bytes, 0, bytes.length);
    return bytes.length < 6 ? senderOf(bytes, 0, bytes.length) : readAll(bytes);
  }, samples);
});

Deno.test("PARTIAL_FLAG marks frames where both ends know it, and never a long frame's length", () => {
  const [src, dst] = [1, 2] as PeerNumber[] as [PeerNumber, PeerNumber];
  const bytes = new Uint8Array(70_000);
  const writer = new PacketWriter();
  const read = (extended: boolean) => {
    const reader = new FrameReader();
    reader.start(bytes, PLAIN_FRAMES, writer.to, extended);
    const frames: [number, boolean][] = [];
    while (reader.next()) frames.push([reader.to - reader.from, reader.partial]);
    return { frames, failure: reader.failure };
  };
  writer.start(bytes, 0, { sender: src, sealed: false, limit: PARTIAL_FLAG - 1 });
  writer.reserve(src, dst, 1_000, PARTIAL_FLAG);
  writer.reserve(src, dst, 60, 0);
  writer.reserve(src, dst, 31_000, PARTIAL_FLAG);
  const marked: [number, boolean][] = [[1_000, true], [60, false], [31_000, true]];
  assert.deepEqual(read(true), { frames: marked, failure: undefined });
  assert.notEqual(read(false).failure, undefined);
  // Our own vector: a frame of two octets, marked.
  writer.start(bytes, 0, { sender: src, sealed: false, limit: 100 });
  writer.reserve(src, dst, 2, PARTIAL_FLAG);
  assert.equal(toHex(bytes.subarray(0, 20)), "000000000001000000000001000000000002" + "8002");
  writer.start(bytes, 0, { sender: src, sealed: false, limit: MAX_PAYLOAD });
  writer.reserve(src, dst, 60_001);
  assert.deepEqual(read(true), { frames: [[60_001, false]], failure: undefined });
});
