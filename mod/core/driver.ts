/** The loop of every shell: one bounded queue, one step at a time, one alarm. */
import type { Alarm, Clock } from "./ports.ts";
import { after, type Millis } from "./time.ts";

/** A deterministic core: events and time in, effects out, its timers as data. */
export interface Core<E, F> {
  /** Handles one event. Never throws for anything that came from the network. */
  step(event: E, now: Millis): readonly F[];
  /** Earliest time at which a wake event could matter; Infinity when there is none. */
  nextWake(): number;
}

/** A part of a step that failed. The rest of the step was still done. */
export interface Failure<E, F> {
  /** What was thrown. */
  readonly thrown: unknown;
  /** The event that was being handled. */
  readonly event: E;
  /** The effect that failed; undefined when the core itself threw. */
  readonly effect: F | undefined;
}

/** After a core threw it is woken no sooner than this, so that a core that always throws does not fill the processor. */
const PAUSE_AFTER_FAULT = 1_000;

/**
 * Runs a core: events posted while one is being handled wait their turn. Every effect of a step is performed, in order,
 * also when an earlier one failed. Nothing that fails leaves the loop: a failure goes to the event's poster if it asked
 * for that, else to `options.failed`.
 */
export class Driver<E, F> {
  #queue: { readonly event: E; readonly failed: (failure: Failure<E, F>) => void }[] = [];
  #running = false;
  #stopped = false;
  #faulty = false;
  /** Events refused because the queue was full. */
  dropped = 0;

  /** `perform` carries out each effect; `options.wake` is posted when the alarm goes off, `limit` bounds the queue,
   * `failed` takes failures and must not throw. */
  constructor(
    readonly core: Core<E, F>,
    readonly perform: (effect: F) => void,
    readonly options: {
      readonly clock: Clock;
      readonly alarm: Alarm;
      readonly wake: E;
      readonly limit: number;
      readonly failed: (failure: Failure<E, F>) => void;
    },
  ) {}

  /** Queues an event and, unless called from an effect, handles everything queued. `failed` takes the failures of this
   * event instead of `options.failed`. False when the event was refused. */
  post(event: E, failed = this.options.failed): boolean {
    if (this.#stopped) return false;
    if (this.#queue.length >= this.options.limit) {
      this.dropped++;
      return false;
    }
    this.#queue.push({ event, failed });
    if (!this.#running) this.#run();
    return true;
  }

  /** Ends the loop: later events are refused and the alarm is cleared. */
  stop(): void {
    this.#stopped = true;
    this.#queue = [];
    this.options.alarm.set(Infinity, () => {});
  }

  #run(): void {
    this.#running = true;
    this.#faulty = false;
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
      this.#handle(next.event, next.failed);
    }
    this.#running = false;
    if (!this.#stopped) this.#arm();
  }

  #handle(event: E, failed: (failure: Failure<E, F>) => void): void {
    let effects: readonly F[];
    try {
      effects = this.core.step(event, this.options.clock.now());
    } catch (thrown) {
      this.#faulty = true;
      return failed({ thrown, event, effect: undefined });
    }
    for (const effect of effects) {
      try {
        this.perform(effect);
      } catch (thrown) {
        failed({ thrown, event, effect });
      }
    }
  }

  #arm(): void {
    const { clock, alarm, wake } = this.options;
    let at = this.core.nextWake();
    if (this.#faulty) at = Math.max(at, after(clock.now(), PAUSE_AFTER_FAULT));
    alarm.set(at, () => this.post(wake));
  }
}
