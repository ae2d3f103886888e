import assert from "node:assert/strict";
import { BpfRing } from "../../../ffi/bpf_ring.ts";
import { cString, libc } from "../../../ffi/c_symbols.ts";

const O_RDWR = 2;
const PAGE = 4_096;
const SIZE = PAGE;
const HEADER = 8;
const [BUSY, DISCARD] = [0x8000_0000, 0x4000_0000];

/** The C library stays open. */
const test = (name: string, fn: () => void) => Deno.test({ name, fn, sanitizeResources: false });

/** A file that lies in memory as the kernel's rings do: two pages with positions, then the records. */
class FakeRing implements Disposable {
  readonly path = Deno.makeTempFileSync({ dir: "/dev/shm" });
  readonly fd: number;
  readonly #file = Deno.openSync(this.path, { read: true, write: true });
  #producer = 0;

  constructor() {
    this.#file.truncateSync(2 * PAGE + SIZE);
    this.fd = libc().open(cString(this.path), O_RDWR);
  }
  #write(at: number, bytes: Uint8Array): void {
    this.#file.seekSync(at, Deno.SeekMode.Start);
    this.#file.writeSync(bytes);
  }
  get consumed(): number {
    const bytes = new Uint8Array(8);
    this.#file.seekSync(0, Deno.SeekMode.Start);
    this.#file.readSync(bytes);
    return Number(new DataView(bytes.buffer).getBigUint64(0, true));
  }
  /** Gives where the record begins. */
  add(record: Uint8Array, flags = 0): number {
    const at = this.#producer;
    const octets = new Uint8Array(HEADER + Math.ceil(record.length / 8) * 8);
    new DataView(octets.buffer).setUint32(0, (record.length | flags) >>> 0, true);
    octets.set(record, HEADER);
    octets.forEach((octet, i) => this.#write(2 * PAGE + (at + i) % SIZE, Uint8Array.of(octet)));
    this.#producer += octets.length;
    this.#write(PAGE, new Uint8Array(BigUint64Array.of(BigInt(this.#producer)).buffer));
    return at;
  }
  /** A record that was being written is whole. */
  finish(at: number, length: number): void {
    this.#write(2 * PAGE + at % SIZE, new Uint8Array(Uint32Array.of(length).buffer));
  }
  [Symbol.dispose](): void {
    libc().close(this.fd);
    this.#file.close();
    Deno.removeSync(this.path);
  }
}

function take(
  ring: BpfRing,
  most = Infinity,
): { readonly records: readonly string[]; readonly more: boolean } {
  const records: string[] = [];
  const more = ring.read(
    (bytes, from, to) => records.push(new TextDecoder().decode(bytes.slice(from, to))),
    most,
  );
  return { records, more };
}

const text = (words: string) => new TextEncoder().encode(words);

test("BpfRing hands over what comes, in order and once; not what was there before, nor what was taken back", () => {
  using file = new FakeRing();
  file.add(text("before"));
  using ring = new BpfRing(file.fd, SIZE);
  assert.deepEqual(take(ring), { records: [], more: false });
  file.add(text("one"));
  file.add(text("none"), DISCARD);
  file.add(text("a second one"));
  file.add(text("the third"));
  assert.deepEqual(take(ring, 3), { records: ["one", "a second one"], more: true });
  assert.deepEqual(take(ring), { records: ["the third"], more: false });
  assert.deepEqual(take(ring), { records: [], more: false });
});

test("BpfRing waits for a record that is being written, and tells how far it has read", () => {
  using file = new FakeRing();
  using ring = new BpfRing(file.fd, SIZE);
  const at = file.add(text("slow"), BUSY);
  file.add(text("fast"));
  assert.deepEqual(take(ring), { records: [], more: true });
  assert.equal(file.consumed, at);
  file.finish(at, 4);
  assert.deepEqual(take(ring).records, ["slow", "fast"]);
  assert.equal(file.consumed, at + 32);
});

test("BpfRing hands over records whole that begin at the end of the ring and end at its beginning", () => {
  using file = new FakeRing();
  using ring = new BpfRing(file.fd, SIZE);
  for (let i = 0; i < 1_000; i++) {
    const words = `record ${i} `.padEnd(9 + i % 50, ".");
    file.add(text(words));
    assert.deepEqual(take(ring), { records: [words], more: false });
  }
});

test("BpfRing: what is no ring is refused, and a ring that is closed is not read", () => {
  assert.throws(() => new BpfRing(-1, SIZE), /mmap/);
  using file = new FakeRing();
  const ring = new BpfRing(file.fd, SIZE);
  ring[Symbol.dispose]();
  ring[Symbol.dispose]();
  assert.throws(() => take(ring), /disposed/);
});
