/** Text for people: tables, wrapped lines, durations, errors. Colours only when asked for. */
import { MeshnetError } from "../core/errors.ts";
import { EXPOSE_HOLDER, EXTERN_HOLDER, HOST_HOLDER } from "../core/holders.ts";

/** Marks text with a colour, or leaves it alone. */
export interface Paint {
  /** All is well. */
  good(text: string): string;
  /** Something is wrong. */
  bad(text: string): string;
  /** Not yet well, or not at its best. */
  warn(text: string): string;
  /** Labels and asides. */
  dim(text: string): string;
  /** Headings. */
  bold(text: string): string;
  /** Columns of the terminal that it is for; undefined: it is for none. */
  readonly columns: number | undefined;
}

const code = (open: number, close: number) => (text: string) =>
  text === "" ? "" : `\x1b[${open}m${text}\x1b[${close}m`;
const plain = (text: string) => text;

/** The paint for a terminal, or for a file. */
export function paint(colour: boolean, columns?: number): Paint {
  return colour
    ? {
      good: code(32, 39),
      bad: code(31, 39),
      warn: code(33, 39),
      dim: code(2, 22),
      bold: code(1, 22),
      columns,
    }
    : { good: plain, bad: plain, warn: plain, dim: plain, bold: plain, columns };
}

/** Replaces what could move the cursor, turn text around or cannot be seen: text from other hosts ends up here. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, "\ufffd");
}

/** Wraps a paragraph at blanks. */
export function messageLines(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  if (line !== "") lines.push(line);
  return lines;
}

/** A span as people say it: `14 s`, `3 min`, `2 h 5 min`, `9 d 3 h`. */
export function duration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

const SIZES = ["B", "kB", "MB", "GB", "TB", "PB"];

/** A number of bytes as people say it: `640 B`, `9.5 kB`, `1.2 GB`, in powers of a thousand. */
export function size(bytes: number): string {
  let unit = 0;
  let value = bytes;
  while (unit < SIZES.length - 1 && Number(value.toFixed(value < 10 ? 1 : 0)) >= 1000) {
    value /= 1000;
    unit++;
  }
  return `${value.toFixed(unit > 0 && value < 9.95 ? 1 : 0)} ${SIZES[unit]}`;
}

/** Whose a name is, as people call it: on whatever host, so a host is not "this" one. */
export function ownerText(container: string): string {
  if (container === EXTERN_HOLDER) return "records";
  return container === EXPOSE_HOLDER || container === HOST_HOLDER ? "the host" : container;
}

/** A peer as people call it: by its nickname, where that is known, and its name. */
export function peerLabel({ nickname, peer }: { readonly nickname: string; readonly peer: string }): string {
  return nickname === "" ? peer : `${nickname} (${peer})`;
}

/** A target as people call it: a container by its name, or else by the begin of its id. */
export function targetText(
  { name, target }: { readonly target: string; readonly name: string | null },
): string {
  const id = /^container:([0-9a-f]{12})[0-9a-f]{52}$/.exec(target)?.[1];
  if (target === EXPOSE_HOLDER) return "this host";
  return id === undefined ? target : `container:${name ?? id}`;
}

/** `1 peer`, `2 peers`. */
export function count(n: number, one: string): string {
  return `${n} ${one}${n === 1 ? "" : "s"}`;
}

/** `meshnet: <message>`, and `hint: ...` on a line of its own where there is one. */
export function formatError(error: unknown): string {
  if (!(error instanceof MeshnetError)) {
    const text = error instanceof Error ? error.stack ?? error.message : String(error);
    return `meshnet: Something unexpected happened: ${text}\nhint: This is a bug; please report it with this text\n`;
  }
  const hint = error.hint === undefined ? "" : `hint: ${printable(error.hint)}\n`;
  return `meshnet: ${printable(error.message)}\n${hint}`;
}
