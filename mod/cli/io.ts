/** What a command may touch of the terminal: output, colours, environment. */
import { MeshnetError, systemReason } from "../core/errors.ts";

/** The terminal as a command sees it; tests hand in their own. */
export interface Io {
  /** Writes to standard output. */
  out(text: string): void;
  /** Writes to standard output what a command has done that must go on to its end, whether or not anybody reads it. */
  tell(text: string): void;
  /** Writes to standard error. */
  err(text: string): void;
  /** Whether standard output takes colours. */
  readonly colour: boolean;
  /** Columns (COLUMNS beats what it says) and rows of the terminal that standard output is; undefined: it is none. */
  readonly size: { readonly columns: number; readonly rows: number } | undefined;
  /** Whether somebody can be asked: both ends are a terminal. */
  readonly canAsk: boolean;
  /** Asks a question that is answered by yes or no; anything but yes is no. */
  ask(question: string): boolean;
  /** An environment variable; undefined when unset or empty. */
  env(name: string): string | undefined;
}

function write(stream: { writeSync(bytes: Uint8Array): number }, text: string): void {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) at += stream.writeSync(bytes.subarray(at));
}

function out(text: string): void {
  try {
    write(Deno.stdout, text);
  } catch (cause) {
    if (cause instanceof Deno.errors.BrokenPipe) Deno.exit(0); // `meshnet status | head`
    throw new MeshnetError("control/request-failed", `Cannot write the output: ${systemReason(cause)}`, {
      hint: "Look at where standard output goes: the disk may be full",
      cause,
    });
  }
}

function tell(text: string): void {
  try {
    write(Deno.stdout, text);
  } catch { /* nobody reads it any more; what is half done would be worse */ }
}

function err(text: string): void {
  try {
    write(Deno.stderr, text);
  } catch { /* nobody can be told; the exit code says enough */ }
}

/** Asked each time: windows change. */
function terminalSize(): Io["size"] {
  if (!Deno.stdout.isTerminal()) return undefined;
  try {
    const { columns, rows } = Deno.consoleSize();
    const wanted = Number(Deno.env.get("COLUMNS"));
    if (columns <= 0 || rows <= 0) return undefined;
    return { columns: Number.isInteger(wanted) && wanted > 0 ? wanted : columns, rows };
  } catch {
    return undefined; // it is standard input that is asked on some systems
  }
}

/** The terminal of this process. */
export function processIo(): Io {
  const env = (name: string) => Deno.env.get(name) || undefined;
  return {
    get size() {
      return terminalSize();
    },
    out,
    tell,
    err,
    get canAsk() {
      return Deno.stdin.isTerminal() && Deno.stdout.isTerminal();
    },
    ask: (question) => confirm(question),
    colour: env("NO_COLOR") === undefined && env("TERM") !== "dumb" && Deno.stdout.isTerminal(),
    env,
  };
}
