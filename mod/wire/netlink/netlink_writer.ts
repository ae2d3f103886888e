/** Building netlink messages in one reused buffer (include/uapi/linux/netlink.h). */
import { GrowingBytes } from "../../core/growing_bytes.ts";
import { NLA_NESTED, NLMSG_HEADER } from "./netlink.ts";

/** Writes messages back to back: `begin`, fixed header fields, attributes, `end`. The buffer grows when it must
 * and is kept by `reset()`, so a warm writer allocates nothing. Numbers are host order unless `be` is in the name. */
export class NetlinkWriter {
  readonly #out: GrowingBytes;
  #message = 0;

  /** A writer whose buffer holds `capacity` octets before it grows. */
  constructor(capacity = 1024) {
    this.#out = new GrowingBytes(capacity);
  }
  /** Octets written since the last reset. */
  get length(): number {
    return this.#out.length;
  }
  /** The whole buffer; its first `length` octets are what was written. Changes when the buffer grows. */
  get buffer(): Uint8Array<ArrayBuffer> {
    return this.#out.bytes;
  }
  /** Forgets everything written. */
  reset(): this {
    this.#out.length = 0;
    return this;
  }
  #pad(): void {
    const over = this.#out.length & 3;
    if (over === 0) return;
    const at = this.#out.room(4 - over);
    this.#out.bytes.fill(0, at, this.#out.length);
  }
  /** Starts a message at the next multiple of 4. */
  begin(type: number, flags: number, seq = 0, pid = 0): this {
    this.#pad();
    const at = this.#out.room(NLMSG_HEADER);
    this.#message = at;
    this.#out.view.setUint16(at + 4, type, true);
    this.#out.view.setUint16(at + 6, flags, true);
    this.#out.view.setUint32(at + 8, seq, true);
    this.#out.view.setUint32(at + 12, pid, true);
    return this;
  }
  /** Ends the message begun last: writes its length. */
  end(): this {
    this.#out.view.setUint32(this.#message, this.#out.length - this.#message, true);
    return this;
  }
  /** Appends one octet of a fixed header. */
  u8(value: number): this {
    const at = this.#out.room(1);
    this.#out.bytes[at] = value;
    return this;
  }
  /** Appends a u16 of a fixed header. */
  u16(value: number): this {
    const at = this.#out.room(2);
    this.#out.view.setUint16(at, value, true);
    return this;
  }
  /** Appends a u32 (or i32) of a fixed header. */
  u32(value: number): this {
    const at = this.#out.room(4);
    this.#out.view.setUint32(at, value, true);
    return this;
  }
  /** Appends octets of a fixed header. */
  raw(value: Uint8Array): this {
    const at = this.#out.room(value.length);
    this.#out.bytes.set(value, at);
    return this;
  }
  #attribute(type: number, length: number): number {
    this.#pad();
    const at = this.#out.room(4 + length);
    this.#out.view.setUint16(at, 4 + length, true);
    this.#out.view.setUint16(at + 2, type, true);
    return at + 4;
  }
  /** An attribute without value. */
  flag(type: number): this {
    this.#attribute(type, 0);
    return this;
  }
  /** An attribute of one octet. */
  attrU8(type: number, value: number): this {
    const at = this.#attribute(type, 1);
    this.#out.bytes[at] = value;
    return this;
  }
  /** An attribute of a u16. */
  attrU16(type: number, value: number): this {
    const at = this.#attribute(type, 2);
    this.#out.view.setUint16(at, value, true);
    return this;
  }
  /** An attribute of a u16 in network order. */
  attrBe16(type: number, value: number): this {
    const at = this.#attribute(type, 2);
    this.#out.view.setUint16(at, value);
    return this;
  }
  /** An attribute of a u32. */
  attrU32(type: number, value: number): this {
    const at = this.#attribute(type, 4);
    this.#out.view.setUint32(at, value, true);
    return this;
  }
  /** An attribute of a u32 in network order. */
  attrBe32(type: number, value: number): this {
    const at = this.#attribute(type, 4);
    this.#out.view.setUint32(at, value);
    return this;
  }
  /** An attribute of a u64. */
  attrU64(type: number, value: bigint): this {
    const at = this.#attribute(type, 8);
    this.#out.view.setBigUint64(at, value, true);
    return this;
  }
  /** An attribute of two u32 in network order: a u64 as its halves, high one first. */
  attrBe64(type: number, high: number, low: number): this {
    const at = this.#attribute(type, 8);
    this.#out.view.setUint32(at, high);
    this.#out.view.setUint32(at + 4, low);
    return this;
  }
  /** An attribute of bytes, copied. */
  attrBytes(type: number, value: Uint8Array): this {
    const at = this.#attribute(type, value.length);
    this.#out.bytes.set(value, at);
    return this;
  }
  /** An attribute of an array of u32. */
  attrU32s(type: number, values: readonly number[]): this {
    const at = this.#attribute(type, values.length * 4);
    values.forEach((value, i) => this.#out.view.setUint32(at + i * 4, value, true));
    return this;
  }
  /** An attribute of text with a NUL at its end. */
  attrText(type: number, text: string): this {
    return this.attrBytes(type, new TextEncoder().encode(text + "\0"));
  }
  /** Opens an attribute that holds attributes; hand the result to `close()`.
   * `type` goes out as given: add NLA_NESTED (see `openNested`) where the family asks for it. */
  open(type: number): number {
    return this.#attribute(type, 0) - 4;
  }
  /** `open()` with the nested bit set, as strictly validating families want it. */
  openNested(type: number): number {
    return this.open(type | NLA_NESTED);
  }
  /** Ends the attribute opened at `opened`: its length includes the padding of the last one inside. */
  close(opened: number): this {
    this.#pad();
    this.#out.view.setUint16(opened, this.#out.length - opened, true);
    return this;
  }
  /** A copy of everything written. */
  finish(): Uint8Array<ArrayBuffer> {
    return this.#out.bytes.slice(0, this.#out.length);
  }
}
