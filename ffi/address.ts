/** Addresses of buffers, as C structures in memory hold them. */

/** The address of a buffer's first octet. A number holds it exactly: addresses have 47 bits, 57 in theory.
 * The buffer must be larger than 64 octets or made from an ArrayBuffer: others move. */
export function pointerOf(bytes: ArrayBufferView<ArrayBuffer>): number {
  return Number(Deno.UnsafePointer.value(Deno.UnsafePointer.of(bytes)));
}

/** Writes an address or a size as the 64-bit word at `index` (in words of 32 bits) of a structure. */
export function putAddress(words: Uint32Array, index: number, address: number): void {
  words[index] = address;
  words[index + 1] = address / 0x1_0000_0000;
}

/** Addresses of the few buffers that come again and again. */
export class AddressCache {
  readonly #known = new WeakMap<Uint8Array, number>();
  #last: Uint8Array | undefined;
  #lastAddress = 0;

  /** The address of a buffer. */
  of(bytes: Uint8Array<ArrayBuffer>): number {
    if (bytes === this.#last) return this.#lastAddress;
    let address = this.#known.get(bytes);
    if (address === undefined) this.#known.set(bytes, address = pointerOf(bytes));
    this.#last = bytes;
    return this.#lastAddress = address;
  }
}
