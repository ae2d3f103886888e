/** Linux error numbers that decisions depend on or people see. */

/** errno values by name (asm-generic/errno.h; the same on x86-64 and arm64). */
export const ERRNO = {
  EPERM: 1,
  ENOENT: 2,
  ESRCH: 3,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  E2BIG: 7,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  ENODEV: 19,
  ENOTDIR: 20,
  EINVAL: 22,
  ENFILE: 23,
  EMFILE: 24,
  ENOSPC: 28,
  ERANGE: 34,
  ENAMETOOLONG: 36,
  ENOSYS: 38,
  ENOTEMPTY: 39,
  ENODATA: 61,
  EOVERFLOW: 75,
  EMSGSIZE: 90,
  ENOPROTOOPT: 92,
  EPROTONOSUPPORT: 93,
  EOPNOTSUPP: 95,
  EBADFD: 77,
  EAFNOSUPPORT: 97,
  EADDRINUSE: 98,
  EADDRNOTAVAIL: 99,
  ENETDOWN: 100,
  ENETUNREACH: 101,
  ENOBUFS: 105,
  ETIMEDOUT: 110,
  ECONNREFUSED: 111,
  EHOSTUNREACH: 113,
  EINPROGRESS: 115,
} as const;

const TEXTS: Readonly<Record<number, string>> = {
  [ERRNO.EPERM]: "operation not permitted",
  [ERRNO.ENOENT]: "no such entry",
  [ERRNO.ESRCH]: "no such process",
  [ERRNO.EINTR]: "interrupted",
  [ERRNO.ENXIO]: "no such device or address",
  [ERRNO.EBADF]: "bad file descriptor",
  [ERRNO.EBADFD]: "file descriptor in bad state",
  [ERRNO.EAGAIN]: "try again",
  [ERRNO.E2BIG]: "there is no more room",
  [ERRNO.ENOMEM]: "out of memory",
  [ERRNO.EACCES]: "permission denied",
  [ERRNO.EBUSY]: "device or resource busy",
  [ERRNO.EEXIST]: "already exists",
  [ERRNO.ENODEV]: "no such device",
  [ERRNO.EINVAL]: "invalid argument",
  [ERRNO.ENFILE]: "too many open files in the system",
  [ERRNO.EMFILE]: "too many open files",
  [ERRNO.ENOSPC]: "no space left",
  [ERRNO.ERANGE]: "out of range",
  [ERRNO.ENOSYS]: "not implemented by this kernel",
  [ERRNO.EMSGSIZE]: "message too long",
  [ERRNO.ENOPROTOOPT]: "no such option",
  [ERRNO.EPROTONOSUPPORT]: "protocol not supported",
  [ERRNO.EOPNOTSUPP]: "not supported",
  [ERRNO.EAFNOSUPPORT]: "type not supported by this kernel",
  [ERRNO.EADDRINUSE]: "address already in use",
  [ERRNO.EADDRNOTAVAIL]: "no such address here",
  [ERRNO.ENETDOWN]: "network is down",
  [ERRNO.ENETUNREACH]: "network is unreachable",
  [ERRNO.ENOBUFS]: "no buffer space",
  [ERRNO.ETIMEDOUT]: "timed out",
  [ERRNO.ECONNREFUSED]: "connection refused",
  [ERRNO.EHOSTUNREACH]: "host is unreachable",
};

/** Words and name of an error number, `no such device (ENODEV)`; unknown ones as `error 123`. */
export function describeErrno(errno: number): string {
  const name = Object.entries(ERRNO).find(([, value]) => value === errno)?.[0];
  const text = TEXTS[errno];
  return name === undefined ? `error ${errno}` : text === undefined ? name : `${text} (${name})`;
}

/** Whether a call failed because no descriptors or no memory are left: it fails again until some are given back. */
export function isUsedUp(errno: number): boolean {
  return errno === ERRNO.EMFILE || errno === ERRNO.ENFILE || errno === ERRNO.ENOMEM ||
    errno === ERRNO.ENOBUFS;
}
