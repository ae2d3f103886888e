/** What the kernel says about the largest packet to an address: what the interface takes, what the route is said to take. */
import { type Endpoint, isIpv4 } from "../mod/core/addr.ts";
import { pointerOf, putAddress } from "./address.ts";
import { C, libc } from "./c_symbols.ts";
import { packetCalls, UDP } from "./packet_symbols.ts";
import { socketAddress } from "./socket_address.ts";

/** Sizes of packets, headers included; 0: the kernel does not say. */
export interface RouteMtus {
  /** The largest that the outgoing interface takes: a fact. */
  readonly interfaceMtu: number;
  /** The largest that the route takes as the kernel believes. Anybody's ICMP message may have told it. */
  readonly routeMtu: number;
}

/** Nothing is known. */
export const UNKNOWN_MTUS: RouteMtus = { interfaceMtu: 0, routeMtu: 0 };
/** More than an interface takes, but for the loopback. */
const LARGE = new Uint8Array(new ArrayBuffer(65_507));
// struct msghdr in words of 32 bits, see udp_receive.ts; struct cmsghdr: len 8, level 4, type 4; then struct
// sock_extended_err: errno 4, origin 1, type 1, code 1, pad 1, info 4
const HEADER = { words: 16, iov: 4, iovCount: 6, control: 8, controlLength: 10 };
const CONTROL = { octets: 128, level: 2, type: 3, info: 6 };

/** Asks the kernel, in the network namespace of the calling thread. Nothing is sent: the large datagram is only begun, and
 * the kernel refuses it at once. */
export function pathMtusTo(endpoint: Endpoint): RouteMtus {
  const ipv6 = !isIpv4(endpoint.ip);
  const fd = libc().socket(ipv6 ? UDP.AF_INET6 : UDP.AF_INET, C.SOCK_DGRAM | C.SOCK_CLOEXEC, 0);
  if (fd < 0) return UNKNOWN_MTUS;
  try {
    const [level, discover, errors, mtu] = ipv6
      ? [UDP.SOL_IPV6, UDP.IPV6_MTU_DISCOVER, UDP.IPV6_RECVERR, UDP.IPV6_MTU]
      : [UDP.SOL_IP, UDP.IP_MTU_DISCOVER, UDP.IP_RECVERR, UDP.IP_MTU];
    const address = socketAddress(endpoint, ipv6);
    if (packetCalls().connect(fd, address, address.length) !== 0) return UNKNOWN_MTUS;
    const routeMtu = numberOption(fd, level, mtu);
    set(fd, level, discover, UDP.PMTUDISC_PROBE);
    set(fd, level, errors, 1);
    const began = libc().send(fd, LARGE, BigInt(LARGE.length), C.MSG_DONTWAIT | UDP.MSG_MORE) >= 0;
    return { interfaceMtu: began ? routeMtu : refusedAt(fd, level, errors), routeMtu };
  } finally {
    libc().close(fd);
  }
}

/** The size that the kernel would have taken, from the socket's queue of errors; 0 when it does not say. */
function refusedAt(fd: number, level: number, type: number): number {
  const control = new Uint32Array(new ArrayBuffer(CONTROL.octets));
  const data = new Uint8Array(new ArrayBuffer(8));
  const iovec = new Uint32Array(new ArrayBuffer(16));
  const header = new Uint32Array(new ArrayBuffer(HEADER.words * 4));
  putAddress(iovec, 0, pointerOf(data));
  iovec[2] = data.length;
  putAddress(header, HEADER.iov, pointerOf(iovec));
  header[HEADER.iovCount] = 1;
  putAddress(header, HEADER.control, pointerOf(control));
  header[HEADER.controlLength] = CONTROL.octets;
  const flags = UDP.MSG_ERRQUEUE | C.MSG_DONTWAIT;
  if (packetCalls().recvmmsg(fd, new Uint8Array(header.buffer), 1, flags, null) !== 1) return 0;
  const ours = control[CONTROL.level] === level && control[CONTROL.type] === type;
  return ours ? control[CONTROL.info]! : 0;
}

function numberOption(fd: number, level: number, option: number): number {
  const value = new Int32Array(new ArrayBuffer(4));
  const length = new Uint8Array(Uint32Array.of(4).buffer);
  const got = packetCalls().getsockopt(fd, level, option, new Uint8Array(value.buffer), length);
  return got === 0 ? value[0]! : 0;
}

function set(fd: number, level: number, option: number, value: number): void {
  libc().setsockopt(fd, level, option, new Uint8Array(Int32Array.of(value).buffer), 4);
}
