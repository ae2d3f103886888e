/** Network namespaces: enter one, make something there, come back, all in one synchronous stretch. */
import { C, cString, lastErrno, libc } from "./c_symbols.ts";
import { callFailed } from "./native_error.ts";

const OWN = "/proc/thread-self/ns/net";

function openNamespace(path: string): number {
  const fd = libc().open(cString(path), C.O_RDONLY | C.O_CLOEXEC);
  if (fd < 0) throw callFailed(`open network namespace ${path}`, lastErrno());
  return fd;
}

/** A network namespace without a name. It goes with the last of what uses it: this hold, sockets in it. */
export interface HeldNetns extends Disposable {
  /** Leads to it in this process, on every thread, until it is disposed. */
  readonly path: string;
}

/** Makes a network namespace that has nothing but a loopback interface, which is down. Call this where inNetns() may be
 * called. */
export function newNetns(): HeldNetns {
  const own = openNamespace(OWN);
  let made = -1;
  try {
    if (libc().unshare(C.CLONE_NEWNET) !== 0) throw callFailed("make a network namespace", lastErrno());
    try {
      made = openNamespace(OWN);
    } finally {
      if (libc().setns(own, C.CLONE_NEWNET) !== 0) libc().abort();
    }
  } finally {
    libc().close(own);
  }
  let open = true;
  return {
    path: `/proc/self/fd/${made}`,
    [Symbol.dispose]() {
      if (open) libc().close(made);
      open = false;
    },
  };
}

/** Runs `make` inside the network namespace at `path`, then returns to the own one. A socket that it makes stays in that
 * namespace. `make` must not await or return a promise: other work of this thread would run inside. Call this on the
 * main thread or in a worker: each stays on one thread of the system. If the thread cannot return, the process ends. */
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
