/** A stream of JSON values, one a line, as the engine sends its events. */
import { joinBytes } from "../core/bytes.ts";

/** Longest line, bytes: an event carries all labels of its container. */
const MAX_LINE = 1024 * 1024;
const LF = 0x0a;

/** What has come. `lost`: a line that was too long or no JSON; what it said is not known. */
export type Line = { readonly kind: "value"; readonly value: unknown } | { readonly kind: "lost" };

/** Cuts bytes into lines. Holds one line at most. */
export class JsonLines {
  #parts: Uint8Array[] = [];
  #length = 0;
  #skipping = false;

  /** Takes some bytes of the stream, and gives the lines that they complete. Keeps no reference to them. */
  take(chunk: Uint8Array): readonly Line[] {
    const lines: Line[] = [];
    for (let from = 0; from < chunk.length;) {
      const end = chunk.indexOf(LF, from);
      this.#keep(chunk.subarray(from, end < 0 ? chunk.length : end));
      if (end < 0) break;
      const line = this.#end();
      if (line !== undefined) lines.push(line);
      from = end + 1;
    }
    return lines;
  }

  #keep(part: Uint8Array): void {
    this.#skipping ||= this.#length + part.length > MAX_LINE;
    if (this.#skipping) {
      this.#parts = [];
      this.#length = 0;
    } else if (part.length > 0) {
      this.#parts.push(part.slice());
      this.#length += part.length;
    }
  }

  #end(): Line | undefined {
    const whole = joinBytes(this.#parts);
    const skipped = this.#skipping;
    this.#parts = [];
    this.#length = 0;
    this.#skipping = false;
    if (skipped) return { kind: "lost" };
    const text = new TextDecoder().decode(whole).trim();
    if (text === "") return undefined; // keeps the connection alive
    try {
      return { kind: "value", value: JSON.parse(text) };
    } catch {
      return { kind: "lost" };
    }
  }
}
