/** Tables for people. */
import { LEAST, padded, widthOf, wrapped } from "./columns.ts";
import { type Paint, printable } from "./render.ts";

/** One cell: its text, and how to paint it once its width is known. */
export interface Cell {
  /** What it says. */
  readonly text: string;
  /** Adds colour to the text. */
  readonly paint?: (text: string) => string;
}

/** A row, and indented notes below it. */
export interface Row {
  /** From left to right. */
  readonly cells: readonly Cell[];
  /** Each a line. */
  readonly notes?: readonly string[];
}

const GAP = 2;
const NOTE_INDENT = 6;
const plain = (text: string) => text;

/** Left-aligned columns, two blanks apart, without trailing blanks. On a terminal that is too narrow the widest columns are
 * made narrower, and their cells take several lines. Where that would break words, the last columns go below each row. */
export function table(head: readonly string[], rows: readonly Row[], look: Paint): string {
  const titles = head.map((text) => ({ text, paint: look.dim }));
  const texts = [{ cells: titles }, ...rows].map(({ cells }) => cells.map(({ text }) => printable(text)));
  const widths = widthsOf(texts, look.columns);
  if (widths === undefined) return narrow(head, rows, { look, columns: look.columns!, texts });
  const lines = [{ cells: titles, notes: [] }, ...rows].flatMap(({ cells, notes = [] }: Row, i) => [
    ...rowLines(cells, texts[i]!, widths),
    ...notes.flatMap((note) => wrapped(printable(note), (look.columns ?? Infinity) - NOTE_INDENT))
      .map((line) => " ".repeat(NOTE_INDENT) + line),
  ]);
  return lines.join("\n") + "\n";
}

/** As many columns as fit, and the others as a note below each row: `sent 9.7 kB, peer host2`. */
function narrow(
  head: readonly string[],
  rows: readonly Row[],
  { columns, look, texts }: {
    readonly look: Paint;
    readonly columns: number;
    readonly texts: readonly (readonly string[])[];
  },
): string {
  let used = -GAP;
  const fit = head.findIndex((_, i) => (used += GAP + columnWidth(texts, i, widthOf)) > columns);
  if (fit <= 1) {
    const lines = rows.flatMap(({ cells, notes = [] }) => [...cells.map(({ text }) => text), ...notes]);
    return lines.flatMap((line) => wrapped(printable(line), columns)).join("\n") + "\n";
  }
  const kept = rows.map(({ cells, notes = [] }) => {
    const rest = cells.slice(fit).flatMap(({ text }, i) =>
      text === "" || text === "-" ? [] : `${head[fit + i]!.toLowerCase()} ${text}`.trim()
    );
    return { cells: cells.slice(0, fit), notes: [...rest.length > 0 ? [rest.join(", ")] : [], ...notes] };
  });
  return table(head.slice(0, fit), kept, look);
}

function columnWidth(
  texts: readonly (readonly string[])[],
  i: number,
  widthOfText: (text: string) => number,
): number {
  return Math.max(...texts.map((cells) => widthOfText(cells[i] ?? "")));
}

/** Takes a column at a time from the widest that may be narrower, until all fit; undefined: they do not without breaking
 * words. */
function widthsOf(
  texts: readonly (readonly string[])[],
  columns: number | undefined,
): readonly number[] | undefined {
  const most = (of: (text: string) => number) => texts[0]!.map((_, i) => columnWidth(texts, i, of));
  const widths = most(widthOf);
  if (columns === undefined) return widths;
  const least = most((text) => Math.min(widthOf(text), Math.max(LEAST, ...text.split(" ").map(widthOf))));
  const gaps = GAP * (widths.length - 1);
  let over = widths.reduce((sum, width) => sum + width, gaps) - columns;
  for (; over > 0; over--) {
    let widest = -1;
    for (const [i, width] of widths.entries()) {
      if (width > least[i]! && (widest < 0 || width >= widths[widest]!)) widest = i;
    }
    if (widest < 0) return undefined;
    widths[widest]!--;
  }
  return widths;
}

function rowLines(cells: readonly Cell[], texts: readonly string[], widths: readonly number[]): string[] {
  const parts = texts.map((text, i) => wrapped(text, widths[i]!));
  const height = Math.max(1, ...parts.map((lines) => lines.length));
  return Array.from({ length: height }, (_, n) => {
    const last = parts.findLastIndex((lines) => (lines[n] ?? "") !== "");
    return parts.slice(0, last + 1).map((lines, i) => {
      const text = lines[n] ?? "";
      const painted = (cells[i]!.paint ?? plain)(text);
      return i === last ? painted : painted + padded("", widths[i]! - widthOf(text) + GAP);
    }).join("");
  });
}
