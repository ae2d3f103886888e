/** Tells how far a start has come, and where one takes long. */
import type { Base } from "./parts/open_base.ts";

/** A phase of a start that takes longer is worth a warning, in milliseconds. */
const LONG_MS = 10_000;

/** Watches one start. Dispose it when the daemon is up, or has failed. */
export class StartWatch implements Disposable {
  readonly #base: Pick<Base, "clock" | "faults" | "logger" | "signal">;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** The first phase begins. */
  constructor(base: Pick<Base, "clock" | "faults" | "logger" | "signal">, readonly longMs: number = LONG_MS) {
    this.#base = base;
    this.#begin("nothing");
  }

  /** A phase is done, and the next begins. Throws the signal's reason when the daemon ends already. */
  phase(done: string): void {
    const { clock, logger, signal } = this.#base;
    logger.debug("start", { done, ms: Math.round(clock.now()) });
    this.#begin(done);
    signal.throwIfAborted();
  }

  #begin(done: string): void {
    clearTimeout(this.#timer);
    const { faults, logger } = this.#base;
    const tell = () => logger.warn("the start takes long", { done, seconds: this.longMs / 1_000 });
    this.#timer = setTimeout(faults.guard("watch the start", tell), this.longMs);
  }

  /** Stops watching. */
  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}
