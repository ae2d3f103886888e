/** Programs that this one starts, watches and ends (posix_spawn(3)). */
import { describeErrno, ERRNO } from "../mod/core/errno.ts";
import { MeshnetError } from "../mod/core/errors.ts";
import { pointerOf } from "./address.ts";
import { C, cString, lastErrno, libc } from "./c_symbols.ts";
import { openLibrary } from "./libs.ts";
import { callFailed } from "./native_error.ts";
import { waitReadable } from "./poll.ts";

const SYMBOLS = {
  posix_spawnp: { parameters: ["buffer", "buffer", "buffer", "buffer", "buffer", "buffer"], result: "i32" },
  posix_spawn_file_actions_init: { parameters: ["buffer"], result: "i32" },
  posix_spawn_file_actions_destroy: { parameters: ["buffer"], result: "i32" },
  posix_spawn_file_actions_adddup2: { parameters: ["buffer", "i32", "i32"], result: "i32" },
  posix_spawn_file_actions_addopen: { parameters: ["buffer", "i32", "buffer", "i32", "u32"], result: "i32" },
  posix_spawnattr_init: { parameters: ["buffer"], result: "i32" },
  posix_spawnattr_destroy: { parameters: ["buffer"], result: "i32" },
  posix_spawnattr_setflags: { parameters: ["buffer", "i16"], result: "i32" },
  posix_spawnattr_setsigmask: { parameters: ["buffer", "buffer"], result: "i32" },
  posix_spawnattr_setsigdefault: { parameters: ["buffer", "buffer"], result: "i32" },
  pipe2: { parameters: ["buffer", "i32"], result: "i32" }, // int pipe2(int[2], int)
  waitpid: { parameters: ["i32", "buffer", "i32"], result: "i32" }, // pid_t waitpid(pid_t, int *, int)
  kill: { parameters: ["i32", "i32"], result: "i32" }, // int kill(pid_t, int)
  // long syscall(long, ...): pidfd_open has no function of its own before glibc 2.36
  syscall: { parameters: ["i64", "i32", "u32"], result: "i64" },
} as const satisfies Deno.ForeignLibraryInterface;
let opened: Deno.DynamicLibrary<typeof SYMBOLS>["symbols"] | undefined;
const calls = () => opened ??= openLibrary("libc", SYMBOLS).symbols;

const FLAGS = 0x04 | 0x08 | 0x80; // SETSIGDEF, SETSIGMASK, SETSID
const F_SETFL = 4;
const O_NONBLOCK = 0x800;
/** How long one that is killed may take to be gone. */
const GONE_MS = 100;
const O_RDONLY = 0;
const WNOHANG = 1;
const SIGKILL = 9;
const PIDFD_OPEN = 434n;
/** posix_spawnattr_t has 336 octets, posix_spawn_file_actions_t 80, and sigset_t 128. */
const ROOM = 512;
const SIGNALS = 128;

/** What is started. */
export interface ProgramStart {
  /** The program, by its path or as it is found on PATH, and its arguments. */
  readonly words: readonly string[];
  /** All of its environment. */
  readonly environment: Readonly<Record<string, string>>;
  /** So much of what it prints is kept, the last part of it. */
  readonly keep: number;
}

/** A program that runs, in a session of its own. Its output and its errors are one text; its input is empty. */
export class Program implements Disposable {
  /** Those that were killed, and took longer to end than anybody waits. */
  static readonly #late = new Set<number>();
  readonly #pid: number;
  #fd: number;
  #output: number;
  #isReaped = false;
  #kept: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  readonly #keep: number;
  readonly #buffer = new Uint8Array(new ArrayBuffer(4_096));

