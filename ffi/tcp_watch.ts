/** TCP connections of the runtime, which does not show their descriptors: how soon the kernel finds out that the other end is
 * dead. */
import type { Endpoint } from "../mod/core/addr.ts";
import { libc } from "./c_symbols.ts";
import { packetCalls } from "./packet_symbols.ts";
import { endpointAt, SOCKET_ADDRESS } from "./socket_address.ts";

const IPPROTO_TCP = 6;
// <linux/tcp.h>; seconds, but for the last one, which is milliseconds.
const TCP = { KEEPIDLE: 4, KEEPINTVL: 5, KEEPCNT: 6, USER_TIMEOUT: 18 } as const;

/** How often the kernel asks on a quiet connection, and after how long it gives up. */
export interface WatchTimes {
  /** A connection that is quiet for so many seconds is asked about, */
  readonly idleSeconds: number;
  /** again after so many, */
  readonly againSeconds: number;
  /** so often in all. */
  readonly times: number;
}

/**
 * Has the kernel watch a connection that this process holds and that asks at all (SO_KEEPALIVE). It ends with ETIMEDOUT
 * when the other system has answered nothing for as long as all questions take, also where sent data is not
 * acknowledged, or finds no room there for as long. False: there is no such connection.
 */
export function watchTcp(
  { local, remote }: { readonly local: Endpoint; readonly remote: Endpoint },
  { againSeconds, idleSeconds, times }: WatchTimes,
): boolean {
  const fd = descriptorOf(local, remote);
  if (fd === undefined) return false;
  const give = (idleSeconds + againSeconds * times) * 1_000;
  return [
    [TCP.KEEPIDLE, idleSeconds],
    [TCP.KEEPINTVL, againSeconds],
    [TCP.KEEPCNT, times],
    [TCP.USER_TIMEOUT, give],
  ].every(([option, value]) => {
    const bytes = new Uint8Array(Int32Array.of(value!).buffer);
    return libc().setsockopt(fd, IPPROTO_TCP, option!, bytes, bytes.length) === 0;
  });
}

/** The descriptor of a connection. */
function descriptorOf(local: Endpoint, remote: Endpoint): number | undefined {
  const { getpeername, getsockname } = packetCalls();
  const address = new Uint8Array(new ArrayBuffer(SOCKET_ADDRESS.room));
  const length = new Uint32Array(1);
  const lengthBytes = new Uint8Array(length.buffer);
  const isAt = (read: typeof getpeername, fd: number, { ip, port }: Endpoint) => {
    length[0] = SOCKET_ADDRESS.room;
    if (read(fd, address, lengthBytes) !== 0) return false;
    const found = endpointAt(address, 0);
    return found?.ip === ip && found.port === port;
  };
  for (const fd of descriptors()) {
    if (isAt(getpeername, fd, remote) && isAt(getsockname, fd, local)) return fd;
  }
  return undefined;
}

/** All descriptors of this process; none when there is none left to look with. */
function descriptors(): readonly number[] {
  try {
    return [...Deno.readDirSync("/proc/self/fd")].map(({ name }) => Number(name));
  } catch {
    return [];
  }
}
