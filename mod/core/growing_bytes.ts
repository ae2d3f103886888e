/** The buffer under a writer: grows when it must, and is kept. */

/** Octets that are appended one after the other. A writer asks for room first. */
export class GrowingBytes {
  /** The whole buffer; another one after it has grown. */
  bytes: Uint8Array<ArrayBuffer>;
  /** A view of all of it. */
  view: DataView<ArrayBuffer>;
  /** Octets written. Set it to 0 to use the buffer again. */
  length = 0;

  /** Starts empty, with room for `capacity` octets. */
  constructor(capacity: number) {
    this.bytes = new Uint8Array(capacity);
    this.view = new DataView(this.bytes.buffer);
  }

  /** Counts `count` octets as written and returns where they start. */
  room(count: number): number {
    const at = this.length;
    if (at + count > this.bytes.length) {
      const grown = new Uint8Array(Math.max(this.bytes.length * 2, at + count));
      grown.set(this.bytes.subarray(0, at));
      this.bytes = grown;
      this.view = new DataView(grown.buffer);
    }
    this.length = at + count;
    return at;
  }
}
