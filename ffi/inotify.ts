/** Hears from the kernel what happens to files (inotify(7)). */
import { ERRNO } from "../mod/core/errno.ts";
import { cString, lastErrno, libc } from "./c_symbols.ts";
import { openLibrary } from "./libs.ts";
import { callFailed } from "./native_error.ts";

const SYMBOLS = {
  inotify_init1: { parameters: ["i32"], result: "i32" }, // int inotify_init1(int)
  // int inotify_add_watch(int, const char *, uint32_t)
  inotify_add_watch: { parameters: ["i32", "buffer", "u32"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;
let opened: Deno.DynamicLibrary<typeof SYMBOLS>["symbols"] | undefined;
const calls = () => opened ??= openLibrary("libc", SYMBOLS).symbols;
const FLAGS = 0o2000000 | 0o4000; // IN_CLOEXEC, IN_NONBLOCK
const ROOM = 16 * 1024;

/** What may be heard of: IN_*. */
export const FILE_EVENTS = { closedUnwritten: 0x10, closedWritten: 0x8, created: 0x100 } as const;

/** Watches. Dispose it. */
export class Inotify implements Disposable {
  readonly #buffer = new Uint8Array(new ArrayBuffer(ROOM));
  /** Descriptor, to wait on. */
  readonly fd: number;
  #open = true;

  /** Watches nothing yet. */
  constructor() {
    this.fd = calls().inotify_init1(FLAGS);
    if (this.fd < 0) throw callFailed("watch files", lastErrno());
  }

  /** Watches a file or folder; false: there is none. Watching it again is fine. */
  watch(path: string, events: number): boolean {
    if (calls().inotify_add_watch(this.fd, cString(path), events) >= 0) return true;
    const errno = lastErrno();
    if (errno === ERRNO.ENOENT || errno === ERRNO.ENOTDIR || errno === ERRNO.EACCES) return false;
    throw callFailed(`watch ${path}`, errno);
  }

  /** Forgets what has happened so far. Gives whether anything has. */
  take(): boolean {
    const read = libc().read(this.fd, this.#buffer, BigInt(ROOM));
    if (read >= 0) return read > 0;
    const errno = lastErrno();
    if (errno === ERRNO.EAGAIN || errno === ERRNO.EINTR) return false;
    throw callFailed("hear of files", errno);
  }

  /** Ends it. Idempotent. */
  [Symbol.dispose](): void {
    if (this.#open) libc().close(this.fd);
    this.#open = false;
  }
}
