/** Messages over TCP: each with its length before it (RFC 1035, section 4.2.2). */

const LENGTH = 2;

/** Collects messages from whatever pieces come; holds less than one message of the longest kind. */
export class MessageReader {
  #kept: Uint8Array<ArrayBuffer> = new Uint8Array(0);

  /** Messages that are longer end it. */
  constructor(readonly longest: number) {}

  /** Whole messages, in order; undefined: one is too long, and what comes cannot be read any more. */
  push(piece: Uint8Array): readonly Uint8Array<ArrayBuffer>[] | undefined {
    const bytes = new Uint8Array(this.#kept.length + piece.length);
    bytes.set(this.#kept);
    bytes.set(piece, this.#kept.length);
    const messages: Uint8Array<ArrayBuffer>[] = [];
    let at = 0;
    for (; at + LENGTH <= bytes.length;) {
      const length = bytes[at]! << 8 | bytes[at + 1]!;
      if (length > this.longest) return undefined;
      if (at + LENGTH + length > bytes.length) break;
      messages.push(bytes.subarray(at + LENGTH, at + LENGTH + length));
      at += LENGTH + length;
    }
    this.#kept = bytes.slice(at);
    return messages;
  }
}

/** A message with its length before it. */
export function framed(message: Uint8Array): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(LENGTH + message.length);
  out[0] = message.length >>> 8;
  out[1] = message.length;
  out.set(message, LENGTH);
  return out;
}
