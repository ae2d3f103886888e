/** The Internet checksum (RFC 1071) and its incremental update (RFC 1624). Sums are kept unfolded, as integers. */

/**
 * Adds up the 16-bit big-endian words of `[from, to)`; an odd last octet counts as the high half of a word. The result
 * is folded to 16 bits. Sums of several runs may simply be added if all but the last are even, and are folded again at
 * the end. Runs up to 256 KiB, starting anywhere; the caller checks the bounds.
 */
export function sumWords(view: DataView, from: number, to: number): number {
  // Little-endian loads, because a sum of swapped words is the swapped sum (RFC 1071, section 2 B): one swap in all.
  // Eight loads a round cost a third less than four; both sums stay below 2^32, and so right as int32 that wrap.
  let low = 0, high = 0;
  let at = from;
  for (; at + 32 <= to; at += 32) {
    const a = view.getInt32(at, true), b = view.getInt32(at + 4, true);
    const c = view.getInt32(at + 8, true), d = view.getInt32(at + 12, true);
    const e = view.getInt32(at + 16, true), f = view.getInt32(at + 20, true);
    const g = view.getInt32(at + 24, true), h = view.getInt32(at + 28, true);
    low = (low + (a & 0xffff) + (b & 0xffff) + (c & 0xffff) + (d & 0xffff) + (e & 0xffff) + (f & 0xffff) +
      (g & 0xffff) + (h & 0xffff)) | 0;
    high = (high + (a >>> 16) + (b >>> 16) + (c >>> 16) + (d >>> 16) + (e >>> 16) + (f >>> 16) + (g >>> 16) +
      (h >>> 16)) | 0;
  }
  let rest = 0;
  for (; at + 2 <= to; at += 2) rest += view.getUint16(at, true);
  if (at < to) rest += view.getUint8(at);
  const folded = foldSum((low >>> 0) + (high >>> 0) + rest);
  return (folded & 0xff) << 8 | folded >>> 8;
}

/** Folds a sum below 2^48 to 16 bits. */
export function foldSum(sum: number): number {
  // Bit operations see the sum modulo 2^32; what is above weighs 1 as well, modulo 65535.
  let folded = sum <= 0xffff_ffff ? sum : Math.floor(sum / 0x1_0000_0000);
  if (sum > 0xffff_ffff) folded += (sum >>> 16) + (sum & 0xffff);
  while (folded > 0xffff) folded = (folded >>> 16) + (folded & 0xffff);
  return folded;
}

/** The checksum field for words that add up to `sum` (the field itself counted as zero). */
export function finishSum(sum: number): number {
  return ~foldSum(sum) & 0xffff;
}

/** The checksum of `[from, to)`; over data that contains a right checksum it is 0. */
export function internetChecksum(bytes: Uint8Array, from = 0, to = bytes.length): number {
  return finishSum(sumWords(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), from, to));
}

/** The checksum field after one 16-bit word under it changed from `old` to `fresh` (RFC 1624, equation 3). */
export function updateChecksum(checksum: number, old: number, fresh: number): number {
  return finishSum((~checksum & 0xffff) + (~old & 0xffff) + fresh);
}
