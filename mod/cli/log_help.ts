/** What `meshnet help log` prints: every event of the log. */
import { LOG_EVENTS } from "../core/log_events.ts";
import { messageLines } from "./render.ts";

const INDENT = 6;

/** All events, by what they are about. */
export function helpLog(width: number): string {
  const lines = messageLines(
    "Lines of the log have a level, an event, and fields (peer=..., reason=...). Names of events are fixed: " +
      "programs that watch the log may rely on them. `--log-format json` has them as `event`; `--log-level debug` " +
      "shows all.",
    width,
  );
  for (const [area, events] of Object.entries(LOG_EVENTS)) {
    lines.push("", `${area}:`);
    for (const [name, meaning] of Object.entries(events)) {
      lines.push(`  ${name}`);
      for (const line of messageLines(meaning, width - INDENT)) lines.push(" ".repeat(INDENT) + line);
    }
  }
  return lines.join("\n") + "\n";
}
