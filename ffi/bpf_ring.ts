/** What programs of the kernel's own machine tell by a ring buffer (BPF_MAP_TYPE_RINGBUF), read where it lies. */
import { lastErrno } from "./c_symbols.ts";
import { openLibrary } from "./libs.ts";
import { callFailed } from "./native_error.ts";

const SYMBOLS = {
  mmap: { parameters: ["pointer", "usize", "i32", "i32", "i32", "i64"], result: "pointer" }, // void *mmap(void *, size_t, int, int, int, off_t)
  munmap: { parameters: ["pointer", "usize"], result: "i32" }, // int munmap(void *, size_t)
  sysconf: { parameters: ["i32"], result: "i64" }, // long sysconf(int)
} as const satisfies Deno.ForeignLibraryInterface;
let opened: Deno.DynamicLibrary<typeof SYMBOLS>["symbols"] | undefined;
const calls = () => opened ??= openLibrary("libc", SYMBOLS).symbols;

const SC_PAGESIZE = 30;
const PROT = { read: 1, write: 2 } as const;
const MAP_SHARED = 1;
const MAP_FAILED = 0xffff_ffff_ffff_ffffn;
/** In front of each record: its length with two bits, and where its page is. */
const HEADER = 8;
const BUSY = 0x8000_0000;
const DISCARD = 0x4000_0000;
const LENGTH = 0x3fff_ffff;

interface Mapping {
  readonly at: Deno.PointerObject;
  readonly size: number;
}

/** The one reader of a ring. One thread, synchronous. */
export class BpfRing implements Disposable {
  readonly #size: number;
  readonly #mappings: Mapping[] = [];
  /** Up to where we have read. The kernel reads it. */
  readonly #consumer: BigUint64Array;
  /** Up to where there is something. */
  readonly #producer: BigUint64Array;
  /** The records. One at the end goes on at the beginning: the kernel would show all twice in a row, which counts as
   * memory of this process twice. */
  readonly #bytes: Uint8Array;
  readonly #heads: Int32Array;

  /** Opens the ring of a map with so many octets. What is in it was told to somebody else, and is passed over. Throws
   * "native/call-failed". */
  constructor(readonly fd: number, size: number) {
    this.#size = size;
    const page = Number(calls().sysconf(SC_PAGESIZE));
    try {
      this.#consumer = new BigUint64Array(this.#map(page, PROT.read | PROT.write, 0), 0, 1);
      const ring = this.#map(page + size, PROT.read, page);
      this.#producer = new BigUint64Array(ring, 0, 1);
      this.#bytes = new Uint8Array(ring, page);
      this.#heads = new Int32Array(ring, page);
    } catch (thrown) {
      this[Symbol.dispose]();
      throw thrown;
    }
    this.read(() => {}, Infinity);
  }

  #map(size: number, protection: number, offset: number): ArrayBuffer {
    const at = calls().mmap(null, BigInt(size), protection, MAP_SHARED, this.fd, BigInt(offset));
    if (at === null || Deno.UnsafePointer.value(at) === MAP_FAILED) {
      throw callFailed("see the memory of a ring (mmap)", lastErrno());
    }
    this.#mappings.push({ at, size });
    return Deno.UnsafePointerView.getArrayBuffer(at, size);
  }

  /** Hands over at most so many records: octets, valid until `take` returns, and where in them a record begins and ends.
   * True when there may be more. */
  read(take: (bytes: Uint8Array, from: number, to: number) => void, most: number): boolean {
    if (this.#mappings.length === 0) throw new TypeError("Cannot read a ring: it is disposed");
    // Atomics, as the kernel writes on another processor: what it wrote before is seen after.
    const end = Number(Atomics.load(this.#producer, 0));
    let at = Number(this.#consumer[0]!);
    for (let count = 0; at < end && count < most; count++) {
      const place = at % this.#size;
      const head = Atomics.load(this.#heads, place / 4);
      if ((head & BUSY) !== 0) break;
      const from = place + HEADER;
      const length = head & LENGTH;
      const isCut = from + length > this.#size;
      if ((head & DISCARD) === 0) {
        if (isCut) take(this.#joined(from, length), 0, length);
        else take(this.#bytes, from, from + length);
      }
      at += Math.ceil((HEADER + length) / 8) * 8;
    }
    Atomics.store(this.#consumer, 0, BigInt(at));
    return at < end;
  }

  #joined(from: number, length: number): Uint8Array {
    const record = new Uint8Array(length);
    const end = this.#bytes.subarray(from, this.#size);
    record.set(end);
    record.set(this.#bytes.subarray(0, length - end.length), end.length);
    return record;
  }

  /** Gives up the memory; the ring is its map's. */
  [Symbol.dispose](): void {
    for (const { at, size } of this.#mappings.splice(0)) calls().munmap(at, BigInt(size));
  }
}
