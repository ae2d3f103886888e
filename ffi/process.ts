/** What the daemon needs of the system and Deno does not give. */
import { C, cString, lastErrno, libc } from "./c_symbols.ts";
import { callFailed } from "./native_error.ts";

/** Tells the service manager (sd_notify) something, e.g. `READY=1`. `path` is the value of NOTIFY_SOCKET:
 * a socket in the file system, or an abstract one if it starts with `@`. */
export function notifyServiceManager(path: string, state: string): void {
  const name = new TextEncoder().encode(path.startsWith("@") ? "\0" + path.slice(1) : path + "\0");
  const address = new Uint8Array(2 + name.length);
  new DataView(address.buffer).setUint16(0, C.AF_UNIX, true);
  address.set(name, 2);
  const fd = libc().socket(C.AF_UNIX, C.SOCK_DGRAM | C.SOCK_CLOEXEC, 0);
  if (fd < 0) throw callFailed("make socket to service manager", lastErrno());
  try {
    const message = new TextEncoder().encode(state);
    const { sendto } = libc();
    if (sendto(fd, message, BigInt(message.length), C.MSG_NOSIGNAL, address, address.length) < 0) {
      throw callFailed(`notify service manager at ${path}`, lastErrno());
    }
  } finally {
    libc().close(fd);
  }
}

/** Index of a network interface by name, 0 when there is none. Asking for a missing one makes the kernel try to
 * load a module of that name. */
export function interfaceIndex(name: string): number {
  return libc().if_nametoindex(cString(name));
}
