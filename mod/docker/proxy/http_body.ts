/** The body of an HTTP/1.1 request, put together from the pieces in which it comes. Pure. */
import { bad, type Decoded, good } from "../../core/brand.ts";
import { GrowingBytes } from "../../core/growing_bytes.ts";

/** Largest body that is put together, bytes. */
export const MAX_READ_BODY = 4 * 1024 * 1024;
/** Longest line before a chunk, and longest trailer, bytes. */
const MAX_LINE = 4096;
const FIRST_ROOM = 4096;
const CR = 0x0d, LF = 0x0a;

/** `size`: the line before a chunk; `data`: within one; `gap`: the line end behind it; `trailer`: behind the last. */
type Stage = "size" | "data" | "gap" | "trailer" | "done";

/** Takes pieces until the body is whole. */
export class BodyReader {
  readonly #body = new GrowingBytes(FIRST_ROOM);
  readonly #chunked: boolean;
  #stage: Stage;
  /** Bytes of data that are to come. */
  #left = 0;
  #line = "";

  /** `length`: as bodyLength() gives it. */
  constructor(length: number | "chunked") {
    this.#chunked = length === "chunked";
    this.#left = length === "chunked" ? 0 : length;
    this.#stage = this.#chunked ? "size" : length === 0 ? "done" : "data";
  }

  /** The body, once it is whole. */
  get body(): Uint8Array<ArrayBuffer> {
    return this.#body.bytes.subarray(0, this.#body.length);
  }

  /** Takes a piece; whether the body is whole now. What comes behind the body is left alone. */
  take(piece: Uint8Array): Decoded<boolean> {
    for (let at = 0; at < piece.length && this.#stage !== "done";) {
      if (this.#stage !== "data") {
        const wrong = this.#control(piece[at++]!);
        if (wrong !== undefined) return bad(wrong);
        continue;
      }
      const part = piece.subarray(at, at + this.#left);
      if (this.#body.length + part.length > MAX_READ_BODY) {
        return bad(`the body is longer than ${MAX_READ_BODY} bytes`);
      }
      const to = this.#body.room(part.length);
      this.#body.bytes.set(part, to);
      at += part.length;
      this.#left -= part.length;
      if (this.#left === 0) this.#stage = this.#chunked ? "gap" : "done";
    }
    return good(this.#stage === "done");
  }

  /** One byte between chunks; what is wrong with it. */
  #control(byte: number): string | undefined {
    if (byte !== LF) {
      if (byte !== CR) this.#line += String.fromCharCode(byte);
      if (this.#line.length > MAX_LINE) return "a line between the chunks of the body is too long";
      return this.#stage === "gap" && byte !== CR ? "a chunk of the body is longer than its size" : undefined;
    }
    const line = this.#line;
    this.#line = "";
    switch (this.#stage) {
      case "gap":
        this.#stage = "size";
        return undefined;
      case "trailer":
        if (line === "") this.#stage = "done";
        return undefined;
      default: {
        const size = /^([0-9a-f]{1,8})[ \t]*(;.*)?$/i.exec(line)?.[1];
        if (size === undefined) return "a chunk of the body has no size";
        this.#left = parseInt(size, 16);
        this.#stage = this.#left === 0 ? "trailer" : "data";
        return undefined;
      }
    }
  }
}
