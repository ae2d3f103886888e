/** One answer for all who ask at the same time. */

/**
 * Callers that come while an answer is being made share the next one: nobody gets an answer that was begun before the
 * call. At most two answers are being made at a time.
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
