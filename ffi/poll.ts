/** Waiting for descriptors, with a way to be woken up. */
import { ERRNO } from "../mod/core/errno.ts";
import { C, lastErrno, libc } from "./c_symbols.ts";
import { callFailed } from "./native_error.ts";

const POLLFD = 8; // struct pollfd: fd i32, events i16, revents i16
/** The longest wait, so that a loop that was forgotten still ends. */
const LONGEST_MS = 60_000;

/** A set of descriptors to wait on. The wait blocks the thread: give it a Wakeup or a short time-out. */
export class Poller {
  readonly #fds: Uint8Array<ArrayBuffer>;
  readonly #view: DataView<ArrayBuffer>;
  readonly #count: bigint;

  /** Waits for input on `fds`; results are by position in this list. */
  constructor(fds: readonly number[]) {
    this.#fds = new Uint8Array(fds.length * POLLFD);
    this.#view = new DataView(this.#fds.buffer);
    this.#count = BigInt(fds.length);
    fds.forEach((fd, i) => {
      this.#view.setInt32(i * POLLFD, fd, true);
      this.#view.setInt16(i * POLLFD + 4, C.POLLIN, true);
    });
  }

  /** Blocks until a descriptor has input or an error, or `timeoutMs` passed (rounded up, at most 60 s; 0 does not
   * block). Returns how many are ready; a signal counts as none. */
  wait(timeoutMs: number): number {
    const timeout = Math.max(0, Math.min(LONGEST_MS, Math.ceil(timeoutMs)));
    const ready = libc().poll(this.#fds, this.#count, timeout);
    if (ready >= 0) return ready;
    const errno = lastErrno();
    if (errno !== ERRNO.EINTR) throw callFailed("wait for descriptors", errno);
    for (let i = 0; i < Number(this.#count); i++) this.#view.setInt16(i * POLLFD + 6, 0, true);
    return 0;
  }

  /** Whether the descriptor at `index` was ready when `wait` last returned. */
  isReady(index: number): boolean {
    return this.#view.getInt16(index * POLLFD + 6, true) !== 0;
  }
}

/** Blocks until `fd` has input or `timeoutMs` passed. */
export function waitReadable(fd: number, timeoutMs: number): boolean {
  return new Poller([fd]).wait(timeoutMs) > 0;
}

/** Blocks for so many milliseconds, or until a signal comes. */
export function rest(ms: number): void {
  new Poller([]).wait(ms);
}

/** A counter in the kernel (eventfd) that wakes a Poller: each `signal` adds one, `take` reads and clears it.
 * Its number means the same in every thread of the process, so one thread owns it and others signal it. */
export class Wakeup implements Disposable {
  #fd: number;
  readonly #owned: boolean;
  readonly #one = new Uint8Array(BigUint64Array.of(1n).buffer);
  readonly #count = new BigUint64Array(1);
  readonly #countBytes = new Uint8Array(this.#count.buffer);

  private constructor(fd: number, owned: boolean) {
    this.#fd = fd;
    this.#owned = owned;
  }
  /** Makes a counter at 0. */
  static create(): Wakeup {
    const fd = libc().eventfd(0, C.EFD_CLOEXEC | C.EFD_NONBLOCK);
    if (fd < 0) throw callFailed("make event descriptor", lastErrno());
    return new Wakeup(fd, true);
  }
  /** Uses the counter that another thread made and keeps open. */
  static attach(fd: number): Wakeup {
    return new Wakeup(fd, false);
  }
  /** Descriptor, for a Poller or another thread's `attach`. */
  get fd(): number {
    if (this.#fd < 0) throw new TypeError("Cannot use wake-up: it is disposed");
    return this.#fd;
  }
  /** Adds one. */
  signal(): void {
    if (libc().write(this.fd, this.#one, 8n) !== 8) throw callFailed("signal event descriptor", lastErrno());
  }
  /** How often it was signalled since it was last taken. Never blocks. */
  take(): number {
    return libc().read(this.fd, this.#countBytes, 8n) === 8 ? Number(this.#count[0]) : 0;
  }
  /** Closes the counter if this object made it. Idempotent. */
  [Symbol.dispose](): void {
    if (this.#owned && this.#fd >= 0) libc().close(this.#fd);
    this.#fd = -1;
  }
}
