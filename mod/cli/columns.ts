/** Columns of a terminal: how many a text takes, and text that fits into so many. */
import stringWidth from "string-width";

const ASCII = /^[\x20-\x7e]*$/;
/** Narrower a text is not wrapped: one word would take a line. */
export const LEAST = 8;
/** What turns colours on and off: it takes no column. */
const PAINT = "\x1b\\[[0-9;]*m";
/** One letter with its marks, or one paint. */
const PART = new RegExp(`${PAINT}|\\P{M}\\p{M}*|\\p{M}`, "gu");
const PAINTS = new RegExp(PAINT, "g");
const PAINT_FIRST = new RegExp(`^${PAINT}`);

/** How many columns a text takes; colours take none, letters of East Asian scripts and emoji two. */
export function widthOf(text: string): number {
  return ASCII.test(text) ? text.length : stringWidth(text);
}

/** A text with blanks behind it, so that it takes so many columns; longer ones stay as they are. */
export function padded(text: string, columns: number): string {
  return text + " ".repeat(Math.max(0, columns - widthOf(text)));
}

/** Lines of at most so many columns, broken at blanks, and within words that are longer. */
export function wrapped(text: string, columns: number): readonly string[] {
  const room = Math.max(LEAST, columns);
  if (widthOf(text) <= room) return [text];
  const lines: string[] = [];
  let line = "";
  let used = 0;
  for (const word of text.split(" ")) {
    const width = widthOf(word);
    if (line !== "" && used + 1 + width <= room) {
      line += ` ${word}`;
      used += 1 + width;
      continue;
    }
    if (line !== "") lines.push(line);
    [line, used] = [word, width];
    while (used > room) {
      const begin = beginOf(line, room);
      lines.push(begin);
      line = line.slice(begin.length);
      used = widthOf(line);
    }
  }
  return line === "" ? lines : [...lines, line];
}

/** As much of a word as fits into so many columns, with the colours in it. */
function beginOf(word: string, columns: number): string {
  let begin = "";
  let used = 0;
  for (const [part] of word.matchAll(PART)) {
    const width = widthOf(part);
    if (used + width > columns) break;
    begin += part;
    used += width;
  }
  return begin;
}

/** A page whose lines take at most so many columns. What is wrapped goes on below where its last column begins. */
export function fitted(page: string, columns: number): string {
  return page.split("\n").flatMap((line) => widthOf(line) <= columns ? [line] : hanging(line, columns)).join(
    "\n",
  );
}

function hanging(line: string, columns: number): readonly string[] {
  const bare = line.replaceAll(PAINTS, "");
  const indent = /^ */.exec(bare)![0].length;
  // A label, an option or a command before the text; not what stands in the right half.
  const label = /^ *\S.*? {2,}(?=\S)/.exec(bare)?.[0].length ?? 0;
  // What stands far to the right, with nothing before it, begins further to the left.
  if (label === 0 && indent > columns / 2) return hanging(" ".repeat(4) + line.trimStart(), columns);
  const hang = label > 0 && label <= columns / 2 ? label : Math.min(indent + 2, columns / 2);
  const at = placeOf(line, hang === label ? label : indent);
  const [first, ...rest] = wrapped(line.slice(at), columns - hang);
  return [line.slice(0, at) + first!, ...rest.map((text) => " ".repeat(hang) + text)];
}

/** Where the n-th visible letter of a line begins, behind colours that are turned off before it. */
function placeOf(line: string, visible: number): number {
  let at = 0;
  for (let left = visible; left > 0;) {
    const paint = PAINT_FIRST.exec(line.slice(at));
    if (paint === null) left--;
    at += paint?.[0].length ?? 1;
  }
  return at;
}
