/** Clocks that differ. Pure. */
import type { Problem } from "../control/api_types.ts";

/** What one host's clock says. */
export interface ClockReading {
  readonly host: string;
  /** How much it is ahead of ours, in milliseconds. */
  readonly aheadMs: number;
  /** How long it took to ask: the reading is that uncertain. */
  readonly ms: number;
}

/** Clocks that are further apart are worth a word. At an hour and more names of the other host are refused. */
const MOST_MS = 10_000;
/** Hosts that one sentence names. */
const MAX_NAMED = 4;

/** Whether a clock differs by more than asking it explains. */
export function differs({ aheadMs, ms }: Pick<ClockReading, "aheadMs" | "ms">): boolean {
  return Math.abs(aheadMs) > MOST_MS + ms;
}

/** Clocks that differ from this host's. Where all others do, it is this host's that is wrong. */
export function clockFaults(readings: readonly ClockReading[]): readonly Problem[] {
  const wrong = readings.filter(differs);
  if (wrong.length === 0) return [];
  const text = wrong.slice(0, MAX_NAMED).map(({ aheadMs, host }) =>
    `${host} is ${Math.round(Math.abs(aheadMs) / 1000)} s ${aheadMs > 0 ? "ahead" : "behind"}`
  ).join(", ");
  const more = wrong.length > MAX_NAMED ? `, and ${wrong.length - MAX_NAMED} more differ` : "";
  const isOurs = wrong.length > 1 && wrong.length === readings.length;
  return [{
    message: `Clocks differ from this host's: ${text}${more}${
      isOurs ? "; so this host's is probably wrong" : ""
    }`,
    hint: "Let all hosts have the right time, for example by chrony or systemd-timesyncd",
  }];
}
