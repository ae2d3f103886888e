/** Cuts super-packets of a TAP into frames that the network can carry, as a network card would (source: design of sleeve;
 * Linux Documentation/networking/segmentation-offloads.rst). */
import { finishSum, foldSum, sumWords } from "../core/checksum.ts";
import { IP_PROTOCOL, TCP_FLAG, TransportLayout } from "../wire/packet/transport.ts";
import { ETHERNET_HEADER } from "../wire/packet/ethernet.ts";
import { IPV6_HEADER, putU16, u16At } from "../wire/packet/inner_frame.ts";
import {
  emptyVirtio,
  readVirtio,
  VIRTIO_GSO,
  VIRTIO_GSO_ECN,
  VIRTIO_HEADER,
  VIRTIO_NEEDS_CHECKSUM,
  type VirtioFields,
  type VirtioHeader,
} from "../wire/packet/virtio_net.ts";

/** Most frames of one super-packet: 64 KiB in the smallest segments that TCP uses. */
export const MAX_SEGMENTS = 1_400;

/** Flags that only the last segment has. */
const LAST_ONLY = TCP_FLAG.fin | TCP_FLAG.psh;

/**
 * Goes through the frames of one super-packet after the other; whatever is none comes out as one frame.
 *
 *     segmenter.start(from, to, true);
 *     while ((length = segmenter.next(out, at)) > 0) send(out, at, length);
 */
export class Segmenter {
  readonly #view: DataView;
  readonly #layout = new TransportLayout();
  #frame = 0;
  #end = 0;
  #finish = true;
  readonly #header: VirtioFields = emptyVirtio();
  #count = 0;
  #done = 0;
  /** The headers, which every segment has. */
  #headers: Uint8Array = new Uint8Array(0);
  /** Sums over what all segments share. */
  #pseudo = 0;
  #ipSum = 0;
  #transportSum = 0;

  /** `input` is the buffer into which packets are received, header first. It must not change while one is cut. */
  constructor(readonly input: Uint8Array) {
    this.#view = new DataView(input.buffer, input.byteOffset, input.byteLength);
  }

