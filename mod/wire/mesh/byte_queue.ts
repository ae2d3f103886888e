/** Buffers a byte stream until whole messages are there. */

const NOTHING = new Uint8Array(0);
/** Memory that is not worth giving back, octets. */
const SMALL = 128 * 1024;

/** First in, first out. Never writes into bytes that it handed out or was handed. */
export class ByteQueue {
  #bytes: Uint8Array = NOTHING;
  #start = 0;
  #end = 0;
  #own = false;
  #expected = Infinity;

  /** Octets waiting. */
  get length(): number {
    return this.#end - this.#start;
  }

  /** Octets of memory that are kept for what waits; bytes that were handed out may keep it longer. */
  get held(): number {
    return this.length === 0 ? 0 : this.#bytes.buffer.byteLength;
  }

  /** Tells how many octets the next message has in all, so that no more room is made in advance. */
  expect(length: number): void {
    this.#expected = length;
  }

  /** Appends a chunk. The queue may keep it: the caller must not change it afterwards. */
  push(chunk: Uint8Array): void {
    if (this.length === 0) {
      [this.#bytes, this.#start, this.#end, this.#own] = [chunk, 0, chunk.length, false];
      return;
    }
    if (!this.#own || this.#end + chunk.length > this.#bytes.length) {
      const needed = this.length + chunk.length;
      this.#move(Math.max(needed, Math.min(2 * this.length, this.#expected)));
    }
    this.#bytes.set(chunk, this.#end);
    this.#end += chunk.length;
  }

  /** Everything that waits, without consuming it. It stays valid, but later chunks do not show in it. */
  view(): Uint8Array {
    return this.#bytes.subarray(this.#start, this.#end);
  }

  /** Consumes the first `count` octets and returns them; the caller checks that they are there. */
  take(count: number): Uint8Array {
    const taken = this.#bytes.subarray(this.#start, this.#start + count);
    this.#start += taken.length;
    this.#expected = Infinity;
    // A few octets behind a long message must not keep its memory.
    if (this.length === 0) [this.#bytes, this.#start, this.#end, this.#own] = [NOTHING, 0, 0, false];
    else if (this.held > SMALL && this.length <= this.held / 4) this.#move(this.length);
    return taken;
  }

  #move(room: number): void {
    const moved = new Uint8Array(room);
    moved.set(this.view());
    [this.#bytes, this.#start, this.#end, this.#own] = [moved, 0, this.length, true];
  }
}
