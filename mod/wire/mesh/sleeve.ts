/**
 * Payload of sleeve's UDP datagrams (source: spec dataplane.md 5.1 to 5.3). Read and written in place, in buffers of
 * the caller, by cursors that are used again and again: nothing is allocated for a packet or a frame.
 *
 *     plain:   sender (6) | frames
 *     sealed:  sender (6) | S u64 | tag (16) | frames, enciphered
 *     frame:   source peer (6) | destination peer (6) | length u16 | bytes
 *
 * Extension between meshnet peers that both announce it: bit 15 of the length says that the frame's TCP or UDP checksum
 * is partial, if what follows the header in the packet is shorter than 32768 octets; else it is part of the length.
 */
import { macAt } from "../../core/addr.ts";
import type { Brand } from "../../core/brand.ts";
import { type PeerName, peerNameToNumber } from "../../core/names.ts";

/** A peer's name as a 48-bit integer: what packets are handled by, where text would cost too much. */
export type PeerNumber = Brand<number, "PeerNumber">;

/** Octets of a peer's name. */
const NAME = 6;
/** Octets of S, which says the channel and the sequence number. */
const SEQUENCE = 8;
/** Octets of a Poly1305 tag. */
export const SEAL_TAG = 16;
/** Octets in front of each frame. */
export const FRAME_HEADER = 14;
/** Where frames begin in a plain packet. */
export const PLAIN_FRAMES = NAME;
/** Where frames begin in a sealed packet. */
export const SEALED_FRAMES = NAME + SEQUENCE + SEAL_TAG;
/** Where the tag of a sealed packet is. */
export const SEALED_TAG_AT = NAME + SEQUENCE;
/** Largest UDP payload over IPv4. */
export const MAX_PAYLOAD = 65_507;
/** Largest sequence number: what a JavaScript integer holds, far below what the format could say. */
export const MAX_SEQUENCE = Number.MAX_SAFE_INTEGER;
/** Octets of a nonce. */
export const NONCE_BYTES = 24;

/** In a frame's length: its checksum is partial. And what follows a header that says so is shorter than this. */
export const PARTIAL_FLAG = 0x8000;

/** What surrounds a frame on its way. */
export interface SleeveOverheads {
  /** Before the first frame of a packet. */
  readonly packet: number;
  /** IP and UDP headers of the packet. */
  readonly outer: number;
  /** Underlay MTU minus this is the overlay's: all of the above, frame header and inner Ethernet header. */
  readonly df: number;
}

/** The overheads of a link. */
export function sleeveOverheads(link: { sealed: boolean; ipv6?: boolean }): SleeveOverheads {
  const packet = link.sealed ? SEALED_FRAMES : PLAIN_FRAMES;
  const outer = link.ipv6 === true ? 48 : 28;
  return { packet, outer, df: outer + packet + FRAME_HEADER + 14 };
}

/** The number of a name. */
export function peerNumber(name: PeerName): PeerNumber {
  return peerNameToNumber(name) as PeerNumber;
}

/** The adjacent peer that sent the packet in `[from, to)`; -1 when it is too short to say. */
export function senderOf(bytes: Uint8Array, from: number, to: number): PeerNumber | -1 {
  return to - from < NAME ? -1 : macAt(bytes, from) as number as PeerNumber;
}

/** Sequence number of a sealed packet; -1 when it is too short or the number beyond MAX_SEQUENCE. */
export function sequenceOf(bytes: Uint8Array, from: number, to: number): number {
  if (to - from < SEALED_FRAMES) return -1;
  const seq = (wordAt(bytes, from + NAME) & 0x7fff_ffff) * 0x1_0000_0000 + wordAt(bytes, from + NAME + 4);
  return seq > MAX_SEQUENCE ? -1 : seq;
}

/** Whether a sealed packet, long enough for sequenceOf(), was sent on the DF channel. */
export function isDfPacket(bytes: Uint8Array, from: number): boolean {
  return bytes[from + NAME]! >= 0x80;
}

/** Writes S of a sealed packet that starts at `from`. */
export function writeSequence(bytes: Uint8Array, from: number, seq: number, df: boolean): void {
  putWord(bytes, from + NAME, Math.floor(seq / 0x1_0000_0000) + (df ? 0x8000_0000 : 0));
  putWord(bytes, from + NAME + 4, seq >>> 0); // the rest of that division: bit operations see it modulo 2^32
}

/**
 * Fills in the nonce of the sealed packet that starts at `from`, whose S must be there. `outbound`: its sender dialled
 * the connection. `nonce` has NONCE_BYTES octets; those between the first and the last eight must be zero already.
 */
export function writeNonce(nonce: Uint8Array, outbound: boolean, bytes: Uint8Array, from: number): void {
  nonce[0] = outbound ? 0x80 : 0;
  for (let i = 0; i < SEQUENCE; i++) nonce[NONCE_BYTES - SEQUENCE + i] = bytes[from + NAME + i]!;
}

/**
 * Goes through the frames of a packet, plain or opened. After `next()` returned true the fields tell of one frame.
 *
 *     reader.start(bytes, from + PLAIN_FRAMES, to);
 *     while (reader.next()) take(reader.src, reader.dst, bytes, reader.from, reader.to);
 *     if (reader.failure !== undefined) count it; // the frames before it were good
 */
