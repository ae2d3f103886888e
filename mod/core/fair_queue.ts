/** A bounded queue in which nobody can be in the way of others for long. */

interface Waiting<T> {
  readonly items: { readonly item: T; readonly cost: number }[];
  /** Those before it have been taken. */
  head: number;
  /** What those that wait cost together. */
  cost: number;
}

/** One place's items leave in the order in which they came; places take turns, an item each. A place may have as much as
 * is free: one that floods fills half of the queue at the most, two a third each, and a new one always finds room. */
export class FairQueue<T> {
  /** In the order of their turns. */
  readonly #places = new Map<number, Waiting<T>>();
  #free: number;
  #length = 0;
  #refused = 0;

  /** `size`: what all that wait may cost together. */
  constructor(readonly size: number) {
    this.#free = size;
  }

  /** Number of items that wait. */
  get length(): number {
    return this.#length;
  }

  /** Number of items that found no room. */
  get refused(): number {
    return this.#refused;
  }

  /** Whether an item of this cost has room; one that has not is counted. */
  hasRoom(place: number, cost: number): boolean {
    const used = this.#places.get(place)?.cost ?? 0;
    if (used + cost <= this.#free - cost) return true;
    this.#refused++;
    return false;
  }

  /** Adds an item for which hasRoom() was true just now. */
  add(place: number, cost: number, item: T): void {
    let waiting = this.#places.get(place);
    if (waiting === undefined) this.#places.set(place, waiting = { items: [], head: 0, cost: 0 });
    waiting.items.push({ item, cost });
    waiting.cost += cost;
    this.#free -= cost;
    this.#length++;
  }

  /** Removes and returns the item whose turn it is; undefined: none waits. */
  take(): T | undefined {
    const next = this.#places.entries().next();
    if (next.done === true) return undefined;
    const [place, waiting] = next.value;
    const { item, cost } = waiting.items[waiting.head++]!;
    waiting.cost -= cost;
    this.#free += cost;
    this.#length--;
    this.#places.delete(place); // its next turn comes after those of all others
    if (waiting.head === waiting.items.length) return item;
    this.#places.set(place, waiting);
    if (waiting.head > 64 && 2 * waiting.head > waiting.items.length) {
      waiting.items.splice(0, waiting.head);
      waiting.head = 0;
    }
    return item;
  }
}
