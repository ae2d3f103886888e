/** Bounds-checked reading and growing writing of bytes. */
import { GrowingBytes } from "./growing_bytes.ts";

/** Reads straight down and remembers its first failure; after a failure every read gives zeros. */
export class ByteReader {
  #at = 0;
  #failure: string | undefined;
  #dataView: DataView | undefined;

  /** Starts at the first of `bytes`, which it does not copy. */
  constructor(readonly bytes: Uint8Array) {}

  /** Made when first needed: most readers of small things read single octets only. */
  get #view(): DataView {
    const { buffer, byteOffset, byteLength } = this.bytes;
    return this.#dataView ??= new DataView(buffer, byteOffset, byteLength);
  }
  /** The first thing that went wrong, or undefined. */
  get failure(): string | undefined {
    return this.#failure;
  }
  /** Octets consumed so far. */
  get at(): number {
    return this.#at;
  }
  /** Octets left. */
  get left(): number {
    return this.bytes.length - this.#at;
  }
  /** Records a failure (the first one wins). */
  fail(reason: string): void {
    this.#failure ??= reason;
    this.#at = this.bytes.length;
  }
  #take(count: number, what: string): number {
    if (count < 0 || count > this.left) {
      this.fail(`${what} needs ${count} bytes, has ${this.left}`);
      return -1;
    }
    this.#at += count;
    return this.#at - count;
  }
  /** One octet. */
  u8(what = "u8"): number {
    const at = this.#take(1, what);
    return at < 0 ? 0 : this.bytes[at]!;
  }
  /** Two octets, big-endian. */
  u16(what = "u16"): number {
    const at = this.#take(2, what);
    return at < 0 ? 0 : this.#view.getUint16(at);
  }
  /** Four octets, big-endian. */
  u32(what = "u32"): number {
    const at = this.#take(4, what);
    return at < 0 ? 0 : this.#view.getUint32(at);
  }
  /** Eight octets, big-endian. */
  u64(what = "u64"): bigint {
    const at = this.#take(8, what);
    return at < 0 ? 0n : this.#view.getBigUint64(at);
  }
  /** The next `count` octets, as a view into the input. */
  take(count: number, what = "bytes"): Uint8Array {
    const at = this.#take(count, what);
    return at < 0 ? new Uint8Array(0) : this.bytes.subarray(at, at + count);
  }
  /** Everything left, as a view into the input. */
  rest(): Uint8Array {
    return this.take(this.left);
  }
}

/** Appends to a buffer that grows. */
export class ByteWriter {
  readonly #out: GrowingBytes;

  /** Starts empty, with room for some bytes. */
  constructor(capacity = 256) {
    this.#out = new GrowingBytes(capacity);
  }
  /** Octets written so far. */
  get length(): number {
    return this.#out.length;
  }
  /** Appends one octet. */
  u8(value: number): this {
    const at = this.#out.room(1);
    this.#out.view.setUint8(at, value);
    return this;
  }
  /** Appends two octets, big-endian. */
  u16(value: number): this {
    const at = this.#out.room(2);
    this.#out.view.setUint16(at, value);
    return this;
  }
  /** Appends four octets, big-endian. */
  u32(value: number): this {
    const at = this.#out.room(4);
    this.#out.view.setUint32(at, value);
    return this;
  }
  /** Appends eight octets, big-endian. */
  u64(value: bigint): this {
    const at = this.#out.room(8);
    this.#out.view.setBigUint64(at, value);
    return this;
  }
  /** Appends a copy of `bytes`. */
  bytes(bytes: Uint8Array): this {
    const at = this.#out.room(bytes.length);
    this.#out.bytes.set(bytes, at);
    return this;
  }
  /** Everything written, without a copy: good until the next write. */
  view(): Uint8Array<ArrayBuffer> {
    return this.#out.bytes.subarray(0, this.#out.length);
  }
  /** A copy of everything written. */
  finish(): Uint8Array<ArrayBuffer> {
    return this.#out.bytes.slice(0, this.#out.length);
  }
}

/** Lower-case hex of `bytes`. */
export function toHex(bytes: Uint8Array): string {
  return bytes.toHex();
}

/** Bytes of hex text; throws a SyntaxError on anything else (for constants and tests, not for input). */
export function fromHex(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.fromHex(text);
}

/** Whether two byte strings are equal (not constant-time). */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}

/** Joins a few byte strings into a new one. */
export function concatBytes(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  return joinBytes(parts);
}

/** Joins any number of byte strings into a new one: more than can be arguments of a call. */
export function joinBytes(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}
