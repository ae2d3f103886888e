/** The loop of every shell: one bounded queue, one step at a time, one alarm. */
import type { Alarm, Clock } from "./ports.ts";
import type { Millis } from "./time.ts";

/** A deterministic core: events and time in, effects out, its timers as data. */
export interface Core<E, F> {
  /** Handles one event. Never throws for anything that came from the network. */
  step(event: E, now: Millis): readonly F[];
  /** Earliest time at which a wake event could matter; Infinity when there is none. */
  nextWake(): number;
}

/** Runs a core: events posted while one is being handled wait their turn. */
export class Driver<E, F> {
  #queue: E[] = [];
  #running = false;
  #stopped = false;
  /** Events refused because the queue was full. */
  dropped = 0;

  /** `perform` carries out each effect; `options.wake` is posted when the alarm goes off, `limit` bounds the queue. */
  constructor(
    readonly core: Core<E, F>,
    readonly perform: (effect: F) => void,
    readonly options: { clock: Clock; alarm: Alarm; wake: E; limit: number },
  ) {}

  /** Queues an event and, unless called from an effect, handles everything queued. False when it was refused. */
  post(event: E): boolean {
    if (this.#stopped) return false;
    if (this.#queue.length >= this.options.limit) {
      this.dropped++;
      return false;
    }
    this.#queue.push(event);
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
    const { clock, alarm, wake } = this.options;
    this.#running = true;
    try {
      for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
        for (const effect of this.core.step(next, clock.now())) this.perform(effect);
      }
    } finally {
      this.#running = false;
      if (!this.#stopped) alarm.set(this.core.nextWake(), () => this.post(wake));
    }
  }
}
