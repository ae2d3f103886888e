/** Virtual time: events run in order of time, and time jumps from one to the next. */
import type { Millis } from "../../mod/core/time.ts";

interface Scheduled {
  readonly at: number;
  readonly serial: number;
  readonly run: () => unknown;
}

/** More events than this at one moment mean that something goes round in circles. */
const STUCK = 1_000_000;

/** A clock that moves only by running what is scheduled. Events of one moment run in the order of scheduling. */
export class VirtualClock {
  readonly #heap: Scheduled[] = [];
  #now = 0;
  #serial = 0;
  /** Events run so far. */
  events = 0;

  now(): Millis {
    return this.#now as Millis;
  }

  /** Runs `run` after `ms` milliseconds of virtual time. */
  after(ms: number, run: () => unknown): void {
    this.at(this.#now + Math.max(0, ms), run);
  }

  /** Runs `run` at a point of virtual time, or now if that has passed. */
  at(at: number, run: () => unknown): void {
    const heap = this.#heap;
    const item = { at: Math.max(at, this.#now), serial: this.#serial++, run };
    let index = heap.push(item) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!before(item, heap[parent]!)) break;
      heap[index] = heap[parent]!;
      index = parent;
    }
    heap[index] = item;
  }

  /** Runs everything scheduled for the next `ms` milliseconds. */
  run(ms: number): void {
    const end = this.#now + ms;
    let still = 0;
    while (this.#heap.length > 0 && this.#heap[0]!.at <= end) {
      const next = this.#pop();
      still = next.at === this.#now ? still + 1 : 0;
      if (still > STUCK) throw new Error(`time stands still at ${this.#now} ms`);
      this.#now = next.at;
      this.events++;
      next.run();
    }
    this.#now = end;
  }

  #pop(): Scheduled {
    const heap = this.#heap;
    const top = heap[0]!;
    const last = heap.pop()!;
    if (heap.length === 0) return top;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
      if (!before(heap[child]!, last)) break;
      heap[index] = heap[child]!;
      index = child;
    }
    heap[index] = last;
    return top;
  }
}

function before(a: Scheduled, b: Scheduled): boolean {
  return a.at < b.at || (a.at === b.at && a.serial < b.serial);
}
