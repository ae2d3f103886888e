import assert from "node:assert/strict";
import { internetChecksum } from "../../../../mod/core/checksum.ts";
import { fromHex, toHex } from "../../../../mod/core/bytes.ts";
import {
  LONGEST_TOO_BIG,
  writeFragNeeded,
  writePacketTooBig,
} from "../../../../mod/wire/packet/icmp_too_big.ts";
import { IPV4_DF, ipv4HeaderOf, isIpv6, u16At } from "../../../../mod/wire/packet/inner_frame.ts";
import { Ipv4Fragmenter } from "../../../../mod/wire/packet/inner_ipv4.ts";
import { isSpecialFrame } from "../../../../mod/wire/mesh/sleeve_special.ts";
import { fuzz } from "../../fuzz.ts";
import { check, fc } from "../../properties.ts";
import { loadVectors } from "../../vectors.ts";

const vectors = loadVectors("dataplane-frames");

Deno.test("frames are classified as the original does", () => {
  for (const row of vectors.classify) {
    const frame = fromHex(row.frame);
    const shifted = fromHex("ee0a0b" + row.frame + "ee0a");
    for (const [bytes, from, to] of [[frame, 0, frame.length], [shifted, 3, 3 + frame.length]] as const) {
      const ipv4 = ipv4HeaderOf(bytes, from, to) > 0;
      assert.equal(ipv4 && (u16At(bytes, from + 20) & IPV4_DF) !== 0, row.df, row.name);
      assert.equal(isSpecialFrame(bytes, from, to), row.special, row.name);
      assert.equal(ipv4, row.layers_decoded === 2, row.name);
      assert.equal(isIpv6(bytes, from, to), row.name === "ipv6", row.name);
    }
  }
});

function pieces(frame: Uint8Array, mtu: number): string[] | undefined {
  const fragmenter = new Ipv4Fragmenter();
  if (!fragmenter.start(frame, 0, frame.length, mtu)) return undefined;
  const out: string[] = [];
  const buffer = new Uint8Array(fragmenter.longest + 5);
  for (let length = 0; (length = fragmenter.next(buffer.fill(0xee), 5)) > 0;) {
    assert.ok(out.length < 10_000);
    out.push(toHex(buffer.subarray(5, 5 + length)));
  }
  return out;
}

Deno.test("Ipv4Fragmenter cuts as the original does", () => {
  const { input, mtu, output } = vectors.fragment;
  assert.deepEqual(pieces(fromHex(input), mtu), output);
});

Deno.test("Ipv4Fragmenter leaves alone what it cannot cut", () => {
  const frame = fromHex(vectors.fragment.input);
  assert.equal(pieces(frame, 27), undefined, "no room for eight octets");
  assert.equal(pieces(fromHex(vectors.classify[0].frame), 60), undefined, "ARP");
  assert.equal(pieces(fromHex(vectors.classify[3].frame), 60), undefined, "tagged");
  const late = frame.slice();
  late.set([0x1f, 0xff], 20);
  assert.equal(pieces(late, 60), undefined, "beyond the largest packet");
  assert.deepEqual(pieces(frame, 1500), [vectors.fragment.input]);
});

/** An IPv4 frame with options, flags and offset as given. */
const ipv4Frame = fc.record({
  options: fc.uint8Array({ maxLength: 40 }).map((o) => o.subarray(0, o.length & ~3)),
  payload: fc.uint8Array({ minLength: 1, maxLength: 600 }),
  flags: fc.constantFrom(0, 0x2000),
  offset: fc.nat(100),
  padding: fc.nat(8),
}).map(({ options, payload, flags, offset, padding }) => {
  const header = 20 + options.length;
  const frame = new Uint8Array(14 + header + payload.length + padding);
  const view = new DataView(frame.buffer);
  frame.set(fromHex("ee0a0b0c0d0ec601020304050800"));
  view.setUint8(14, 0x40 | header / 4);
  view.setUint16(16, header + payload.length);
  view.setUint16(20, flags | offset);
  frame.set(fromHex("4011"), 22);
  frame.set(fromHex("0a2000010a200002"), 26);
  frame.set(options, 34);
  frame.set(payload, 14 + header);
  view.setUint16(24, internetChecksum(frame, 14, 14 + header));
  return { frame, header, payload, flags, offset };
});

Deno.test("Ipv4Fragmenter's pieces put together are the packet, and keep what follows it in mind", () => {
  check(fc.property(ipv4Frame, fc.integer({ min: 68, max: 700 }), (packet, mtu) => {
    const all = pieces(packet.frame, mtu)!.map(fromHex);
    const payload: number[] = [];
    all.forEach((piece, i) => {
      const view = new DataView(piece.buffer);
      assert.equal(internetChecksum(piece, 14, 14 + packet.header), 0);
      assert.ok(piece.length <= mtu + 14 && piece.length >= 60);
      const more = (view.getUint16(20) & 0x2000) !== 0;
      assert.equal(more, i < all.length - 1 || packet.flags !== 0);
      assert.equal(view.getUint16(20) & 0x1fff, packet.offset + payload.length / 8);
      payload.push(...piece.subarray(14 + packet.header, 14 + view.getUint16(16)));
      assert.deepEqual(piece.subarray(34, 14 + packet.header), packet.frame.subarray(34, 14 + packet.header));
    });
    assert.deepEqual(Uint8Array.from(payload), packet.payload);
  }));
});

