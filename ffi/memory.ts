/** Gives back memory that only starting needed. */
import { openLibrary } from "./libs.ts";

const MEMORY_SYMBOLS = {
  madvise: { parameters: ["usize", "usize", "i32"], result: "i32" }, // int madvise(void *, size_t, int)
  malloc_trim: { parameters: ["usize"], result: "i32" }, // int malloc_trim(size_t)
} as const satisfies Deno.ForeignLibraryInterface;
const MADV_DONTNEED = 4;

/** A stretch of address space. */
export interface MemoryRange {
  /** First octet. */
  readonly start: bigint;
  /** One past the last octet. */
  readonly end: bigint;
}

/**
 * Gives back what only starting needed: garbage (where the program runs with --expose-gc), free pages of the C library,
 * and the pages of program files, code and constants. These pages are clean copies of the files: the kernel loads them
 * again from its cache when they are used. Pages that were written to stay.
 */
export function releaseMemory(): void {
  (globalThis as { gc?: () => void }).gc?.();
  const library = openLibrary("libc", MEMORY_SYMBOLS);
  library.symbols.malloc_trim(0n);
  for (const { start, end } of cleanFileRanges(Deno.readTextFileSync("/proc/self/smaps"))) {
    library.symbols.madvise(start, end - start, MADV_DONTNEED); // a refusal costs nothing but the memory
  }
  library.close();
}

/** The private mappings of files, in the text of /proc/N/smaps, that are read-only and have no changed page. */
export function cleanFileRanges(smaps: string): readonly MemoryRange[] {
  const ranges: MemoryRange[] = [];
  for (const block of smaps.split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m)) {
    const head = /^([0-9a-f]+)-([0-9a-f]+) r-[x-]p \S+ \S+ [0-9]+ +\//.exec(block);
    const written = ["Anonymous", "Private_Dirty", "Swap", "Locked"].some((field) =>
      !new RegExp(`^${field}: +0 kB$`, "m").test(block)
    );
    if (head !== null && !written) {
      ranges.push({ start: BigInt(`0x${head[1]}`), end: BigInt(`0x${head[2]}`) });
    }
  }
  return ranges;
}
