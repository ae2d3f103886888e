/** Network namespaces: enter one, make something there, come back, all in one synchronous stretch. */
import { C, cString, lastErrno, libc } from "./c_symbols.ts";
import { callFailed } from "./native_error.ts";

const OWN = "/proc/thread-self/ns/net";

function openNamespace(path: string): number {
  const fd = libc().open(cString(path), C.O_RDONLY | C.O_CLOEXEC);
  if (fd < 0) throw callFailed(`open network namespace ${path}`, lastErrno());
  return fd;
}

/** Runs `make` inside the network namespace at `path`, then returns to the own one. A socket that it makes stays in that
 * namespace. `make` must not await or return a promise: other work of this thread would run inside. Call this on the
 * main thread, or in a worker before its first await. If the thread cannot return, the process ends. */
export function inNetns<T>(path: string, make: () => T): T {
  const target = openNamespace(path);
  let own = -1;
  try {
    own = openNamespace(OWN);
    if (libc().setns(target, C.CLONE_NEWNET) !== 0) {
      throw callFailed(`enter network namespace ${path}`, lastErrno());
    }
    let made: T;
    try {
      made = make();
    } finally {
      if (libc().setns(own, C.CLONE_NEWNET) !== 0) libc().abort();
    }
    if (made instanceof Promise) throw new TypeError("Cannot await inside a network namespace");
    return made;
  } finally {
    libc().close(target);
    if (own >= 0) libc().close(own);
  }
}
