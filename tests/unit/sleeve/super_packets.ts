/** Super-packets and TCP frames to cut and join, made and checked in the plainest way. */
import assert from "node:assert/strict";
import { fromHex } from "../../../mod/core/bytes.ts";
import { TCP_FLAG } from "../../../mod/wire/packet/transport.ts";
import { fc } from "../properties.ts";

export interface Shape {
  readonly ipv6: boolean;
  readonly udp: boolean;
  readonly tags: number;
  /** IPv4 options or an IPv6 extension header, in octets: a multiple of 8. */
  readonly options: number;
  readonly tcpOptions: number;
  readonly flags: number;
  readonly seq: number;
  readonly id: number;
  readonly size: number;
  readonly payload: number;
  readonly fill: number;
}

const MACS = "ee0a0b0c0d0ec60102030405";
export const SHAPE: Shape = {
  ipv6: false,
  udp: false,
  tags: 0,
  options: 0,
  tcpOptions: 12,
  flags: TCP_FLAG.ack,
  seq: 1_000,
  id: 77,
  size: 1_448,
  payload: 1_448,
  fill: 0,
};

export const shape: fc.Arbitrary<Shape> = fc.record({
  ipv6: fc.boolean(),
  udp: fc.constant(false),
  tags: fc.nat(2),
  options: fc.constantFrom(0, 8, 16),
  tcpOptions: fc.constantFrom(0, 12, 40),
  flags: fc.constantFrom(0, TCP_FLAG.psh, TCP_FLAG.fin, TCP_FLAG.cwr, TCP_FLAG.ece, 0xc8, 0xc9).map((f) =>
    f | TCP_FLAG.ack
  ),
  seq: fc.constantFrom(0, 1, 0x1234_5678, 0xffff_f000, 0xffff_ffff),
  id: fc.constantFrom(0, 7, 0xfffe, 0xffff),
  size: fc.integer({ min: 100, max: 1_448 }),
  payload: fc.integer({ min: 1, max: 20_000 }),
  fill: fc.nat(0xffff),
});

/** Octet by octet: the sum of big-endian words, folded. */
export function slowSum(bytes: readonly number[]): number {
  let sum = 0;
  bytes.forEach((byte, i) => sum += i % 2 === 0 ? byte * 256 : byte);
  while (sum > 0xffff) sum = Math.floor(sum / 0x1_0000) + sum % 0x1_0000;
  return sum;
}

const be16 = (value: number) => [value >>> 8 & 255, value & 255];
const be32 = (value: number) => [...be16(value >>> 16), ...be16(value & 0xffff)];
const le16 = (value: number) => [value & 255, value >>> 8];

/** Where a shape's headers are. */
export function offsets(of: Shape) {
  const ip = 14 + 4 * of.tags;
  const transport = ip + (of.ipv6 ? 40 : 20) + of.options;
  return { ip, transport, payload: transport + (of.udp ? 8 : 20 + of.tcpOptions) };
}

/** The pseudo header and length of a frame of this shape, summed. */
export function pseudo(of: Shape, frame: readonly number[] | Uint8Array): number {
  const { ip, transport } = offsets(of);
  const addresses = of.ipv6 ? [...frame.slice(ip + 8, ip + 40)] : [...frame.slice(ip + 12, ip + 20)];
  return slowSum([...addresses, 0, of.udp ? 17 : 6, ...be16(frame.length - transport)]);
}

/** A frame of one segment (or of all, for a super-packet): right lengths and IP checksum, partial transport checksum. */
export function frameOf(of: Shape): Uint8Array<ArrayBuffer> {
  const { ip, transport, payload } = offsets(of);
  const total = payload + of.payload;
  const tags = [0x88, 0xa8, 0, 7, 0x81, 0, 0, 9].slice(8 - 4 * of.tags);
  const protocol = of.udp ? 17 : 6;
  const type = of.ipv6 ? [0x86, 0xdd] : [8, 0];
  const l3 = of.ipv6
    ? [
      ...[0x61, 0x23, 0x45, 0x67, ...be16(total - ip - 40), of.options > 0 ? 60 : protocol, 64],
      ...fromHex("fd000000000000000000000000000001fd0000000000000000000000000000fe"),
      ...Array.from({ length: of.options }, (_, i) => i === 0 ? protocol : i === 1 ? of.options / 8 - 1 : i),
    ]
    : [
      ...[0x45 + of.options / 4, 3, ...be16(total - ip), ...be16(of.id), 0x40, 0, 64, protocol, 0, 0],
      ...[10, 32, 0, 1, 10, 32, 0, 2, ...Array(of.options).fill(1)],
    ];
  if (!of.ipv6) l3.splice(10, 2, ...be16(~slowSum(l3) & 0xffff));
  const l4 = of.udp ? [3, 232, 7, 208, ...be16(total - transport), 0, 0] : [
    ...[3, 232, 7, 208, ...be32(of.seq), 0x12, 0x34, 0x56, 0x78],
    ...[(5 + of.tcpOptions / 4) << 4, of.flags, 1, 0xf5, 0, 0, 0, 0, ...Array(of.tcpOptions).fill(1)],
  ];
  const data = Array.from({ length: of.payload }, (_, i) => (i * 31 + of.fill + (i >> 8)) & 255);
  const frame = Uint8Array.from([...fromHex(MACS), ...tags, ...type, ...l3, ...l4, ...data]);
  frame.set(be16(pseudo(of, frame)), transport + (of.udp ? 6 : 16));
  return frame;
}

