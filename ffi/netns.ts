/** Network namespaces: enter one, make something there, come back, all in one synchronous stretch. */
import { C, cString, lastErrno, libc } from "./c_symbols.ts";
import { callFailed } from "./native_error.ts";

const OWN = "/proc/thread-self/ns/net";

function openNamespace(path: string): number {
  const fd = libc().open(cString(path), C.O_RDONLY | C.O_CLOEXEC);
  if (fd < 0) throw callFailed(`open network namespace ${path}`, lastErrno());
  return fd;
}

/** Runs `make` inside the network namespace at `path`. What it makes (a socket) stays in that namespace, this thread
 * does not. `make` must not await or return a promise: other work of this thread would run inside. Call it on the
 * main thread or before a worker's first await. Failure to return ends the process: nothing would be right after it. */
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
