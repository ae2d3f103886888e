/** One piece of work about a holder after the other. */

/** Whoever takes addresses may wait for other hosts, however long. Whoever gives them back ends that, and waits for nobody. */
export class Turns {
  /** The last work about each holder, as long as it is not done. */
  readonly #last = new Map<string, Promise<unknown>>();
  readonly #takers = new Map<string, Set<AbortController>>();

  /** Does work that takes addresses. Its own `gone` aborts as well when somebody gives addresses back meanwhile; then what
   * it throws becomes `ended()`. */
  async take<T>(
    holder: string,
    work: (gone: () => AbortSignal) => Promise<T>,
    { ended, gone }: { readonly gone: () => AbortSignal; readonly ended: () => Error },
  ): Promise<T> {
    const end = new AbortController();
    const takers = this.#takers.get(holder) ?? new Set();
    this.#takers.set(holder, takers.add(end));
    try {
      return await this.#inTurn(holder, () => work(() => AbortSignal.any([gone(), end.signal])));
    } catch (thrown) {
      throw end.signal.aborted ? ended() : thrown;
    } finally {
      takers.delete(end);
      if (takers.size === 0 && this.#takers.get(holder) === takers) this.#takers.delete(holder);
    }
  }

  /** Does work that gives addresses back. */
  giveBack<T>(holder: string, work: () => Promise<T>): Promise<T> {
    for (const end of this.#takers.get(holder) ?? []) end.abort();
    return this.#inTurn(holder, work);
  }

  async #inTurn<T>(holder: string, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(holder);
    const mine = (before ?? Promise.resolve()).then(work, work);
    this.#last.set(holder, mine);
    try {
      return await mine;
    } finally {
      if (this.#last.get(holder) === mine) this.#last.delete(holder);
    }
  }
}
