/** Functions of the C library through which packets pass. What is called for each of them takes integers only, addresses
 * included: a buffer costs 15 ns more, and 0.4 us where the code has gone cold. What varies from packet to packet is written
 * to memory (iovecs, message headers). */
import { openLibrary } from "./libs.ts";

/** Prototypes; `ssize_t` results are read as i32: no call here can return 2^31 or more. */
const SYMBOLS = {
  readv: { parameters: ["i32", "u64", "i32"], result: "i32" }, // ssize_t readv(int, const struct iovec *, int)
  writev: { parameters: ["i32", "u64", "i32"], result: "i32" }, // ssize_t writev(int, const struct iovec *, int)
  ioctl: { parameters: ["i32", "u64", "buffer"], result: "i32" }, // int ioctl(int, unsigned long, ...)
  ioctl_value: { name: "ioctl", parameters: ["i32", "u64", "u64"], result: "i32" }, // the same, given a number
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" }, // int bind(int, const struct sockaddr *, socklen_t)
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" }, // int connect(int, const struct sockaddr *, socklen_t)
  // int getsockopt(int, int, int, void *, socklen_t *)
  getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
  // ssize_t recvfrom(int, void *, size_t, int, struct sockaddr *, socklen_t *)
  recvfrom: { parameters: ["i32", "buffer", "usize", "i32", "buffer", "buffer"], result: "i32" },
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" }, // int getsockname(int, struct sockaddr *, socklen_t *)
  // int recvmmsg(int, struct mmsghdr *, unsigned, int, struct timespec *)
  recvmmsg: { parameters: ["i32", "buffer", "u32", "i32", "pointer"], result: "i32" },
  // int sendmmsg(int, struct mmsghdr *, unsigned, int)
  sendmmsg: { parameters: ["i32", "buffer", "u32", "i32"], result: "i32" },
  // the same two, given the address of the headers
  recvmmsg_at: { name: "recvmmsg", parameters: ["i32", "u64", "u32", "i32", "u64"], result: "i32" },
  sendmmsg_at: { name: "sendmmsg", parameters: ["i32", "u64", "u32", "i32"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

let opened: Deno.DynamicLibrary<typeof SYMBOLS>["symbols"] | undefined;

/** These functions of the C library, opened on first use. */
export function packetCalls(): Deno.DynamicLibrary<typeof SYMBOLS>["symbols"] {
  return opened ??= openLibrary("libc", SYMBOLS).symbols;
}

/** Socket families, options and flags for UDP (x86-64 and arm64 agree). */
export const UDP = {
  AF_INET: 2,
  AF_INET6: 10,
  SOL_IP: 0,
  SOL_UDP: 17,
  SOL_IPV6: 41,
  SO_SNDBUF: 7,
  SO_RCVBUF: 8,
  SO_SNDBUFFORCE: 32,
  SO_RXQ_OVFL: 40,
  SO_RCVBUFFORCE: 33,
  IP_PKTINFO: 8,
  IP_MTU_DISCOVER: 10,
  IP_RECVERR: 11,
  IP_MTU: 14,
  IPV6_MTU_DISCOVER: 23,
  IPV6_MTU: 24,
  IPV6_RECVERR: 25,
  IPV6_V6ONLY: 26,
  IPV6_RECVPKTINFO: 49,
  IPV6_PKTINFO: 50,
  UDP_SEGMENT: 103,
  UDP_GRO: 104,
  PMTUDISC_DONT: 0,
  PMTUDISC_PROBE: 3,
  PMTUDISC_OMIT: 5,
  MSG_ERRQUEUE: 0x2000,
  MSG_MORE: 0x8000,
  SOCK_NONBLOCK: 0x800,
} as const;
