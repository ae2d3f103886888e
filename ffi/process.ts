/** What the daemon needs of the system and Deno does not give. */
import { C, cString, lastErrno, libc } from "./c_symbols.ts";
import { callFailed } from "./native_error.ts";
import { packetCalls } from "./packet_symbols.ts";

/** Of linux/sockios.h and linux/if.h: asks for the flags of an interface; one of them; where they stand behind its name. */
const SIOCGIFFLAGS = 0x8913;
const IFF_RUNNING = 0x40;
const IFREQ = { name: 16, size: 40 } as const;

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

/** Whether frames pass at an interface of this namespace: of a pair, whether both ends are up. Undefined when there is none
 * of that name; asking for a missing one makes the kernel try to load a module. Waits for no lock of the kernel, as asking
 * by netlink does: fit for asking often. */
export function interfaceRuns(name: string): boolean | undefined {
  const request = new Uint8Array(IFREQ.size);
  request.set(new TextEncoder().encode(name).subarray(0, IFREQ.name - 1));
  const fd = libc().socket(C.AF_UNIX, C.SOCK_DGRAM | C.SOCK_CLOEXEC, 0);
  if (fd < 0) throw callFailed(`ask for interface ${name}`, lastErrno());
  try {
    if (packetCalls().ioctl(fd, BigInt(SIOCGIFFLAGS), request) !== 0) return undefined;
    return (new DataView(request.buffer).getUint16(IFREQ.name, true) & IFF_RUNNING) !== 0;
  } finally {
    libc().close(fd);
  }
}
