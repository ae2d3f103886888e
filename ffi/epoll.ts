/** Waiting for many descriptors that come and go (epoll(7)). */
import { ERRNO } from "../mod/core/errno.ts";
import { pointerOf } from "./address.ts";
import { lastErrno, libc } from "./c_symbols.ts";
import { openLibrary } from "./libs.ts";
import { callFailed } from "./native_error.ts";

const SYMBOLS = {
  epoll_create1: { parameters: ["i32"], result: "i32" }, // int epoll_create1(int)
  // int epoll_ctl(int, int, int, struct epoll_event *)
  epoll_ctl: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
  // int epoll_wait(int, struct epoll_event *, int, int)
  epoll_wait: { parameters: ["i32", "u64", "i32", "i32"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;
let opened: Deno.DynamicLibrary<typeof SYMBOLS>["symbols"] | undefined;
const calls = () => opened ??= openLibrary("libc", SYMBOLS).symbols;

const CLOEXEC = 0o2000000;
const CTL = { add: 1, remove: 2, change: 3 } as const;
const IN = 1;
const OUT = 4;
/** struct epoll_event in words of 32 bits: events, then a word to fill up (but on x86-64), then the caller's number. */
const PACKED = Deno.build.arch === "x86_64";
const WORDS = PACKED ? 3 : 4;
const DATA = PACKED ? 1 : 2;
/** Descriptors that one wait tells of; others are told of by the next. */
const AT_ONCE = 64;
/** The longest wait, so that a loop that was forgotten still ends. */
const LONGEST_MS = 60_000;

/** A set of descriptors to wait on. The wait blocks the thread: give it a Wakeup. */
export class Epoll implements Disposable {
  readonly #events = new Uint32Array(new ArrayBuffer(AT_ONCE * WORDS * 4));
  readonly #eventsAt = BigInt(pointerOf(this.#events));
  readonly #one = new Uint32Array(new ArrayBuffer(16));
  #fd: number;

  /** An empty set. */
  constructor() {
    this.#fd = calls().epoll_create1(CLOEXEC);
    if (this.#fd < 0) throw callFailed("make a set of descriptors", lastErrno());
  }

  /** Waits for input on a descriptor too, or (`output`) for room to send. `name`: what ready() says of it. */
  add(fd: number, output = false, name = fd): void {
    this.#control(CTL.add, fd, output ? OUT : IN, name);
  }

  /** Waits for room to send on a descriptor, or for input, and no longer for the other. */
  change(fd: number, output: boolean): void {
    this.#control(CTL.change, fd, output ? OUT : IN);
  }

  /** Forgets a descriptor; before it is closed. */
  remove(fd: number): void {
    this.#control(CTL.remove, fd, 0);
  }

  /** Blocks until a descriptor is ready or has failed, or `timeoutMs` passed (rounded up, at most 60 s; 0 does not
   * block). Returns how many are ready; `ready(0)` is the first. */
  wait(timeoutMs: number): number {
    const timeout = Math.max(0, Math.min(LONGEST_MS, Math.ceil(timeoutMs)));
    const count = calls().epoll_wait(this.#fd, this.#eventsAt, AT_ONCE, timeout);
    if (count >= 0) return count;
    const errno = lastErrno();
    if (errno === ERRNO.EINTR) return 0;
    throw callFailed("wait for descriptors", errno);
  }

  /** A descriptor that was ready when `wait` last returned, or the name that it was added with. */
  ready(index: number): number {
    return this.#events[index * WORDS + DATA]!;
  }

  /** Closes the set. Idempotent. */
  [Symbol.dispose](): void {
    if (this.#fd >= 0) libc().close(this.#fd);
    this.#fd = -1;
  }

  #control(operation: number, fd: number, events: number, name = fd): void {
    this.#one[0] = events;
    this.#one[DATA] = name;
    if (calls().epoll_ctl(this.#fd, operation, fd, this.#one) < 0) {
      throw callFailed("change a set of descriptors", lastErrno());
    }
  }
}

/** A set of descriptors that stays as it is, to wait on again and again: a wait costs the same however many there are. The
 * wait blocks the thread: give it a Wakeup. */
export class StandingEpoll implements Disposable {
  readonly #set = new Epoll();
  readonly #ready: Uint8Array;
  /** How many positions were ready, and which. */
  #count = 0;
  readonly #which: Uint16Array;

  /** Waits for input on `fds`; results are by position in this list. */
  constructor(fds: readonly number[]) {
    this.#ready = new Uint8Array(fds.length);
    this.#which = new Uint16Array(fds.length);
    fds.forEach((fd, i) => this.#set.add(fd, false, i));
  }

  /** Blocks until a descriptor has input or an error, or `timeoutMs` passed; see Epoll.wait. */
  wait(timeoutMs: number): number {
    for (let i = 0; i < this.#count; i++) this.#ready[this.#which[i]!] = 0;
    this.#count = 0; // also if the wait throws
    const count = this.#set.wait(timeoutMs);
    for (let i = 0; i < count; i++) {
      const position = this.#set.ready(i);
      this.#ready[position] = 1;
      this.#which[i] = position;
    }
    return this.#count = count;
  }

  /** Whether the descriptor at `index` was ready when `wait` last returned. */
  isReady(index: number): boolean {
    return this.#ready[index] === 1;
  }

  /** Closes the set, not its descriptors. Idempotent. */
  [Symbol.dispose](): void {
    this.#set[Symbol.dispose]();
  }
}