export class FrameReader {
  #bytes: Uint8Array = new Uint8Array(0);
  #end = 0;
  #extended = false;
  /** Whether its TCP or UDP checksum is partial. */
  partial = false;
  /** Where the frame originated. */
  src: PeerNumber = 0 as PeerNumber;
  /** For which peer it is meant. */
  dst: PeerNumber = 0 as PeerNumber;
  /** Its first octet. */
  from = 0;
  /** Behind its last octet. */
  to = 0;
  /** Why the rest of the packet is not frames; set when next() has returned false. */
  failure: string | undefined;

  /** Starts with the frames in `[from, to)`, which must lie within `bytes`. `extended`: both ends know PARTIAL_FLAG. */
  start(bytes: Uint8Array, from: number, to: number, extended = false): void {
    this.#bytes = bytes;
    this.#extended = extended;
    this.#end = to;
    this.from = this.to = from;
    this.failure = undefined;
  }

  /** Goes on to the next frame, if there is one. */
  next(): boolean {
    const at = this.to;
    const left = this.#end - at;
    if (left < FRAME_HEADER) {
      if (left > 0) this.failure = `packet has ${left} bytes behind its last frame`;
      return this.#stop();
    }
    const bytes = this.#bytes;
    let length = bytes[at + 12]! << 8 | bytes[at + 13]!;
    this.partial = this.#extended && length >= PARTIAL_FLAG && left - FRAME_HEADER < PARTIAL_FLAG;
    if (this.partial) length -= PARTIAL_FLAG;
    if (length > left - FRAME_HEADER) {
      this.failure = `frame of ${length} bytes is cut to ${left - FRAME_HEADER}`;
      return this.#stop();
    }
    this.src = macAt(bytes, at) as number as PeerNumber;
    this.dst = macAt(bytes, at + NAME) as number as PeerNumber;
    this.from = at + FRAME_HEADER;
    this.to = this.from + length;
    return true;
  }

  #stop(): false {
    this.#end = this.to;
    return false;
  }
}

/** A name as two integers, which is how it is written. */
class NameParts {
  #name = -1;
  #high = 0;
  #low = 0;

  put(bytes: Uint8Array, at: number, name: PeerNumber): void {
    if (name !== this.#name) {
      this.#name = name;
      this.#high = Math.floor(name / 0x1_0000_0000);
      this.#low = name >>> 0;
    }
    bytes[at] = this.#high >>> 8;
    bytes[at + 1] = this.#high;
    putWord(bytes, at + 2, this.#low);
  }
}

/**
 * Builds packets in a buffer of the caller, one after the other. A sealed packet's S and tag are left for the sealing,
 * which then finds the plain text at the place of the ciphertext.
 */
export class PacketWriter {
  #bytes: Uint8Array = new Uint8Array(0);
  #limit = 0;
  /** The last names, taken apart: most frames are of the same peers. */
  readonly #src = new NameParts();
  readonly #dst = new NameParts();
  readonly #sender = new NameParts();
  /** Where the packet starts. */
  from = 0;
  /** Where its frames start. */
  frames = 0;
  /** Behind what is written so far. */
  to = 0;

  /** Starts a packet of `sender` at `from` that may take up to `limit` octets; the caller sees to it that they are there. */
  start(
    bytes: Uint8Array,
    from: number,
    packet: { readonly sender: PeerNumber; readonly sealed: boolean; readonly limit: number },
  ): void {
    this.#bytes = bytes;
    this.#limit = from + packet.limit;
    this.from = from;
    this.frames = this.to = from + (packet.sealed ? SEALED_FRAMES : PLAIN_FRAMES);
    this.#sender.put(bytes, from, packet.sender);
  }

  /** Octets of the packet so far. */
  get length(): number {
    return this.to - this.from;
  }

  /** Whether it has no frame yet. */
  get empty(): boolean {
    return this.to === this.frames;
  }

  /** Whether a frame of this length may still be added. */
  fits(length: number): boolean {
    return length <= 0xffff && this.to + FRAME_HEADER + length <= this.#limit;
  }

  /** Adds a frame whose octets the caller then writes, all of them; returns where, or -1 when it does not fit.
   * With PARTIAL_FLAG as `flag` the packet's limit must be below it. */
  reserve(src: PeerNumber, dst: PeerNumber, length: number, flag = 0): number {
    if (!this.fits(length)) return -1;
    const at = this.to;
    const bytes = this.#bytes;
    this.#src.put(bytes, at, src);
    this.#dst.put(bytes, at + NAME, dst);
    bytes[at + 12] = (length | flag) >>> 8;
    bytes[at + 13] = length;
    this.to = at + FRAME_HEADER + length;
    return at + FRAME_HEADER;
  }

  /** Adds a copy of a frame; false when it does not fit. */
  add(src: PeerNumber, dst: PeerNumber, frame: Uint8Array): boolean {
    const at = this.reserve(src, dst, frame.length);
    if (at >= 0) this.#bytes.set(frame, at);
    return at >= 0;
  }
}

function wordAt(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24 | bytes[at + 1]! << 16 | bytes[at + 2]! << 8 | bytes[at + 3]!) >>> 0;
}

function putWord(bytes: Uint8Array, at: number, word: number): void {
  bytes[at] = word >>> 24;
  bytes[at + 1] = word >>> 16;
  bytes[at + 2] = word >>> 8;
  bytes[at + 3] = word;
}
