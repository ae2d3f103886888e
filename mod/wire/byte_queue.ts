/** Buffers a byte stream until whole messages are there. */

/** First in, first out. Never writes into bytes that it handed out or was handed. */
export class ByteQueue {
  #bytes: Uint8Array = new Uint8Array(0);
  #start = 0;
  #end = 0;
  #own = false;

  /** Octets waiting. */
  get length(): number {
    return this.#end - this.#start;
  }

  /** Appends a chunk. The queue may keep it: the caller must not change it afterwards. */
  push(chunk: Uint8Array): void {
    if (this.length === 0) {
      [this.#bytes, this.#start, this.#end, this.#own] = [chunk, 0, chunk.length, false];
      return;
    }
    if (!this.#own || this.#end + chunk.length > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(2 * this.length, this.length + chunk.length));
      grown.set(this.view());
      [this.#bytes, this.#start, this.#end, this.#own] = [grown, 0, this.length, true];
    }
    this.#bytes.set(chunk, this.#end);
    this.#end += chunk.length;
  }

  /** Everything waiting, without consuming it: good for ever, but later chunks do not show in it. */
  view(): Uint8Array {
    return this.#bytes.subarray(this.#start, this.#end);
  }

  /** Consumes the first `count` octets and returns them; the caller checks that they are there. */
  take(count: number): Uint8Array {
    const taken = this.#bytes.subarray(this.#start, this.#start + count);
    this.#start += taken.length;
    return taken;
  }
}
