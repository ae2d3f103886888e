/** Netlink messages and attributes, host byte order = little-endian (include/uapi/linux/netlink.h). */
import { bad, type Decoded, good } from "../../core/brand.ts";

/** Message flags. */
export const NLM_F = {
  request: 0x1,
  multi: 0x2,
  ack: 0x4,
  echo: 0x8,
  /** In a reply: the dump is inconsistent and must be repeated. */
  dumpInterrupted: 0x10,
  dump: 0x300,
  replace: 0x100,
  excl: 0x200,
  create: 0x400,
  append: 0x800,
  /** In an error: the request's payload was left out. */
  capped: 0x100,
  /** In an error or end of dump: extended acknowledgement attributes follow. */
  ackTlvs: 0x200,
} as const;

/** Message types below those of families. */
export const NLMSG = { noop: 1, error: 2, done: 3, overrun: 4 } as const;

/** Octets of a message header. */
export const NLMSG_HEADER = 16;
/** Type bit: the attribute holds attributes. */
export const NLA_NESTED = 0x8000;
const NLA_TYPE = 0x3fff;

/** One message; `body` is a view of what follows the header. */
export interface NetlinkMessage {
  /** What it is, by family; below 16 one of the control messages. */
  readonly type: number;
  /** Bits of NLM_F. */
  readonly flags: number;
  /** Of the request that it answers; 0 for a notification. */
  readonly seq: number;
  /** Port id of the receiver. */
  readonly pid: number;
  /** What follows the header. */
  readonly body: Uint8Array;
}

/** Splits a datagram into its messages. Trailing padding may be missing. */
export function splitMessages(bytes: Uint8Array): Decoded<readonly NetlinkMessage[]> {
  const messages: NetlinkMessage[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at < bytes.length;) {
    if (bytes.length - at < NLMSG_HEADER) {
      return bad(`message header needs 16 bytes, has ${bytes.length - at}`);
    }
    const length = view.getUint32(at, true);
    if (length < NLMSG_HEADER || length > bytes.length - at) return bad(`message length is ${length}`);
    messages.push({
      type: view.getUint16(at + 4, true),
      flags: view.getUint16(at + 6, true),
      seq: view.getUint32(at + 8, true),
      pid: view.getUint32(at + 12, true),
      body: bytes.subarray(at + NLMSG_HEADER, at + length),
    });
    at += (length + 3) & ~3;
  }
  return good(messages);
}

/** Reads attributes one after another without allocating; remembers the first thing that is wrong.
 * After a failure `next()` is false and numbers read are 0. */
export class AttributeReader {
  #next: number;
  #end: number;
  #failure: string | undefined;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  /** Type of the current attribute, without flag bits. */
  type = 0;
  /** Offset of the current value in the bytes given. */
  start = 0;
  /** Octets of the current value. */
  length = 0;

  /** Reads the attributes in `bytes` from offset `from`. */
  constructor(bytes: Uint8Array, from = 0, end = bytes.length) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#next = from;
    this.#end = end;
  }
  /** The first thing that went wrong, or undefined. */
  get failure(): string | undefined {
    return this.#failure;
  }
  /** Records a failure (the first one wins) and ends the reading. */
  fail(reason: string): void {
    this.#failure ??= reason;
    this.#next = this.#end;
    this.length = 0;
  }
  /** Moves to the next attribute; false at the end or after a failure. */
  next(): boolean {
    const at = this.#next;
    const left = this.#end - at;
    if (left <= 0) return false;
    if (left < 4) {
      this.fail(`attribute needs 4 bytes, has ${left}`);
      return false;
    }
    const length = this.#view.getUint16(at, true);
    if (length < 4 || length > left) {
      this.fail(`attribute length is ${length} of ${left}`);
      return false;
    }
    this.type = this.#view.getUint16(at + 2, true) & NLA_TYPE;
    this.start = at + 4;
    this.length = length - 4;
    this.#next = at + ((length + 3) & ~3); // the last attribute may lack its padding
    return true;
  }
  #holds(octets: number): boolean {
    if (this.length >= octets) return true;
    this.fail(`attribute ${this.type} needs ${octets} bytes, has ${this.length}`);
    return false;
  }
  /** Value as one octet. */
  u8(): number {
    return this.#holds(1) ? this.#bytes[this.start]! : 0;
  }
  /** Value as u16, host order. */
  u16(): number {
    return this.#holds(2) ? this.#view.getUint16(this.start, true) : 0;
  }
  /** Value as u16, network order. */
  be16(): number {
    return this.#holds(2) ? this.#view.getUint16(this.start) : 0;
  }
  /** u32, host order, at `offset` of the value. */
  u32(offset = 0): number {
    return this.#holds(offset + 4) ? this.#view.getUint32(this.start + offset, true) : 0;
  }
  /** Value as an array of u32, host order. */
  u32s(): number[] {
    return Array.from({ length: this.length >> 2 }, (_, i) => this.#view.getUint32(this.start + i * 4, true));
  }
  /** Value as i32, host order. */
  i32(): number {
    return this.#holds(4) ? this.#view.getInt32(this.start, true) : 0;
  }
  /** Value as u32, network order. */
  be32(): number {
    return this.#holds(4) ? this.#view.getUint32(this.start) : 0;
  }
  /** u64, host order, at `offset` of the value, as the nearest number (exact below 2^53). */
  u64(offset = 0): number {
    if (!this.#holds(offset + 8)) return 0;
    const at = this.start + offset;
    return this.#view.getUint32(at + 4, true) * 0x1_0000_0000 + this.#view.getUint32(at, true);
  }
  /** Value as text up to its first NUL. */
  text(): string {
    const value = this.value();
    const end = value.indexOf(0);
    return new TextDecoder().decode(end < 0 ? value : value.subarray(0, end));
  }
  /** Value as a view into the bytes read. */
  value(): Uint8Array {
    return this.#bytes.subarray(this.start, this.start + this.length);
  }
  /** A reader of the attributes nested in the current one. */
  nested(): AttributeReader {
    return new AttributeReader(this.#bytes, this.start, this.start + this.length);
  }
}
