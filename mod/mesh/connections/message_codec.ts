/** Cuts a connection's byte stream into mesh messages, and seals and opens them (source: spec mesh.md 2.2 to 2.4). */
import { bad, type Decoded, good } from "../../core/brand.ts";
import { ByteReader } from "../../core/bytes.ts";
import { ByteQueue } from "../../wire/mesh/byte_queue.ts";
import { GobDecoder, GobEncoder, type ValueOf } from "../../wire/mesh/gob.ts";
import { FEATURES } from "../../wire/mesh/mesh_features.ts";
import { SEAL_OVERHEAD, type SealedStream } from "./sealed_stream.ts";

/** Longest message on the wire, in bytes, after sealing and without its length prefix. */
export const MAX_FRAME = 10 * 1024 * 1024;
/** Why the first sealed message cannot be opened: with different passwords nothing opens. */
export const PASSWORDS_DIFFER =
  "the message did not decrypt: the passwords differ, set the same password on both";

/** Messages <-> bytes of one connection, both directions; made by the introduction. */
export interface MessageCodec {
  /** The longest message that encode() takes. */
  readonly maxMessage: number;
  /** Octets of memory kept for a message that has not come whole yet. */
  readonly held: number;
  /** The bytes of our next message, framed and sealed: write them in the order of the calls. */
  encode(message: Uint8Array): Uint8Array<ArrayBuffer>;
  /**
   * Appends received bytes and returns the messages they complete, opened; none is usual. The codec keeps the bytes
   * and the messages are views into them: neither may be changed afterwards. A refusal is final and must end the
   * connection; its reason is a sentence for people.
   */
  feed(bytes: Uint8Array): Decoded<readonly Uint8Array[]>;
}

/** What both protocol versions share. */
export abstract class StreamCodec implements MessageCodec {
  #sealed: SealedStream | undefined;
  #opened = 0;
  #failure: string | undefined;
  /** Longest message accepted on the wire; may be changed at any time. */
  abstract maxFrame: number;
  /** Octets of memory kept for a message that has not come whole yet. */
  abstract readonly held: number;

  /** Puts bytes of the stream into the buffer, which keeps them. */
  abstract push(bytes: Uint8Array): void;
  /** Takes the bytes that no message has used yet out of the buffer. */
  abstract takeRest(): Uint8Array;
  /** The next message as it travels, or undefined until enough bytes are there. */
  protected abstract pull(): Decoded<Uint8Array | undefined>;
  /** The bytes that carry one message as it travels. */
  protected abstract frame(body: Uint8Array): Uint8Array<ArrayBuffer>;

  /** From now on, all messages are sealed. */
  secure(sealed: SealedStream): void {
    this.#sealed = sealed;
  }

  /** The longest message that encode() takes. */
  get maxMessage(): number {
    return MAX_FRAME - (this.#sealed === undefined ? 0 : SEAL_OVERHEAD);
  }

  /** The bytes of our next message; throws a RangeError for one that is too long. */
  encode(message: Uint8Array): Uint8Array<ArrayBuffer> {
    if (message.length > this.maxMessage) {
      throw new RangeError(
        `Cannot send message of ${message.length} bytes, at most ${this.maxMessage} are allowed`,
      );
    }
    return this.frame(this.#sealed?.seal(message) ?? message);
  }

  /** Appends received bytes and returns the messages they complete. */
  feed(bytes: Uint8Array): Decoded<readonly Uint8Array[]> {
    this.push(bytes);
    const messages: Uint8Array[] = [];
    while (true) {
      const next = this.next();
      if (!next.ok) return next;
      if (next.value === undefined) return good(messages);
      messages.push(next.value);
    }
  }

  /** The next message, opened; undefined until enough bytes are there. */
  next(): Decoded<Uint8Array | undefined> {
    if (this.#failure !== undefined) return bad(this.#failure);
    const pulled = this.pull();
    if (!pulled.ok) return bad(this.#failure = pulled.reason);
    if (pulled.value === undefined || this.#sealed === undefined) return pulled;
    const opened = this.#sealed.open(pulled.value);
    if (opened !== undefined) {
      this.#opened++;
      return good(opened);
    }
    const broken = `message ${this.#opened} did not decrypt: it was changed on the way`;
    return bad(this.#failure = this.#opened === 0 ? PASSWORDS_DIFFER : broken);
  }
}

/** Protocol version 2: a big-endian 32-bit length before each message. */
export class FramedCodec extends StreamCodec {
  readonly #queue = new ByteQueue();
  /** Longest message accepted, without its prefix. */
  override maxFrame: number = MAX_FRAME;

  /** Octets of memory kept for a message that has not come whole yet. */
  override get held(): number {
    return this.#queue.held;
  }

  /** Puts bytes of the stream into the buffer. */
  override push(bytes: Uint8Array): void {
    this.#queue.push(bytes);
  }

  /** Takes the bytes that no message has used yet. */
  override takeRest(): Uint8Array {
    return this.#queue.take(this.#queue.length);
  }

  /** The next message as it travels. */
  protected override pull(): Decoded<Uint8Array | undefined> {
    if (this.#queue.length < 4) return good(undefined);
    const length = new ByteReader(this.#queue.view()).u32();
    if (length > this.maxFrame) {
      return bad(`the peer sent a message of ${length} bytes, at most ${this.maxFrame} are allowed`);
    }
    if (this.#queue.length < 4 + length) {
      this.#queue.expect(4 + length);
      return good(undefined);
    }
    this.#queue.take(4);
    return good(this.#queue.take(length));
  }

  /** The bytes that carry one message. */
  protected override frame(body: Uint8Array): Uint8Array<ArrayBuffer> {
    const frame = new Uint8Array(4 + body.length);
    new DataView(frame.buffer).setUint32(0, body.length);
    frame.set(body, 4);
    return frame;
  }
}

/** Protocol version 1: one gob stream, features first, then each message as a byte string. */
export class GobCodec extends StreamCodec {
  readonly #gob = new GobDecoder();
  readonly #encoder = new GobEncoder();
  /** Room around a byte string of the greatest length: type, marker, length. */
  static readonly #overhead = 16;

  /** Longest message accepted; features may be as long, too. */
  override get maxFrame(): number {
    return this.#gob.maxMessage - GobCodec.#overhead;
  }

  override set maxFrame(length: number) {
    this.#gob.maxMessage = length + GobCodec.#overhead;
  }

  /** Octets of memory kept for a message that has not come whole yet. */
  override get held(): number {
    return this.#gob.held;
  }

  /** A codec for one connection. */
  constructor() {
    super();
    this.maxFrame = MAX_FRAME;
  }

  /** Puts bytes of the stream into the buffer. */
  override push(bytes: Uint8Array): void {
    this.#gob.feed(bytes);
  }

  /** Takes the bytes that no message has used yet. */
  override takeRest(): Uint8Array {
    return this.#gob.takeRest();
  }

  /** The features at the start of the stream, or undefined until enough bytes are there. */
  features(): Decoded<ValueOf<typeof FEATURES> | undefined> {
    return this.#gob.poll(FEATURES);
  }

  /** The next message as it travels. */
  protected override pull(): Decoded<Uint8Array | undefined> {
    const polled = this.#gob.poll("bytes");
    return polled.ok ? polled : bad(`the peer's stream is unreadable: ${polled.reason}`);
  }

  /** The bytes that carry one message. */
  protected override frame(body: Uint8Array): Uint8Array<ArrayBuffer> {
    return this.#encoder.encode(body, "bytes");
  }
}
