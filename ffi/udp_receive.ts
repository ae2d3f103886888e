/** Receives many datagrams at once: several messages per call, several datagrams of one sender per message. */
import type { Endpoint } from "../mod/core/addr.ts";
import { ERRNO } from "../mod/core/errno.ts";
import { pointerOf, putAddress } from "./address.ts";
import { C, lastErrno } from "./c_symbols.ts";
import { HEADER, HEADER_WORDS } from "./message_header.ts";
import { callFailed } from "./native_error.ts";
import { packetCalls, UDP } from "./packet_symbols.ts";
import { endpointAt, SOCKET_ADDRESS } from "./socket_address.ts";

/** Messages of one call. */
const MESSAGES = 16;
/** Room for one: the largest UDP payload, many datagrams or one. */
const SLOT = 65_536;
// struct cmsghdr: len 8, level 4, type 4; then the data, here an int
// two of them, the first with its padding
const CONTROL = 48;
const CONTROL_NEXT = 24;
const CONTROL_USED = 20;
const NAME_WORDS = SOCKET_ADDRESS.room / 4;
/** What the call itself fails with. */
const MISUSE: readonly number[] = [ERRNO.EBADF, ERRNO.EFAULT, ERRNO.EINVAL, ERRNO.ENOMEM];

/** The buffers into which a socket receives. Their memory is touched only as far as messages reach. */
export class ReceiveRing {
  /** Where messages are. */
  readonly bytes: Uint8Array<ArrayBuffer> = new Uint8Array(MESSAGES * SLOT);
  /** Start of each message of the last receive(). */
  readonly from: Int32Array = new Int32Array(MESSAGES);
  /** End of each. */
  readonly to: Int32Array = new Int32Array(MESSAGES);
  /** Octets of each of its datagrams but the last. */
  readonly size: Int32Array = new Int32Array(MESSAGES);
  readonly #headers = new Uint32Array(new ArrayBuffer(MESSAGES * HEADER_WORDS * 4));
  readonly #headersAt = BigInt(pointerOf(this.#headers));
  readonly #names = new Uint32Array(new ArrayBuffer(MESSAGES * SOCKET_ADDRESS.room));
  readonly #nameBytes = new Uint8Array(this.#names.buffer);
  readonly #control = new Uint32Array(new ArrayBuffer(MESSAGES * CONTROL));
  readonly #iovecs = new Uint32Array(new ArrayBuffer(MESSAGES * 16));
  #lost = 0;
  /** The kernel's own count, of 32 bits, when it was last told. */
  #lostTold = 0;

  constructor() {
    const [names, control, iovecs, bytes] = [this.#names, this.#control, this.#iovecs, this.bytes].map(
      pointerOf,
    );
    const headers = this.#headers;
    for (let i = 0; i < MESSAGES; i++) {
      this.from[i] = i * SLOT;
      const at = i * HEADER_WORDS;
      putAddress(headers, at + HEADER.name, names! + i * SOCKET_ADDRESS.room);
      putAddress(headers, at + HEADER.iov, iovecs! + i * 16);
      headers[at + HEADER.iovCount] = 1;
      putAddress(headers, at + HEADER.control, control! + i * CONTROL);
      putAddress(this.#iovecs, i * 4, bytes! + i * SLOT);
      this.#iovecs[i * 4 + 2] = SLOT;
    }
    this.#reset(MESSAGES);
  }

  /** Datagrams that the kernel threw away because its buffer was full, before those that were received. */
  get lost(): number {
    return this.#lost;
  }

  /** Messages of one receive() at most. */
  get capacity(): number {
    return MESSAGES;
  }

  /** Receives what is there, without waiting; returns how many messages. */
  receive(fd: number): number {
    const count = packetCalls().recvmmsg_at(fd, this.#headersAt, MESSAGES, C.MSG_DONTWAIT, 0n);
    if (count <= 0) return count === 0 ? 0 : this.#nothing(lastErrno());
    for (let i = 0; i < count; i++) this.#take(i);
    this.#reset(count);
    return count;
  }

  /** Whether a message came from the holder of this socket address. */
  isFrom(message: number, address: Uint32Array): boolean {
    const at = message * NAME_WORDS;
    const names = this.#names;
    if (names[at] !== address[0]) return false;
    if ((address[0]! & 0xffff) === UDP.AF_INET) return names[at + 1] === address[1];
    return names[at + 2] === address[2] && names[at + 3] === address[3] && names[at + 4] === address[4] &&
      names[at + 5] === address[5];
  }

  /** Where a message came from. */
  source(message: number): Endpoint | undefined {
    return endpointAt(this.#nameBytes, message * SOCKET_ADDRESS.room);
  }

  #take(i: number): void {
    const headers = this.#headers;
    const at = i * HEADER_WORDS;
    const truncated = (headers[at + HEADER.flags]! & C.MSG_TRUNC) !== 0;
    const length = truncated ? 0 : headers[at + HEADER.length]!;
    let size = length;
    const control = this.#control;
    const used = headers[at + HEADER.controlLength]!;
    for (let octet = 0; octet + CONTROL_USED <= used; octet += CONTROL_NEXT) {
      const word = (i * CONTROL + octet) / 4;
      const [level, type, value] = [control[word + 2], control[word + 3], control[word + 4]!];
      if (level === UDP.SOL_UDP && type === UDP.UDP_GRO) size = value;
      else if (level === C.SOL_SOCKET && type === UDP.SO_RXQ_OVFL) this.#countLost(value);
    }
    this.to[i] = i * SLOT + length;
    this.size[i] = size > 0 ? size : length;
  }

  #countLost(told: number): void {
    this.#lost += told - this.#lostTold >>> 0; // it wraps
    this.#lostTold = told;
  }

  /** What the kernel wrote into the headers of messages is set back. */
  #reset(count: number): void {
    const headers = this.#headers;
    for (let i = 0, at = 0; i < count; i++, at += HEADER_WORDS) {
      headers[at + HEADER.nameLength] = SOCKET_ADDRESS.ipv6;
      headers[at + HEADER.controlLength] = CONTROL;
    }
  }

  /** Other errors belong to an earlier send: the kernel reports them to the next call, whatever that is. */
  #nothing(errno: number): number {
    if (!MISUSE.includes(errno)) return 0;
    throw callFailed("receive datagrams", errno);
  }
}