  private constructor({ fd, keep, output, pid }: Record<"fd" | "keep" | "output" | "pid", number>) {
    [this.#fd, this.#keep, this.#output, this.#pid] = [fd, keep, output, pid];
  }

  /** Starts a program in the network namespace of this thread. The thread waits until it has been loaded. Throws where it
   * cannot be started. */
  static start({ environment, keep, words }: ProgramStart): Program {
    Program.#reapLate();
    const pipe = new Int32Array(new ArrayBuffer(8));
    if (calls().pipe2(bytesOf(pipe), C.O_CLOEXEC) !== 0) throw callFailed("make a pipe", lastErrno());
    const [output, input] = [pipe[0]!, pipe[1]!];
    try {
      // This end alone: a program that prints much waits until there is room.
      if (libc().fcntl(output, F_SETFL, O_NONBLOCK) !== 0) throw callFailed("set up a pipe", lastErrno());
      const pid = spawn(words, environment, input);
      const fd = Number(calls().syscall(PIDFD_OPEN, pid, 0));
      if (fd >= 0) return new Program({ fd, keep, output, pid });
      const errno = lastErrno();
      end(pid);
      throw callFailed(`watch ${words[0]}`, errno);
    } catch (thrown) {
      libc().close(output);
      throw thrown;
    } finally {
      libc().close(input);
    }
  }

  /** Descriptor that is ready once it has ended. */
  get fd(): number {
    return this.#fd;
  }

  /** Descriptor that is ready when it has printed something. */
  get output(): number {
    return this.#output;
  }

  /** Takes what it has printed, at most so much at once that nobody waits for it. False: it will print no more. */
  listen(): boolean {
    const count = libc().read(this.#output, this.#buffer, BigInt(this.#buffer.length));
    if (count > 0) this.#add(this.#buffer.subarray(0, count));
    return count > 0 || count < 0 && (lastErrno() === ERRNO.EAGAIN || lastErrno() === ERRNO.EINTR);
  }

  /** The last part of what it has printed. */
  get printed(): string {
    return new TextDecoder().decode(this.#kept);
  }

  /** How it has ended: its exit code, or the signal that ended it; undefined while it runs. */
  ended(): { readonly code: number } | { readonly signal: number } | undefined {
    const status = new Int32Array(new ArrayBuffer(4));
    const found = calls().waitpid(this.#pid, bytesOf(status), WNOHANG);
    if (found === 0) return undefined;
    this.#isReaped = true;
    if (found < 0) return { signal: 0 }; // somebody else has waited for it
    const signal = status[0]! & 0x7f;
    return signal === 0 ? { code: status[0]! >> 8 & 0xff } : { signal };
  }

  /** Ends it and what it has started, unless that has left its session. It has to be waited for nevertheless. */
  kill(): void {
    if (!this.#isReaped) calls().kill(-this.#pid, SIGKILL); // the number may be another's by now
  }

  /** Ends it if it runs, and closes the descriptors. Idempotent. */
  [Symbol.dispose](): void {
    if (this.#fd >= 0 && !this.#isReaped) {
      this.kill();
      waitReadable(this.#fd, GONE_MS);
      if (this.ended() === undefined) Program.#late.add(this.#pid);
    }
    for (const fd of [this.#fd, this.#output]) if (fd >= 0) libc().close(fd);
    [this.#fd, this.#output] = [-1, -1];
  }

  /** The kernel keeps what has ended until somebody has asked how. */
  static #reapLate(): void {
    for (const pid of Program.#late) {
      if (calls().waitpid(pid, new Uint8Array(new ArrayBuffer(4)), WNOHANG) !== 0) Program.#late.delete(pid);
    }
  }

  #add(bytes: Uint8Array): void {
    const all = new Uint8Array(this.#kept.length + bytes.length);
    all.set(this.#kept);
    all.set(bytes, this.#kept.length);
    this.#kept = all.slice(Math.max(0, all.length - this.#keep));
  }
}

function spawn(
  words: readonly string[],
  environment: Readonly<Record<string, string>>,
  output: number,
): number {
  const [actions, attributes, none, all] = [ROOM, ROOM, SIGNALS, SIGNALS].map(room);
  const c = calls();
  c.posix_spawn_file_actions_init(actions!);
  c.posix_spawnattr_init(attributes!);
  all!.fill(0xff);
  const variables = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
  const pid = new Int32Array(new ArrayBuffer(4));
  try {
    const empty = cString("/dev/null");
    c.posix_spawn_file_actions_addopen(actions!, 0, empty, O_RDONLY, 0);
    c.posix_spawn_file_actions_adddup2(actions!, output, 1);
    c.posix_spawn_file_actions_adddup2(actions!, output, 2);
    c.posix_spawnattr_setsigmask(attributes!, none!);
    c.posix_spawnattr_setsigdefault(attributes!, all!);
    c.posix_spawnattr_setflags(attributes!, FLAGS);
    const [argv, envp] = [new Texts(words), new Texts(variables)];
    const file = cString(words[0]!);
    const errno = c.posix_spawnp(bytesOf(pid), file, actions!, attributes!, argv.pointers, envp.pointers);
    if (errno === 0) return pid[0]!;
    throw new MeshnetError("native/call-failed", `Cannot run ${words[0]}: ${describeErrno(errno)}`, {
      errno,
    });
  } finally {
    c.posix_spawn_file_actions_destroy(actions!);
    c.posix_spawnattr_destroy(attributes!);
  }
}

/** Texts as C has them: pointers, and a null pointer at the end. Keep it as long as the pointers are used. */
class Texts {
  readonly pointers: Uint8Array<ArrayBuffer>;
  readonly texts: readonly Uint8Array<ArrayBuffer>[];

  constructor(texts: readonly string[]) {
    this.texts = texts.map((text) => {
      const bytes = cString(text);
      const fixed = room(bytes.length);
      fixed.set(bytes);
      return fixed;
    });
    const pointers = new BigUint64Array(new ArrayBuffer(8 * (texts.length + 1)));
    this.texts.forEach((text, i) => pointers[i] = BigInt(pointerOf(text)));
    this.pointers = bytesOf(pointers);
  }
}

function end(pid: number): void {
  calls().kill(-pid, SIGKILL);
  calls().waitpid(pid, room(4), 0);
}

function room(octets: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(new ArrayBuffer(octets));
}

function bytesOf({ buffer }: { readonly buffer: ArrayBuffer }): Uint8Array<ArrayBuffer> {
  return new Uint8Array(buffer);
}
