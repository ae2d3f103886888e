/** The header in front of frames of a TAP with offloads: struct virtio_net_hdr (linux/virtio_net.h), little-endian. */

/** Octets of the header. */
export const VIRTIO_HEADER = 10;
/** Flag: the checksum is partial; the receiver completes it. */
export const VIRTIO_NEEDS_CHECKSUM = 1;
/** Kinds of super-packets: none, TCP over IPv4, TCP over IPv6, UDP of equal datagrams. */
export const VIRTIO_GSO = { none: 0, tcp4: 1, tcp6: 4, udp: 5 } as const;
/** Beside the kind: the first segment says "congestion window reduced". */
export const VIRTIO_GSO_ECN = 0x80;

/** What a header says; zeros where it says nothing. */
export interface VirtioHeader {
  /** See VIRTIO_NEEDS_CHECKSUM. */
  readonly flags: number;
  /** See VIRTIO_GSO and VIRTIO_GSO_ECN. */
  readonly gso: number;
  /** Octets of all headers of a super-packet's frame: a hint. */
  readonly headers: number;
  /** Payload octets of a segment. */
  readonly size: number;
  /** Where what the checksum covers begins in the frame. */
  readonly checksumStart: number;
  /** Where the checksum is, from there. */
  readonly checksumOffset: number;
}

/** A header that is read into again and again. */
export type VirtioFields = { -readonly [K in keyof VirtioHeader]: VirtioHeader[K] };

/** A header that says nothing. */
export function emptyVirtio(): VirtioFields {
  return { flags: 0, gso: 0, headers: 0, size: 0, checksumStart: 0, checksumOffset: 0 };
}

/** Reads the header at `at`, where VIRTIO_HEADER octets must be, into `fields`, which it returns. */
export function readVirtio(
  bytes: Uint8Array,
  at: number,
  fields: VirtioFields = emptyVirtio(),
): VirtioHeader {
  fields.flags = bytes[at]!;
  fields.gso = bytes[at + 1]!;
  fields.headers = littleAt(bytes, at + 2);
  fields.size = littleAt(bytes, at + 4);
  fields.checksumStart = littleAt(bytes, at + 6);
  fields.checksumOffset = littleAt(bytes, at + 8);
  return fields;
}

/** Writes a header at `at`. */
export function writeVirtio(bytes: Uint8Array, at: number, header: VirtioHeader): void {
  bytes[at] = header.flags;
  bytes[at + 1] = header.gso;
  putLittle(bytes, at + 2, header.headers);
  putLittle(bytes, at + 4, header.size);
  putLittle(bytes, at + 6, header.checksumStart);
  putLittle(bytes, at + 8, header.checksumOffset);
}

function putLittle(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
}

function littleAt(bytes: Uint8Array, at: number): number {
  return bytes[at]! | bytes[at + 1]! << 8;
}
