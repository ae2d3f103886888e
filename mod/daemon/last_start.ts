/** Why the last start failed: `up` leaves a note in the run folder, which the doctor reads where no daemon runs. */
import { MeshnetError, messageOf } from "../core/errors.ts";
import { ensureFolder, readTextIfReadable, removeIfThere } from "../sys/files.ts";
import { unsafeFolder } from "./checks/folders.ts";

/** The note's name in the run folder. */
export const FAILED_START_FILE = "failed-start.json";

/** Texts of a note are cut after so many characters. */
const MOST_TEXT = 4_000;

/** A start that failed. */
export interface FailedStart {
  /** When, as milliseconds since 1970. */
  readonly at: number;
  readonly message: string;
  readonly hint: string | null;
}

/** Leaves the note. Never throws, as there is a reason already; nothing is left where the folder cannot be trusted, and where
 * another router runs, whose folder it is. */
export function noteFailedStart(runDir: string, error: unknown, now: number): void {
  if (error instanceof MeshnetError && error.code === "up/already-running") return;
  const hint = error instanceof MeshnetError ? error.hint ?? null : null;
  const note: FailedStart = { at: now, message: messageOf(error), hint };
  try {
    if (unsafeFolder(runDir, "--run-dir") !== undefined) return;
    ensureFolder(runDir);
    Deno.writeTextFileSync(`${runDir}/${FAILED_START_FILE}`, JSON.stringify(note), { mode: 0o600 });
  } catch { /* the reason is told by `up` itself */ }
}

/** Takes the note away: the daemon is up. */
export function forgetFailedStart(runDir: string): void {
  removeIfThere(`${runDir}/${FAILED_START_FILE}`);
}

/** The note of a run folder; undefined: there is none that can be read and understood. */
export function failedStart(runDir: string): FailedStart | undefined {
  return parseNote(readTextIfReadable(`${runDir}/${FAILED_START_FILE}`));
}

/** What a note says; undefined where it makes no sense. */
export function parseNote(text: string | undefined): FailedStart | undefined {
  try {
    const { at, hint, message } = JSON.parse(text ?? "") as Record<string, unknown>;
    if (typeof at !== "number" || typeof message !== "string" || message === "") return undefined;
    return {
      at,
      message: message.slice(0, MOST_TEXT),
      hint: typeof hint === "string" ? hint.slice(0, MOST_TEXT) : null,
    };
  } catch {
    return undefined;
  }
}
