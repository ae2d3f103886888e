/** A worker's end of its channel: messages in the order in which they came, one at a time. */

/** Messages of one kind. */
export class WorkerInbox<Message> {
  readonly #arrived: Message[] = [];
  #waiting: ((message: Message) => void) | undefined;

  /** Takes one that came. */
  put(message: Message): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting === undefined) this.#arrived.push(message);
    else waiting(message);
  }

  /** Waits for the next one. One caller at a time. */
  next(): Promise<Message> {
    const first = this.#arrived.shift();
    if (first !== undefined) return Promise.resolve(first);
    return new Promise((resolve) => this.#waiting = resolve);
  }
}
