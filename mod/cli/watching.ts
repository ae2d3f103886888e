/** `status --check` and `status --watch`: one line for scripts, and a page that is shown again every second. */
import type { StatusReport } from "../control/api_types.ts";
import { degradation, reachedPeers } from "../control/health.ts";
import { MeshnetError } from "../core/errors.ts";
import type { Io } from "./io.ts";
import { count, formatError, printable } from "./render.ts";

/** Milliseconds between two looks. */
const EVERY_MS = 1_000;
/** Exit code: the daemon runs, and its network is not as it should be. */
const DEGRADED = 4;
/** Cursor to the top left; and clear what is below it. */
const [HOME, CLEAR_BELOW, CLEAR_LINE_END] = ["\x1b[H", "\x1b[J", "\x1b[K"];

/** Asks the daemon for its status. */
type Ask = () => Promise<StatusReport>;

/** Prints in one line whether all is well, and gives the exit code. Watching, it prints a line whenever that changes, and
 * goes on until it is interrupted. */
export async function check(
  { ask, io, watch }: { readonly ask: Ask; readonly io: Io; readonly watch: boolean },
): Promise<number> {
  if (!watch) {
    const { line, ok } = verdict(await ask());
    io.out(`${line}\n`);
    return ok ? 0 : DEGRADED;
  }
  let last: string | undefined;
  for (;; await nextLook()) {
    const line = await answerOrError(async () => verdict(await ask()).line);
    if (line !== last) io.out(`${now()} ${line}\n`);
    last = line;
  }
}

function verdict(report: StatusReport): { readonly line: string; readonly ok: boolean } {
  const fault = degradation(report);
  return fault === undefined
    ? { line: `ok: ${count(reachedPeers(report).size, "other host")} reached`, ok: true }
    : { line: printable(`degraded: ${fault}`), ok: false };
}

/** Shows a page again and again: on a terminal in place, else one after the other. Goes on while the daemon is away; as JSON it ends then.
 */
export async function watch(
  { ask, io, isJson, show }: {
    readonly ask: Ask;
    readonly io: Io;
    readonly show: (report: StatusReport) => Promise<string>;
    readonly isJson: boolean;
  },
): Promise<never> {
  for (let first = true;; first = false, await nextLook()) {
    if (isJson) {
      io.out(`${JSON.stringify(JSON.parse(await show(await ask())))}\n`);
      continue;
    }
    const page = await answerOrError(async () => await show(await ask()));
    const whole = `${now()}  (every second; Ctrl-C ends)\n\n${page}`;
    io.out(
      io.size === undefined ? `${first ? "" : "\n"}${whole}` : inPlace(whole, { first, rows: io.size.rows }),
    );
  }
}

/** What a terminal is sent so that the page takes the place of the one before, without flicker. More lines than it has
 * would scroll. */
function inPlace(page: string, { first, rows }: { readonly first: boolean; readonly rows: number }): string {
  const lines = page.trimEnd().split("\n");
  const shown = lines.length < rows ? lines : [...lines.slice(0, rows - 2), "..."];
  return `${first ? "\x1b[2J" : ""}${HOME}${
    shown.join(`${CLEAR_LINE_END}\n`)
  }${CLEAR_LINE_END}\n${CLEAR_BELOW}`;
}

async function answerOrError(ask: () => Promise<string>): Promise<string> {
  try {
    return await ask();
  } catch (error) {
    if (!(error instanceof MeshnetError)) throw error;
    return formatError(error).trimEnd().split("\n")[0]!;
  }
}

async function nextLook(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
}

/** The time of day as logs have it, without fractions. */
function now(): string {
  return `${new Date().toISOString().slice(0, 19)}Z`;
}