function answer(write: typeof writeFragNeeded, frame: Uint8Array, mtu: number): string {
  const out = new Uint8Array(LONGEST_TOO_BIG + 4).fill(0xee);
  const length = write(frame, 0, frame.length, { mtu, out, at: 4 });
  assert.deepEqual(out.subarray(0, 4), fromHex("eeeeeeee"));
  return toHex(out.subarray(4, 4 + length));
}

Deno.test("writeFragNeeded() answers as the original does", () => {
  const { input, mtu, output } = vectors.frag_needed;
  assert.equal(answer(writeFragNeeded, fromHex(input), mtu), output);
});

Deno.test("writeFragNeeded() does not answer where that would be wrong", () => {
  const input: string = vectors.frag_needed.input;
  const changed = (at: number, hex: string) =>
    fromHex(input.slice(0, at * 2) + hex + input.slice(at * 2 + hex.length));
  const rows: [string, Uint8Array][] = [
    ["group destination", changed(0, "ff")],
    ["group source", changed(6, "01")],
    ["later fragment", changed(20, "4001")],
    ["multicast", changed(30, "e0000001")],
    ["no source", changed(26, "00000000")],
    ["ICMP error", changed(23, "01").fill(3, 34, 35)],
    ["not IPv4", changed(12, "86dd")],
  ];
  for (const [name, frame] of rows) assert.equal(answer(writeFragNeeded, frame, 1400), "", name);
  assert.notEqual(answer(writeFragNeeded, changed(23, "01").fill(8, 34, 35), 1400), "", "ICMP echo");
});

const IPV6 = "ee0a0b0c0d0ec601020304058" + "6dd" + "6123456707d00640" + "fd000000000000000000000000000001" +
  "fd000000000000000000000000000002";

Deno.test("writePacketTooBig() quotes up to the smallest MTU, with a checksum that holds", () => {
  const frame = new Uint8Array(14 + 40 + 2000).fill(0x5a);
  frame.set(fromHex(IPV6));
  const out = fromHex(answer(writePacketTooBig, frame, 1414));
  assert.equal(out.length, LONGEST_TOO_BIG);
  const head = "c60102030405ee0a0b0c0d0e86dd" + "6000000004d83a40" + IPV6.slice(-32) + IPV6.slice(-64, -32);
  assert.equal(toHex(out.subarray(0, 54)), head);
  assert.equal(toHex(out.subarray(54, 56)), "0200");
  assert.equal(toHex(out.subarray(58, 62)), "00000586");
  assert.deepEqual(out.subarray(62), frame.subarray(14, 14 + 1232));
  const pseudo = fromHex(toHex(out.subarray(22, 54)) + "000004d8" + "0000003a" + toHex(out.subarray(54)));
  assert.equal(internetChecksum(pseudo), 0);
  assert.equal(answer(writePacketTooBig, frame, 900).slice(116, 124), "00000500", "never below 1280");
});

Deno.test("writePacketTooBig() does not answer where that would be wrong", () => {
  const changed = (at: number, hex: string) => {
    const frame = new Uint8Array(14 + 40 + 2000).fill(0x81);
    frame.set(fromHex(IPV6));
    frame.set(fromHex(hex), at);
    return frame;
  };
  assert.equal(answer(writePacketTooBig, changed(0, "33"), 1400), "", "group destination");
  assert.equal(answer(writePacketTooBig, changed(38, "ff02"), 1400), "", "multicast destination");
  assert.equal(answer(writePacketTooBig, changed(22, "00".repeat(16)), 1400), "", "no source");
  const error = changed(20, "3a");
  error[54] = 1;
  assert.equal(answer(writePacketTooBig, error, 1400), "", "an error");
  error[54] = 128;
  assert.notEqual(answer(writePacketTooBig, error, 1400), "", "an echo request");
});

Deno.test("nothing that looks into frames trips over what the network sends", () => {
  const frames = [vectors.frag_needed.input, ...vectors.classify.map((row: { frame: string }) => row.frame)]
    .map(fromHex);
  frames.push(fromHex(IPV6 + "00".repeat(100)));
  const out = new Uint8Array(70_000);
  fuzz((bytes) => {
    const tail = [bytes, 0, bytes.length, { mtu: 1300, out, at: 0 }] as const;
    if (pieces(bytes, 68) === undefined) writeFragNeeded(...tail);
    return writePacketTooBig(...tail);
  }, frames);
});
