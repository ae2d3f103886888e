/** A set of addresses, kept as spans. */
import { commonSpan, joined, type Offset, type Span } from "./universe.ts";

/** Sorted spans that neither touch nor overlap. Look-ups are binary searches; lists of spans are short. */
export class SpanSet {
  #spans: Span[];

  /** The set of what these spans cover. */
  constructor(spans: readonly Span[] = []) {
    this.#spans = joined(spans);
  }

  /** The spans, ascending. */
  get spans(): readonly Span[] {
    return this.#spans;
  }

  /** How many addresses are in it. */
  get size(): number {
    return this.#spans.reduce((sum, { start, end }) => sum + end - start, 0);
  }

  /** Whether all of a span is in it; true of an empty one. */
  covers({ start, end }: Span): boolean {
    if (start >= end) return true;
    const span = this.#spans[this.#firstBehind(start)];
    return span !== undefined && span.start <= start && end <= span.end;
  }

  /** The lowest address within a span. */
  lowest(within: Span): Offset | undefined {
    const span = this.#spans[this.#firstBehind(within.start)];
    return span === undefined ? undefined : commonSpan(span, within)?.start;
  }

  /** What of the set lies within a span, ascending. */
  within(span: Span): Span[] {
    const out: Span[] = [];
    for (let i = this.#firstBehind(span.start); i < this.#spans.length; i++) {
      const part = commonSpan(this.#spans[i]!, span);
      if (part === undefined) break;
      out.push(part);
    }
    return out;
  }

  /** How many addresses within a span are in it. */
  count(span: Span): number {
    return this.within(span).reduce((sum, { start, end }) => sum + end - start, 0);
  }

  /** Puts all of a span into it. */
  add(span: Span): void {
    let from = this.#firstBehind(span.start);
    if (from > 0 && this.#spans[from - 1]!.end === span.start) from--;
    let to = from;
    let { start, end } = span;
    for (; to < this.#spans.length && this.#spans[to]!.start <= span.end; to++) {
      start = Math.min(start, this.#spans[to]!.start);
      end = Math.max(end, this.#spans[to]!.end);
    }
    this.#spans.splice(from, to - from, { start, end });
  }

  /** Takes all of a span out of it. */
  remove(span: Span): void {
    const from = this.#firstBehind(span.start);
    const rest: Span[] = [];
    let to = from;
    for (; to < this.#spans.length && this.#spans[to]!.start < span.end; to++) {
      const { start, end } = this.#spans[to]!;
      if (start < span.start) rest.push({ start, end: span.start });
      if (end > span.end) rest.push({ start: span.end, end });
    }
    this.#spans.splice(from, to - from, ...rest);
  }

  /** Index of the first span that ends behind an address. */
  #firstBehind(at: Offset): number {
    let [low, high] = [0, this.#spans.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#spans[middle]!.end <= at) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
