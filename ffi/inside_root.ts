/** Files as a process of another root folder sees them (openat2(2)). */
import { ERRNO } from "../mod/core/errno.ts";
import { C, cString, lastErrno, libc } from "./c_symbols.ts";
import { openLibrary } from "./libs.ts";
import { callFailed } from "./native_error.ts";

const SYMBOLS = {
  // long syscall(long, int, const char *, struct open_how *, size_t): openat2 has no function of its own
  syscall: { parameters: ["i64", "i32", "buffer", "buffer", "usize"], result: "i64" },
} as const satisfies Deno.ForeignLibraryInterface;
let opened: Deno.DynamicLibrary<typeof SYMBOLS>["symbols"] | undefined;
const calls = () => opened ??= openLibrary("libc", SYMBOLS).symbols;

const OPENAT2 = 437n;
const O_PATH = 0o10000000;
const O_NOFOLLOW = Deno.build.arch === "aarch64" ? 0o100000 : 0o400000;
/** Links lead to no other place than the root has, and not to what only /proc knows. */
const RESOLVE = 0x10 | 0x02; // RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS

/** A file that is held, whatever becomes of its name. */
export interface HeldFile extends Disposable {
  /** Leads to it in this process, on every thread, until it is disposed. */
  readonly path: string;
}

/** Holds the file that has a name below a root folder, without opening it; undefined where there is none. A link at its end
 * is held itself; no link leads out of the root. Throws where that cannot be told. */
export function holdInside(root: string, name: string): HeldFile | undefined {
  const folder = libc().open(cString(root), O_PATH | C.O_CLOEXEC);
  if (folder < 0) return nothing(root, lastErrno());
  const how = new BigUint64Array(new ArrayBuffer(24)); // flags, mode, resolve
  how[0] = BigInt(O_PATH | O_NOFOLLOW | C.O_CLOEXEC);
  how[2] = BigInt(RESOLVE);
  const fd = Number(calls().syscall(OPENAT2, folder, cString(name), new Uint8Array(how.buffer), 24n));
  const errno = fd < 0 ? lastErrno() : 0;
  libc().close(folder);
  if (fd < 0) return nothing(`${name} below ${root}`, errno);
  let open = true;
  return {
    path: `/proc/self/fd/${fd}`,
    [Symbol.dispose]() {
      if (open) libc().close(fd);
      open = false;
    },
  };
}

function nothing(what: string, errno: number): undefined {
  if (errno === ERRNO.ENOENT || errno === ERRNO.ENOTDIR || errno === ERRNO.ESRCH) return undefined;
  throw callFailed(`find ${what}`, errno);
}
