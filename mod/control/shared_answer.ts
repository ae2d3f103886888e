/** One answer for all who ask at the same time. */

/**
 * Asks only once for whoever asks while an answer is being made. Nobody gets an answer that was begun before he asked: who
 * comes meanwhile shares the next one. So at most two are being made, however many ask.
 */
export class SharedAnswer<T> {
  readonly #make: () => Promise<T>;
  #current: Promise<unknown> | undefined;
  #next: Promise<T> | undefined;

  constructor(make: () => Promise<T>) {
    this.#make = make;
  }

  /** An answer that is begun now or later. Rejects with what making it throws. */
  ask(): Promise<T> {
    if (this.#current === undefined) return this.#begin();
    this.#next ??= this.#current.then(() => this.#begin());
    return this.#next;
  }

  #begin(): Promise<T> {
    this.#next = undefined;
    const made = this.#make();
    const settled = made.then(() => {}, () => {}).then(() => {
      if (this.#current === settled) this.#current = undefined;
    });
    this.#current = settled;
    return made;
  }
}
