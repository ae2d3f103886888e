/** Fragments IPv4 packets inside frames, for paths that lose the kernel's fragments (source: spec dataplane.md 5.7). */
import { finishSum, sumWords } from "../../core/checksum.ts";
import { ETHERNET_HEADER } from "./ethernet.ts";
import { IPV4_MF, IPV4_OFFSET, ipv4HeaderOf, LARGEST_PACKET, putU16, u16At } from "./inner_frame.ts";

/** Shortest frame on an Ethernet, without its check sequence. */
const SHORTEST_FRAME = 60;

/**
 * Cuts one frame after the other into pieces.
 *
 *     if (fragmenter.start(bytes, from, to, mtu)) {
 *       while ((length = fragmenter.next(out, at)) > 0) send(out, at, length);
 *     } // else it cannot be cut: drop it
 */
export class Ipv4Fragmenter {
  #bytes: Uint8Array = new Uint8Array(0);
  #from = 0;
  #header = 0;
  #flags = 0;
  #piece = 0;
  #done = 0;
  #payload = 0;

  /** Takes the frame in `[from, to)`, which must not change until the last piece is out. False: it is not IPv4, is a
   * damaged fragment, or the MTU has no room for eight octets of it. */
  start(bytes: Uint8Array, from: number, to: number, mtu: number): boolean {
    const header = ipv4HeaderOf(bytes, from, to);
    this.#payload = this.#done = 0;
    if (header === 0) return false;
    const ip = from + ETHERNET_HEADER;
    const payload = u16At(bytes, ip + 2) - header;
    const flags = u16At(bytes, ip + 6);
    const piece = (mtu - header) & ~7;
    if (piece < 8 || (flags & IPV4_OFFSET) * 8 + payload > LARGEST_PACKET) return false;
    this.#bytes = bytes;
    [this.#from, this.#header, this.#flags, this.#piece] = [from, header, flags, piece];
    this.#payload = payload;
    return true;
  }

  /** Most octets that next() writes. */
  get longest(): number {
    return Math.max(SHORTEST_FRAME, ETHERNET_HEADER + this.#header + this.#piece);
  }

  /** Octets of the next piece; 0 when there is no more. */
  get nextLength(): number {
    const left = this.#payload - this.#done;
    if (left <= 0) return 0;
    return Math.max(SHORTEST_FRAME, ETHERNET_HEADER + this.#header + Math.min(left, this.#piece));
  }

  /** Writes the next piece, a whole frame, to `at` of another buffer; returns its length, 0 when there is no more. */
  next(out: Uint8Array, at: number): number {
    const left = this.#payload - this.#done;
    if (left <= 0) return 0;
    const bytes = this.#bytes;
    const size = Math.min(left, this.#piece);
    const headers = ETHERNET_HEADER + this.#header;
    const start = this.#from + headers + this.#done;
    out.set(bytes.subarray(this.#from, this.#from + headers), at);
    out.set(bytes.subarray(start, start + size), at + headers);
    const ip = at + ETHERNET_HEADER;
    const more = size < left ? IPV4_MF : 0;
    putU16(out, ip + 2, this.#header + size);
    putU16(out, ip + 6, (this.#flags | more) + this.#done / 8);
    putU16(out, ip + 10, 0);
    const view = new DataView(out.buffer, out.byteOffset + ip, this.#header);
    putU16(out, ip + 10, finishSum(sumWords(view, 0, this.#header)));
    this.#done += size;
    const length = headers + size;
    if (length >= SHORTEST_FRAME) return length;
    out.fill(0, at + length, at + SHORTEST_FRAME);
    return SHORTEST_FRAME;
  }
}
