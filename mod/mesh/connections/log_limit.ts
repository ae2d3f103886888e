/** Keeps one repeating fault from filling the log. */
import type { Millis } from "../../core/time.ts";

/** The same fault is logged at most this often, milliseconds. */
export const LOG_INTERVAL = 300_000;
const MAX_KEYS = 256;

/** Remembers what was said lately. */
export class LogLimit {
  readonly #said = new Map<string, Millis>();

  /** Whether something with this key may be said now. */
  pass(key: string, now: Millis): boolean {
    const last = this.#said.get(key);
    if (last !== undefined && now - last < LOG_INTERVAL) return false;
    this.#said.delete(key);
    this.#said.set(key, now);
    if (this.#said.size > MAX_KEYS) this.#said.delete(this.#said.keys().next().value!);
    return true;
  }
}
