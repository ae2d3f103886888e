/** Keeps strangers from filling the log, whatever text they choose. */
import { LineLimit } from "../../core/line_limit.ts";
import type { Millis } from "../../core/time.ts";

/** The same kind of fault of the same source is logged at most this often, milliseconds. */
export const LOG_INTERVAL = 300_000;
/** Lines of all sources and kinds that may come at once, and milliseconds until one more may. */
export const LOG_RATE = { burst: 30, refill: 10_000 } as const;
const MAX_KEYS = 1_024;

/** Remembers what was said lately, and counts what was left out. */
export class LogLimit {
  readonly #said = new Map<string, Millis>();
  readonly #lines: LineLimit;

  constructor(now: Millis) {
    this.#lines = new LineLimit(LOG_RATE, now);
  }

  /** Whether a fault of this kind may be logged now: undefined, or how many lines were left out since the last one.
   * `kind` is one of few: never a text that the source has chosen. */
  pass(source: string, kind: string, now: Millis): number | undefined {
    const key = `${kind} ${source}`;
    const last = this.#said.get(key);
    if (last !== undefined && now - last < LOG_INTERVAL) return this.#lines.leaveOut();
    const leftOut = this.#lines.pass(now);
    if (leftOut === undefined) return undefined;
    this.#said.delete(key);
    this.#said.set(key, now);
    if (this.#said.size > MAX_KEYS) this.#said.delete(this.#said.keys().next().value!);
    return leftOut;
  }
}
