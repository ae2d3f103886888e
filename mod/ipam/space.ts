/** Which addresses of our ranges are in use, and which are free (source: spec ipam.md, section 3). */
import { SpanSet } from "./span_set.ts";
import { largestAligned, type Offset, type Span, spanSize } from "./universe.ts";

/** Every address of our ranges is either in use or free. */
export class Space {
  readonly #used = new Set<Offset>();
  #free = new SpanSet();

  /** `base`: where the universe starts on the wire; donations are aligned to absolute addresses. */
  constructor(readonly base: number) {}

  /** Addresses in use, in no order. */
  get used(): ReadonlySet<Offset> {
    return this.#used;
  }

  /** Free addresses, as ascending spans. */
  get free(): readonly Span[] {
    return this.#free.spans;
  }

  /** Whether every address of a span is ours and free. */
  allFree(span: Span): boolean {
    return this.#free.covers(span);
  }

  /** Whether an address is ours and free. */
  isFree(at: Offset): boolean {
    return this.#free.covers({ start: at, end: at + 1 });
  }

  /** How many addresses of a span are ours and free. */
  countFree(span: Span): number {
    return this.#free.count(span);
  }

  /** Takes the lowest free address of a span into use. */
  allocate(span: Span): Offset | undefined {
    const at = this.#free.lowest(span);
    if (at !== undefined) this.#use(at);
    return at;
  }

  /** Takes an address into use; false: it is not ours or not free. */
  claim(at: Offset): boolean {
    if (!this.isFree(at)) return false;
    this.#use(at);
    return true;
  }

  /** Makes an address that was in use free again. */
  release(at: Offset): void {
    if (this.#used.delete(at)) this.#free.add({ start: at, end: at + 1 });
  }

  /** Gives away a part of what is free in a span, the half of its largest block; undefined: nothing is free in it. */
  donate(span: Span): Span | undefined {
    const parts = this.#free.within(span);
    let best: Span | undefined;
    for (const part of parts) {
      if (best !== undefined && part.end - part.start < spanSize(best)) continue;
      const block = largestAligned(part, this.base);
      if (best === undefined || spanSize(block) >= spanSize(best)) best = block;
    }
    if (best === undefined) return undefined;
    const half = Math.floor(parts.reduce((sum, part) => sum + spanSize(part), 0) / 2);
    const given = spanSize(best) > half
      ? { start: best.start + Math.floor(spanSize(best) / 2), end: best.end }
      : best;
    this.#free.remove(given);
    return given;
  }

  /** These are our ranges now: what is new in them is free, what has left them is gone. */
  update(ranges: readonly Span[]): void {
    const owned = new SpanSet(ranges);
    for (const at of this.#used) if (!owned.covers({ start: at, end: at + 1 })) this.#used.delete(at);
    const used = [...this.#used].sort((a, b) => a - b);
    const free: Span[] = [];
    let next = 0;
    for (const { start, end } of owned.spans) {
      let from = start;
      for (; next < used.length && used[next]! < end; next++) {
        if (from < used[next]!) free.push({ start: from, end: used[next]! });
        from = used[next]! + 1;
      }
      if (from < end) free.push({ start: from, end });
    }
    this.#free = new SpanSet(free);
  }

  #use(at: Offset): void {
    this.#free.remove({ start: at, end: at + 1 });
    this.#used.add(at);
  }
}
