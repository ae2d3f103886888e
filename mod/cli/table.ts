/** Tables for people. */
import { padded, widthOf, wrapped } from "./columns.ts";
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
/** No column is made narrower. */
const LEAST = 8;
const plain = (text: string) => text;

/** Left-aligned columns, two blanks apart, without trailing blanks. On a terminal that is too narrow the widest columns are
 * made narrower, and their cells take several lines. */
export function table(head: readonly string[], rows: readonly Row[], look: Paint): string {
  const titles = head.map((text) => ({ text, paint: look.dim }));
  const shown = [{ cells: titles }, ...rows].map(({ cells }) => cells.map(({ text }) => printable(text)));
  const natural = head.map((_, i) => Math.max(...shown.map((texts) => widthOf(texts[i] ?? ""))));
  const widths = narrowed(natural, look.columns);
  const lines: string[] = [];
  [{ cells: titles, notes: [] }, ...rows].forEach((row, i) => {
    lines.push(...rowLines(row.cells, shown[i]!, widths));
    for (const note of row.notes ?? []) {
      const room = (look.columns ?? Infinity) - NOTE_INDENT;
      for (const line of wrapped(printable(note), room)) lines.push(" ".repeat(NOTE_INDENT) + line);
    }
  });
  return lines.join("\n") + "\n";
}

/** Takes a column at a time from the widest, until all fit or none can be narrower. */
function narrowed(natural: readonly number[], columns: number | undefined): readonly number[] {
  const widths = [...natural];
  const gaps = GAP * (widths.length - 1);
  let over = columns === undefined ? 0 : widths.reduce((sum, width) => sum + width, gaps) - columns;
  for (; over > 0; over--) {
    const widest = Math.max(...widths);
    if (widest <= LEAST) break;
    widths[widths.lastIndexOf(widest)]!--;
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
