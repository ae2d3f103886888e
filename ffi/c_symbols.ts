/** The few functions of the C library, and what they need around them. 64-bit Linux only. */
import { openLibrary } from "./libs.ts";

/** Prototypes; `ssize_t` results are read as i32: no call here can return 2^31 or more. */
export const C_SYMBOLS = {
  __errno_location: { parameters: [], result: "pointer" }, // int *__errno_location(void)
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" }, // int socket(int, int, int)
  fcntl: { parameters: ["i32", "i32", "i32"], result: "i32" }, // int fcntl(int, int, int)
  close: { parameters: ["i32"], result: "i32" }, // int close(int)
  open: { parameters: ["buffer", "i32"], result: "i32" }, // int open(const char *, int)
  read: { parameters: ["i32", "buffer", "usize"], result: "i32" }, // ssize_t read(int, void *, size_t)
  write: { parameters: ["i32", "buffer", "usize"], result: "i32" }, // ssize_t write(int, const void *, size_t)
  recv: { parameters: ["i32", "buffer", "usize", "i32"], result: "i32" }, // ssize_t recv(int, void *, size_t, int)
  send: { parameters: ["i32", "buffer", "usize", "i32"], result: "i32" }, // ssize_t send(int, const void *, size_t, int)
  // ssize_t sendto(int, const void *, size_t, int, const struct sockaddr *, socklen_t)
  sendto: { parameters: ["i32", "buffer", "usize", "i32", "buffer", "u32"], result: "i32" },
  // int recvmmsg(int, struct mmsghdr *, unsigned, int, struct timespec *)
  recvmmsg: { parameters: ["i32", "buffer", "u32", "i32", "pointer"], result: "i32" },
  // int setsockopt(int, int, int, const void *, socklen_t)
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  poll: { parameters: ["buffer", "u64", "i32"], result: "i32" }, // int poll(struct pollfd *, nfds_t, int)
  eventfd: { parameters: ["u32", "i32"], result: "i32" }, // int eventfd(unsigned, int)
  setns: { parameters: ["i32", "i32"], result: "i32" }, // int setns(int, int)
  unshare: { parameters: ["i32"], result: "i32" }, // int unshare(int)
  if_nametoindex: { parameters: ["buffer"], result: "u32" }, // unsigned if_nametoindex(const char *)
  abort: { parameters: [], result: "void" }, // void abort(void)
} as const satisfies Deno.ForeignLibraryInterface;

/** The functions of the C library. */
export type CLibrary = Deno.DynamicLibrary<typeof C_SYMBOLS>["symbols"];

interface Opened {
  readonly symbols: CLibrary;
  /** This thread's errno, seen through memory. */
  readonly errno: Int32Array;
}
let opened: Opened | undefined;

function open(): Opened {
  if (opened !== undefined) return opened;
  const { symbols } = openLibrary("libc", C_SYMBOLS);
  const at = symbols.__errno_location();
  opened = { symbols, errno: new Int32Array(Deno.UnsafePointerView.getArrayBuffer(at!, 4)) };
  return opened;
}

/** The C library, opened on first use. */
export function libc(): CLibrary {
  return open().symbols;
}

/** errno of the last synchronous call of this thread; meaningful only right after that call failed. */
export function lastErrno(): number {
  return open().errno[0]!;
}

/** Text with the NUL that C wants at its end. */
export function cString(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text + "\0");
}

/** Socket families, types, levels, options and flags (x86-64 and arm64 agree). */
export const C = {
  AF_UNIX: 1,
  AF_PACKET: 17,
  SOCK_DGRAM: 2,
  SOCK_RAW: 3,
  SOCK_CLOEXEC: 0x80000,
  SOL_SOCKET: 1,
  SO_SNDBUF: 7,
  SO_SNDBUFFORCE: 32,
  SO_RCVBUFFORCE: 33,
  SOL_NETLINK: 270,
  NETLINK_NO_ENOBUFS: 5,
  NETLINK_LISTEN_ALL_NSID: 8,
  NETLINK_CAP_ACK: 10,
  NETLINK_EXT_ACK: 11,
  MSG_TRUNC: 0x20,
  MSG_DONTWAIT: 0x40,
  MSG_NOSIGNAL: 0x4000,
  O_RDONLY: 0,
  O_CLOEXEC: 0x80000,
  F_SETFD: 2,
  FD_CLOEXEC: 1,
  CLONE_NEWNET: 0x40000000,
  EFD_CLOEXEC: 0x80000,
  EFD_NONBLOCK: 0x800,
  POLLIN: 1,
} as const;