  /**
   * Takes the packet in `[from, to)`, virtio header first; returns the number of frames. With `finish` their checksums
   * will be complete, else partial if they are in the packet: see `partial`. 0: cut short, or it would give more than
   * MAX_SEGMENTS: drop it.
   */
  start(from: number, to: number, finish: boolean): number {
    this.#count = this.#done = 0;
    if (to - from < VIRTIO_HEADER + ETHERNET_HEADER) return 0;
    readVirtio(this.input, from, this.#header);
    this.#frame = from + VIRTIO_HEADER;
    this.#end = to;
    const located = this.#layout.locate(this.input, this.#frame, to);
    this.#finish = finish || !located || !this.#isUsualChecksum();
    const count = located && this.#isSuperPacket() ? Math.ceil((to - this.#payload) / this.#header.size) : 1;
    if (count > MAX_SEGMENTS) return 0;
    if (count > 1) this.#sumUp();
    return this.#count = count;
  }

  /** Octets of the longest frame. */
  get longest(): number {
    const whole = this.#end - this.#frame;
    return this.#count > 1 ? this.#layout.payload + this.#header.size : whole;
  }

  /** Whether the frames come with partial checksums: in the outermost TCP or UDP header, found by TransportLayout. */
  get partial(): boolean {
    return !this.#finish && (this.#header.flags & VIRTIO_NEEDS_CHECKSUM) !== 0;
  }

  /** The header of the packet. */
  get header(): VirtioHeader {
    return this.#header;
  }

  /** Where the packet's frame starts in the input: its addresses and types are those of all frames. */
  get frame(): number {
    return this.#frame;
  }

  /** Octets of the next frame; 0 at the end. */
  get nextLength(): number {
    if (this.#done === this.#count) return 0;
    const left = this.#end - this.#frame;
    if (this.#count === 1) return left;
    const { size } = this.#header;
    const { payload } = this.#layout;
    return payload + Math.min(size, left - payload - this.#done * size);
  }

  /** Writes the next frame to `at` of another buffer, with `nextLength` octets free; returns its length, 0 at the end. */
  next(out: Uint8Array, at: number): number {
    if (this.#done === this.#count) return 0;
    const index = this.#done++;
    return this.#count === 1 ? this.#whole(out, at) : this.#segment(out, at, index);
  }

  get #payload(): number {
    return this.#frame + this.#layout.payload;
  }

  /** Whether the partial checksum is that of the outermost TCP or UDP header, where a receiver looks for it. */
  #isUsualChecksum(): boolean {
    const { flags, checksumStart, checksumOffset } = this.#header;
    return (flags & VIRTIO_NEEDS_CHECKSUM) !== 0 && checksumStart === this.#layout.transport &&
      checksumOffset === this.#layout.checksumOffset;
  }

  #isSuperPacket(): boolean {
    const { gso, size } = this.#header;
    const kind = gso & ~VIRTIO_GSO_ECN;
    if (kind === VIRTIO_GSO.none || size === 0 || !this.#isUsualChecksum()) return false;
    const { protocol, ipv6 } = this.#layout;
    if (protocol === IP_PROTOCOL.udp) return kind === VIRTIO_GSO.udp;
    return kind === (ipv6 ? VIRTIO_GSO.tcp6 : VIRTIO_GSO.tcp4);
  }

  #sumUp(): void {
    const { input } = this;
    this.#headers = input.subarray(this.#frame, this.#payload);
    const { ip, ipv6, transport, protocol } = this.#layout;
    const [l3, l4] = [this.#frame + ip, this.#frame + transport];
    this.#pseudo = this.#layout.pseudoSum(this.#view, this.#frame);
    // Fields that differ from frame to frame are taken out by adding their complement.
    const without = (at: number) => ~u16At(input, at) & 0xffff;
    if (!ipv6) {
      const varying = without(l3 + 2) + without(l3 + 4) + without(l3 + 10);
      this.#ipSum = foldSum(sumWords(this.#view, l3, l4) + varying);
    }
    const fields = protocol === IP_PROTOCOL.tcp ? [4, 6, 12, 16] : [4, 6];
    const varying = fields.reduce((sum, field) => sum + without(l4 + field), 0);
    this.#transportSum = foldSum(sumWords(this.#view, l4, this.#payload) + varying + this.#pseudo);
  }

  #whole(out: Uint8Array, at: number): number {
    const length = this.#end - this.#frame;
    out.set(this.input.subarray(this.#frame, this.#end), at);
    const { flags, checksumStart, checksumOffset } = this.#header;
    const field = checksumStart + checksumOffset;
    if (!this.#finish || (flags & VIRTIO_NEEDS_CHECKSUM) === 0 || field + 2 > length) return length;
    const sum = finishSum(sumWords(this.#view, this.#frame + checksumStart, this.#end));
    // Of UDP a checksum of zero would say that there is none; TCP does not mind the other form of zero.
    putU16(out, at + field, sum === 0 && checksumOffset === 6 ? 0xffff : sum);
    return length;
  }

  #segment(out: Uint8Array, at: number, index: number): number {
    const { input } = this;
    const { ip, ipv6, transport, payload, protocol } = this.#layout;
    const done = index * this.#header.size;
    const start = this.#payload + done;
    const end = Math.min(start + this.#header.size, this.#end);
    out.set(this.#headers, at);
    out.set(input.subarray(start, end), at + payload);
    const length = payload + end - start;
    const l3 = at + ip;
    if (ipv6) putU16(out, l3 + 4, length - ip - IPV6_HEADER);
    else {
      const id = u16At(input, this.#frame + ip + 4) + index & 0xffff;
      putU16(out, l3 + 2, length - ip);
      putU16(out, l3 + 4, id);
      putU16(out, l3 + 10, finishSum(this.#ipSum + length - ip + id));
    }
    const l4 = at + transport;
    const covered = length - transport;
    const varying = protocol === IP_PROTOCOL.tcp
      ? this.#fixTcp(out, l4, index, done)
      : putLength(out, l4 + 4, covered);
    const field = l4 + this.#layout.checksumOffset;
    if (this.#finish) {
      const sum = finishSum(this.#transportSum + covered + varying + sumWords(this.#view, start, end));
      putU16(out, field, sum === 0 && protocol === IP_PROTOCOL.udp ? 0xffff : sum);
    } else putU16(out, field, foldSum(this.#pseudo + covered));
    return length;
  }

  /** Sequence number and flags of a segment; returns the sum of those words. */
  #fixTcp(out: Uint8Array, l4: number, index: number, done: number): number {
    const source = this.#frame + this.#layout.transport;
    const seq = this.#view.getUint32(source + 4) + done >>> 0;
    const isLast = index === this.#count - 1;
    const absent = (index === 0 ? 0 : TCP_FLAG.cwr) | (isLast ? 0 : LAST_ONLY);
    const word = u16At(this.input, source + 12) & ~absent;
    putU16(out, l4 + 4, seq >>> 16);
    putU16(out, l4 + 6, seq & 0xffff);
    putU16(out, l4 + 12, word);
    return (seq >>> 16) + (seq & 0xffff) + word;
  }
}

function putLength(out: Uint8Array, at: number, length: number): number {
  putU16(out, at, length);
  return length;
}
