/** Failures that nobody waits for. They go to the log, with a bound, and the program goes on. */
import { ERRNO } from "./errno.ts";
import { errnoOf, MeshnetError, messageOf, systemReason } from "./errors.ts";
import type { Clock, LogFields, Logger } from "./ports.ts";
import { after, type Millis } from "./time.ts";

/** A place that keeps failing is logged this many times within FAULT_WINDOW. */
export const FAULT_BURST = 3;
/** After so many milliseconds a place that still fails is logged again, with the number of failures in between. */
export const FAULT_WINDOW = 60_000;
const MAX_PLACES = 256;

interface Place {
  until: Millis;
  count: number;
}

/** Writes failures to the log under the name of the place where they happened. */
export class Faults {
  readonly #places = new Map<string, Place>();

  constructor(readonly parts: { readonly logger: Logger; readonly clock: Clock }) {}

  /** How many places are remembered. */
  get places(): number {
    return this.#places.size;
  }

  /** Logs what was thrown. `what` names the place, in words for people, and is one of few. Never throws. */
  tell(what: string, thrown: unknown, fields: LogFields = {}): void {
    const now = this.parts.clock.now();
    // Where there are no descriptors left, everything fails at once: that is one fault.
    const [key, burst] = isUsedUp(thrown) ? ["descriptors", 1] as const : [what, FAULT_BURST] as const;
    let place = this.#places.get(key);
    const untold = place === undefined ? 0 : Math.max(0, place.count - burst);
    if (place === undefined || now >= place.until) {
      this.#places.delete(key);
      if (this.#places.size >= MAX_PLACES) this.#places.delete(this.#places.keys().next().value!);
      this.#places.set(key, place = { until: after(now, FAULT_WINDOW), count: 0 });
    }
    place.count++;
    if (place.count > burst) return;
    const more = place.count === 1 && untold > 0 ? { untold } : {};
    try {
      this.parts.logger.error("failed, the rest goes on", { what, ...fields, ...reasonOf(thrown), ...more });
    } catch { /* a log that cannot be written is lost */ }
  }

  /** Wraps work for a timer or a callback of the system. What it throws, now or later, is logged. */
  guard<A extends readonly unknown[]>(what: string, work: (...args: A) => unknown): (...args: A) => void {
    return (...args) => {
      try {
        const result = work(...args);
        if (isThenable(result)) result.then(undefined, (thrown) => this.tell(what, thrown));
      } catch (thrown) {
        this.tell(what, thrown);
      }
    };
  }

  /** Watches a promise that nobody waits for. A rejection is logged. */
  later(what: string, promise: PromiseLike<unknown>): void {
    promise.then(undefined, (thrown) => this.tell(what, thrown));
  }
}

/** A failure as log fields: with its hint if people can mend it, with its stack if it is a defect. */
function reasonOf(thrown: unknown): LogFields {
  if (thrown instanceof MeshnetError) return { reason: thrown.message, code: thrown.code, hint: thrown.hint };
  const hint = isUsedUp(thrown) ? "Raise the limit of open files (ulimit -n, LimitNOFILE=)" : undefined;
  if (OF_THE_SYSTEM.test(messageOf(thrown))) return { reason: systemReason(thrown), hint };
  return { reason: messageOf(thrown), stack: thrown instanceof Error ? thrown.stack : undefined };
}

/** How the runtime ends the text of an error of the operating system. */
const OF_THE_SYSTEM = /\(os error [0-9]+\)/;

/** Whether this process, or the host, has no descriptors left. */
function isUsedUp(thrown: unknown): boolean {
  const errno = errnoOf(thrown) ?? Number(/\(os error ([0-9]+)\)/.exec(messageOf(thrown))?.[1]);
  return errno === ERRNO.EMFILE || errno === ERRNO.ENFILE;
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | undefined)?.then === "function";
}
