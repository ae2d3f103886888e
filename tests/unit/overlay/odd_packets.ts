/** Packets of containers that no well-behaved kernel gives, and packets whose content is known wherever it shows up. */
import { toHex } from "../../../mod/core/bytes.ts";
import type { Random } from "../../../mod/core/ports.ts";
import { TAP_PACKET } from "../../../mod/overlay/ports/tap_port.ts";
import { TCP_FLAG } from "../../../mod/wire/packet/transport.ts";
import { mutate } from "../fuzz.ts";
import * as packets from "../sleeve/super_packets.ts";
import { SHAPE, type Shape } from "../sleeve/super_packets.ts";

const VIRTIO = 10;
/** What odd packets are made of. */
export const ODD_SHAPES: readonly Shape[] = [
  { ...SHAPE, payload: 9_000 },
  { ...SHAPE, flags: TCP_FLAG.syn, payload: 0 },
  { ...SHAPE, ipv6: true, options: 16, payload: 3_000 },
  { ...SHAPE, udp: true, size: 700, payload: 700 },
  { ...SHAPE, ipv6: true, udp: true, size: 2_500, payload: 2_500 },
  { ...SHAPE, tags: 2, payload: 4_000 },
  { ...SHAPE, tags: 1, ipv6: true, payload: 100, size: 100 },
];
const SECRET = new TextEncoder().encode("{secret}");
/** Every run of four octets of the repeated secret. */
const TRACES = new Set(Array.from(SECRET, (_, i) => toHex(repeated(12).subarray(i, i + 4))));

/** The secret, over and over. */
export function repeated(length: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, (_, i) => SECRET[i % SECRET.length]!);
}

/** Whether any part of the secret is in there. */
export function tells(bytes: Uint8Array): boolean {
  const text = toHex(bytes);
  for (let at = 0; at + 8 <= text.length; at += 2) if (TRACES.has(text.slice(at, at + 8))) return true;
  return false;
}

/** A packet whose payload is the secret, to its last octet. */
export function secretPacket(shape: Shape): Uint8Array<ArrayBuffer> {
  const packet = packets.superPacket(shape);
  const at = VIRTIO + packets.offsets(shape).payload;
  packet.set(repeated(packet.length - at), at);
  return packet;
}

/** What no well-behaved kernel gives: lengths that lie, headers that end nowhere, virtio headers of any content. */
export function oddPacket(random: Random): Uint8Array<ArrayBuffer> {
  const shape = ODD_SHAPES[random.below(ODD_SHAPES.length)]!;
  let packet = packets.superPacket(shape);
  const { ip, transport } = packets.offsets(shape);
  const put = (at: number, ...octets: readonly number[]) => {
    if (VIRTIO + at + octets.length <= packet.length) packet.set(octets, VIRTIO + at);
  };
  const any = () => [0, 1, 5, 0x3f, 0x40, 0x7f, 0xff, random.below(256)][random.below(8)]!;
  for (let changes = 1 + random.below(3); changes > 0; changes--) {
    switch (random.below(10)) {
      case 0: // the virtio header
        [packet[0], packet[1]] = [random.below(8), [0, 1, 3, 4, 5, 0x81, 0xff][random.below(7)]!];
        break;
      case 1:
        for (let i = 2; i < VIRTIO; i++) if (random.below(2) === 0) packet[i] = any();
        break;
      case 2: // length of the IP packet
        put(shape.ipv6 ? ip + 4 : ip + 2, any(), any());
        break;
      case 3: // header length, next header, length of the extension header
        put(shape.ipv6 ? ip + 6 : ip, any());
        put(ip + 40, [0, 6, 17, 43, 44, 60, any()][random.below(7)]!, any());
        break;
      case 4: // data offset, UDP's length
        put(transport + (shape.udp ? 4 : 12), any(), any());
        break;
      case 5: // fragments
        put(ip + 6, [0x20, 0x40, 0, 0x60][random.below(4)]!, random.below(256));
        break;
      case 6: { // tags upon tags
        const tags = Array.from({ length: 1 + random.below(4) }, () => [0x81, 0, random.below(16), any()])
          .flat();
        packet = Uint8Array.from([
          ...packet.subarray(0, VIRTIO + 12),
          ...tags,
          ...packet.subarray(VIRTIO + 12),
        ]);
        break;
      }
      case 7:
        packet = packet.slice(0, random.below(packet.length + 1));
        break;
      case 8:
        packet = packet.slice(0, random.below(Math.min(packet.length, 120)));
        break;
      default:
        packet = packet.length < 2_000 ? mutate(packet, random) : packet;
    }
    if (packet.length < VIRTIO) packet = new Uint8Array(random.below(VIRTIO + 20));
  }
  if (random.below(50) > 0) return packet;
  const giant = new Uint8Array(TAP_PACKET);
  giant.set(packet);
  return giant;
}
