/** Which sequence numbers have been seen: rejects packets that are sent again (source: spec dataplane.md 5.2). */

/** Sequence numbers in one of the two windows. */
export const WINDOW = 2 ** 20;
/** Bits of one page; a window is made of pages that are there once a number in them has been seen. */
const PAGE_BITS = 2 ** 15;
const PAGES = WINDOW / PAGE_BITS;

type Pages = (Uint32Array | undefined)[];

/**
 * Remembers the numbers of the window of the highest one accepted and of the window before; whatever is older counts
 * as seen. Numbers are integers up to 2^53 - 1. A link that carries little takes 4 KiB, a busy one up to 256 KiB, and
 * pages are used again: nothing is allocated once both windows have been full.
 */
export class ReplayWindow {
  /** Number of the newer window: the highest sequence number accepted, divided by WINDOW. */
  #newest = 0;
  #current: Pages = new Array(PAGES).fill(undefined);
  #previous: Pages = new Array(PAGES).fill(undefined);
  readonly #spare: Uint32Array[] = [];

  /** Whether accept() would accept this number. Changes nothing. */
  isNew(seq: number): boolean {
    const window = Math.floor(seq / WINDOW);
    if (window > this.#newest) return true;
    const pages = this.#pagesOf(window);
    if (pages === undefined) return false;
    const bit = seq & WINDOW - 1; // as % WINDOW, but a remainder of doubles costs ten times as much
    const page = pages[bit >>> 15];
    return page === undefined || (page[(bit & PAGE_BITS - 1) >>> 5]! >>> (bit & 31) & 1) === 0;
  }

  /** Takes note of an authentic packet's number; false when it was seen before, or is too old to tell. */
  accept(seq: number): boolean {
    if (!this.isNew(seq)) return false;
    const window = Math.floor(seq / WINDOW);
    if (window > this.#newest) this.#slide(window);
    const pages = this.#pagesOf(window)!;
    const bit = seq & WINDOW - 1;
    const page = pages[bit >>> 15] ??= this.#spare.pop() ?? new Uint32Array(PAGE_BITS / 32);
    page[(bit & PAGE_BITS - 1) >>> 5]! |= 1 << (bit & 31);
    return true;
  }

  #pagesOf(window: number): Pages | undefined {
    if (window === this.#newest) return this.#current;
    return window === this.#newest - 1 ? this.#previous : undefined;
  }

  #slide(window: number): void {
    this.#clear(this.#previous);
    if (window > this.#newest + 1) this.#clear(this.#current);
    [this.#current, this.#previous] = [this.#previous, this.#current];
    this.#newest = window;
  }

  #clear(pages: Pages): void {
    for (let i = 0; i < PAGES; i++) {
      const page = pages[i];
      if (page === undefined) continue;
      this.#spare.push(page.fill(0));
      pages[i] = undefined;
    }
  }
}
