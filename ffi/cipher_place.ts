/** Addresses of a packet's parts, as 64-bit parameters of ciphers. */
import { AddressCache } from "./address.ts";

/** Octets at the start of a packet that are authenticated with it: its sender's name. */
export const BOUND = 6;

/** Parameters that differ from packet to packet. Numbers are written as two halves and read as one bigint;
 * optimised code makes no object of it. */
export class CipherPlace {
  /** 0: the text, 1: the tag in the sixteen octets before it, 2: octets of the text, 3: the packet's sender. */
  readonly values: BigUint64Array<ArrayBuffer> = new BigUint64Array(new ArrayBuffer(32));
  readonly #halves = new Uint32Array(this.values.buffer);
  readonly #addresses = new AddressCache();

  /** The text is in `[at, end)`; the packet starts `inFront` octets before it. */
  point(bytes: Uint8Array<ArrayBuffer>, at: number, place: { end: number; inFront: number }): void {
    const base = this.#addresses.of(bytes);
    this.#put(0, base + at);
    this.#put(2, base + at - 16);
    this.#halves[4] = place.end - at;
    this.#put(6, base + at - place.inFront);
  }

  #put(half: number, address: number): void {
    this.#halves[half] = address;
    this.#halves[half + 1] = address / 0x1_0000_0000;
  }
}
