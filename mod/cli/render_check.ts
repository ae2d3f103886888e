/** What `meshnet check` says, for people. */
import type { CheckLine, CheckReport, CheckState } from "../control/doctor_types.ts";
import { count, type Paint, printable } from "./render.ts";
import { table } from "./table.ts";

const WORDS: Readonly<Record<CheckState, string>> = {
  good: "ok",
  bad: "FAULT",
  unknown: "unknown",
  unused: "not needed",
};

/** One line for each thing, with the commands that mend it. */
export function renderCheck({ address, good, host, lines, peer }: CheckReport, look: Paint): string {
  const paints = { good: look.good, bad: look.bad, unknown: look.warn, unused: look.dim };
  const rows = lines.map(({ fix, state, text, what }, i) => ({
    cells: [{ text: what }, { text: WORDS[state], paint: paints[state] }, { text }],
    notes: isTold(fix, lines.slice(0, i)) ? [] : fixLines(fix),
  }));
  const who = peer === null ? host : `${peer} (${host})`;
  const at = address === null || address === host ? "" : ` at ${address}`;
  const bad = lines.filter(({ state }) => state === "bad").length;
  const end = good ? look.good("no fault found") : look.bad(`${count(bad, "fault")} found`);
  return `${printable(`${who}${at}`)}\n${table(["WHAT", "STATE", ""], rows, look)}${end}\n`;
}

/** Whether a line before it has the same fix: one cause often shows at several ports. */
function isTold(fix: CheckLine["fix"], before: readonly CheckLine[]): boolean {
  return before.some((line) => JSON.stringify(line.fix) === JSON.stringify(fix));
}

function fixLines(fix: CheckLine["fix"]): readonly string[] {
  if (fix === null) return [];
  const all = [fix.command, fix.nft, fix.iptables].filter((one) => one !== null);
  return all.map((one, i) => i === 0 ? `fix on ${fix.on}: ${one}` : `or: ${one}`);
}