/** A frame with its virtio header, as a TAP hands it over. */
export function superPacket(of: Shape): Uint8Array<ArrayBuffer> {
  const { transport, payload } = offsets(of);
  const ecn = !of.udp && (of.flags & TCP_FLAG.cwr) !== 0 ? 0x80 : 0;
  const one = of.payload <= of.size;
  const gso = one ? 0 : (of.udp ? 5 : of.ipv6 ? 4 : 1) | ecn;
  const header = [
    1,
    gso,
    ...le16(one ? 0 : payload),
    ...le16(one ? 0 : of.size),
    ...le16(transport),
    of.udp ? 6 : 16,
    0,
  ];
  return Uint8Array.from([...header, ...frameOf(of)]);
}

/** The frames that a super-packet stands for, with complete checksums. */
export function segmentsOf(of: Shape): Uint8Array<ArrayBuffer>[] {
  const whole = frameOf(of);
  const { transport, payload } = offsets(of);
  const frames: Uint8Array<ArrayBuffer>[] = [];
  for (let done = 0, i = 0; done < of.payload; done += of.size, i++) {
    const last = done + of.size >= of.payload;
    const size = last ? of.payload - done : of.size;
    const flags = of.flags & ~(i === 0 ? 0 : TCP_FLAG.cwr) & ~(last ? 0 : TCP_FLAG.fin | TCP_FLAG.psh);
    const frame = frameOf({
      ...of,
      flags,
      payload: size,
      seq: (of.seq + done) % 2 ** 32,
      id: (of.id + i) & 0xffff,
    });
    frame.set(whole.subarray(payload + done, payload + done + size), payload);
    complete(frame, transport, of.udp ? 6 : 16);
    frames.push(frame);
  }
  return frames;
}

/** Completes a partial checksum. */
export function complete(frame: Uint8Array, start: number, offset: number): void {
  const sum = ~slowSum([...frame.subarray(start)]) & 0xffff;
  frame.set(be16(sum === 0 && offset === 6 ? 0xffff : sum), start + offset);
}

/** Fails unless the checksums of a frame of this shape are right. */
export function assertIntact(of: Shape, frame: Uint8Array): void {
  const { ip, transport } = offsets(of);
  if (!of.ipv6) assert.equal(slowSum([...frame.subarray(ip, ip + 20 + of.options)]), 0xffff, "IPv4 checksum");
  const sum = pseudo(of, frame) + slowSum([...frame.subarray(transport)]);
  assert.equal(sum > 0xffff ? sum - 0xffff : sum, 0xffff, "transport checksum");
}

/** The frames that any packet of a TAP stands for, checksums complete: TCP segments in the plainest way. */
export function cutPlainly(packet: Uint8Array): Uint8Array<ArrayBuffer>[] {
  const [flags, gso] = [packet[0]!, packet[1]! & 0x7f];
  const word = (at: number) => packet[at]! | packet[at + 1]! << 8;
  const [size, start, offset] = [word(4), word(6), word(8)];
  const frame = packet.slice(10);
  if (gso === 0) {
    if ((flags & 1) !== 0) complete(frame, start, offset);
    return [frame];
  }
  const payload = start + (frame[start + 12]! >>> 4) * 4;
  const ip = start - (gso === 1 ? ipv4Header(frame, start) : 0);
  const view = new DataView(frame.buffer);
  const frames: Uint8Array<ArrayBuffer>[] = [];
  for (let done = 0; payload + done < frame.length; done += size) {
    const data = frame.subarray(payload + done, Math.min(payload + done + size, frame.length));
    const one = Uint8Array.from([...frame.subarray(0, payload), ...data]);
    const last = payload + done + size >= frame.length;
    const out = new DataView(one.buffer);
    out.setUint32(start + 4, (view.getUint32(start + 4) + done) >>> 0);
    one[start + 13]! &= ~((done === 0 ? 0 : TCP_FLAG.cwr) | (last ? 0 : TCP_FLAG.fin | TCP_FLAG.psh));
    if (gso === 1) {
      out.setUint16(ip + 2, one.length - ip);
      out.setUint16(ip + 4, view.getUint16(ip + 4) + done / size & 0xffff);
      out.setUint16(ip + 10, 0);
      out.setUint16(ip + 10, ~slowSum([...one.subarray(ip, start)]) & 0xffff);
    } else {
      const network = ipv6Header(frame);
      out.setUint16(network + 4, one.length - network - 40);
    }
    // The partial sum covers the length of the whole: taken out, and that of the one put in.
    const sum = view.getUint16(start + 16) + (~(frame.length - start) & 0xffff) +
      (frame.length - start > 0xffff ? 0xffff - 1 : 0) +
      one.length - start;
    out.setUint16(start + 16, slowSum(be16(sum & 0xffff)) + (sum >>> 16));
    complete(one, start, offset);
    frames.push(one);
  }
  return frames;
}

/** Octets of the IPv4 header that ends at `end`. */
function ipv4Header(frame: Uint8Array, end: number): number {
  let at = 12;
  while (frame[at] === 0x81 || frame[at] === 0x88) at += 4;
  return end - at - 2;
}

function ipv6Header(frame: Uint8Array): number {
  let at = 12;
  while (frame[at] === 0x81 || frame[at] === 0x88 && frame[at + 1] === 0xa8) at += 4;
  return at + 2;
}
