/** How `struct mmsghdr` lies in memory, in words of 32 bits (x86-64 and arm64 agree). */

/** Words of one. */
export const HEADER_WORDS = 16;
/** Where its fields are; `length` is what the kernel says was moved. */
export const HEADER = {
  name: 0,
  nameLength: 2,
  iov: 4,
  iovCount: 6,
  control: 8,
  controlLength: 10,
  flags: 12,
  length: 14,
} as const;
