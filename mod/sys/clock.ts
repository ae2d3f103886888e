/** Real time. */
import type { Faults } from "../core/faults.ts";
import type { Alarm, Clock } from "../core/ports.ts";
import type { Millis } from "../core/time.ts";

/** Longest time-out of the event loop; a later alarm is set again when this has passed. */
const LONGEST_MS = 2 ** 31 - 1;

/** The process's monotonic clock. */
export class SystemClock implements Clock {
  /** Milliseconds since the process began, with fractions. */
  now(): Millis {
    return performance.now() as Millis;
  }
}

/** One timer of the event loop. */
export class SystemAlarm implements Alarm {
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Rings by this clock. What a ring throws goes to `faults`. */
  constructor(readonly clock: Clock, readonly faults: Pick<Faults, "guard">) {}

  /** See Alarm.set. An alarm in the past rings soon, never at once. */
  set(at: number, ring: () => void): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (at === Infinity) return;
    const delay = Math.min(LONGEST_MS, Math.max(0, Math.ceil(at - this.clock.now())));
    const go = this.faults.guard("an alarm", () => {
      this.#timer = undefined;
      if (this.clock.now() < at) this.set(at, ring);
      else ring();
    });
    this.#timer = setTimeout(go, delay);
  }
}

/** Timers of the event loop that end with what they are of. None keeps the process. */
export class Timers implements Disposable {
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();
  #isOver = false;

  /** What their work throws goes to `faults`. */
  constructor(readonly faults: Pick<Faults, "guard">) {}

  /** Does this after so many milliseconds, unless disposed before. `what` names it in the log. */
  later(what: string, ms: number, work: () => void): void {
    if (this.#isOver) return;
    const go = this.faults.guard(what, () => {
      this.#timers.delete(timer);
      work();
    });
    const timer = setTimeout(go, ms);
    Deno.unrefTimer(timer);
    this.#timers.add(timer);
  }

  /** Nothing is done any more. */
  [Symbol.dispose](): void {
    this.#isOver = true;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }
}
