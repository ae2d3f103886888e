/** Receives many datagrams with one system call. */
import { ERRNO } from "../mod/core/errno.ts";
import { C, lastErrno, libc } from "./c_symbols.ts";
import { callFailed } from "./native_error.ts";

// struct mmsghdr (64-bit): msghdr { name 0, namelen 8, iov 16, iovlen 24, control 32, controllen 40, flags 48 }, len 56
const MMSGHDR = { size: 64, iov: 16, iovlen: 24, flags: 48, len: 56 } as const;
const IOVEC = 16; // struct iovec: base 0, length 8

/** A fixed set of receive buffers. The memory is reserved once and touched only as far as datagrams reach. */
export class DatagramBatch {
  readonly #slots: Uint8Array<ArrayBuffer>[];
  readonly #headers: Uint8Array<ArrayBuffer>;
  readonly #iovecs: BigUint64Array<ArrayBuffer>;
  readonly #view: DataView<ArrayBuffer>;
  /** Datagrams that did not fit into a slot and were left out. */
  truncated = 0;

  /** `count` buffers of `size` octets each. */
  constructor(count: number, size: number) {
    const memory = new Uint8Array(count * size);
    const base = BigInt(Deno.UnsafePointer.value(Deno.UnsafePointer.of(memory)));
    this.#slots = Array.from({ length: count }, (_, i) => memory.subarray(i * size, (i + 1) * size));
    this.#headers = new Uint8Array(count * MMSGHDR.size);
    this.#view = new DataView(this.#headers.buffer);
    this.#iovecs = new BigUint64Array(count * 2);
    const iovecs = BigInt(Deno.UnsafePointer.value(Deno.UnsafePointer.of(this.#iovecs)));
    for (let i = 0; i < count; i++) {
      this.#iovecs[i * 2] = base + BigInt(i * size);
      this.#iovecs[i * 2 + 1] = BigInt(size);
      this.#view.setBigUint64(i * MMSGHDR.size + MMSGHDR.iov, iovecs + BigInt(i * IOVEC), true);
      this.#view.setBigUint64(i * MMSGHDR.size + MMSGHDR.iovlen, 1n, true);
    }
  }

  /** How many datagrams one call can receive. */
  get capacity(): number {
    return this.#slots.length;
  }

  /** Receives what is there without waiting. The results are views, valid until the next call.
   * An overrun of the socket (ENOBUFS) gives an empty list: the next call goes on. */
  receive(fd: number): Uint8Array<ArrayBuffer>[] {
    const count = libc().recvmmsg(fd, this.#headers, this.#slots.length, C.MSG_DONTWAIT, null);
    if (count < 0) {
      const errno = lastErrno();
      if (errno === ERRNO.EAGAIN || errno === ERRNO.EINTR || errno === ERRNO.ENOBUFS) return [];
      throw callFailed("receive datagrams", errno);
    }
    const received: Uint8Array<ArrayBuffer>[] = [];
    for (let i = 0; i < count; i++) {
      const at = i * MMSGHDR.size;
      if ((this.#view.getInt32(at + MMSGHDR.flags, true) & C.MSG_TRUNC) !== 0) this.truncated++;
      else received.push(this.#slots[i]!.subarray(0, this.#view.getUint32(at + MMSGHDR.len, true)));
    }
    return received;
  }
}
