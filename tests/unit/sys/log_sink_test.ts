import assert from "node:assert/strict";
import type { LogEvent } from "../../../mod/core/log_events.ts";
import type { Logger } from "../../../mod/core/ports.ts";
import { formatJson, formatText, openLog } from "../../../mod/sys/log_sink.ts";

const AT = new Date("2026-01-31T12:00:00.000Z");

function logAll(logger: Logger): void {
  logger.debug("overlay/loop", { peer: "a" });
  logger.info("running");
  logger.warn("odd configuration", { code: "x/y", ms: 1.5, again: true, nothing: undefined });
  logger.error("four {peer}" as LogEvent, { reason: 'he said "no"\n' });
}

Deno.test("openLog() writes what is at or above its level", () => {
  for (const [level, count] of [["debug", 4], ["info", 3], ["warn", 2], ["error", 1]] as const) {
    const lines: string[] = [];
    logAll(openLog({ level, format: "text", write: (line) => lines.push(line) }));
    assert.equal(lines.length, count, level);
  }
});

Deno.test("openLog() writes JSON lines", () => {
  const lines: string[] = [];
  logAll(openLog({ level: "debug", format: "json", write: (line) => lines.push(line) }));
  const parsed = lines.map((line) => JSON.parse(line));
  assert.deepEqual(parsed.map(({ level, event }) => [level, event]), [
    ["debug", "overlay/loop"],
    ["info", "running"],
    ["warn", "odd configuration"],
    ["error", "four {peer}"],
  ]);
  assert.equal(parsed[0].peer, "a");
  assert.equal(parsed[2].ms, 1.5);
  assert.ok(!("nothing" in parsed[2]));
  assert.equal(parsed[3].reason, 'he said "no"\n');
  assert.match(parsed[0].time, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
  assert.ok(lines.every((line) => line.indexOf("\n") === line.length - 1));
});

Deno.test("formatText() keeps one line per record whatever is logged", () => {
  assert.equal(
    formatText(AT, "warn", "link-lost", {
      peer: "b2",
      reason: 'a "b"\nc',
      rttMs: 1.25,
      ok: false,
      none: undefined,
      empty: "",
    }),
    '2026-01-31T12:00:00.000Z WARN  link-lost peer=b2 reason="a \\"b\\"\\nc" rttMs=1.25 ok=false empty=""\n',
  );
  assert.equal(formatText(AT, "info", "up", {}), "2026-01-31T12:00:00.000Z INFO  up\n");
});

Deno.test("formatJson() lets no field replace what makes a record", () => {
  const line = formatJson(AT, "info", "up", { event: "down", level: "x", time: "never", a: 1 });
  assert.deepEqual(JSON.parse(line), { a: 1, time: "2026-01-31T12:00:00.000Z", level: "info", event: "up" });
});

Deno.test("openLog() leaves time and level to the journal, and colours lines for a terminal", () => {
  const linesFor = (reader: "journal" | "terminal", format: "text" | "json") => {
    const lines: string[] = [];
    logAll(openLog({ level: "debug", format, reader, write: (line) => lines.push(line) }));
    return lines;
  };
  assert.deepEqual(linesFor("journal", "text"), [
    "<7>overlay/loop peer=a\n",
    "<6>running\n",
    "<4>odd configuration code=x/y ms=1.5 again=true\n",
    '<3>four {peer} reason="he said \\"no\\"\\n"\n',
  ]);
  assert.match(linesFor("journal", "json")[2]!, /^<4>\{"code":"x\/y".*"event":"odd configuration"\}\n$/);
  const [debug, info, warn, error] = linesFor("terminal", "text");
  assert.ok(debug!.startsWith("\x1b[2m") && debug!.endsWith("\x1b[0m\n"));
  assert.match(info!, /^[0-9-]+T[0-9:.]+Z INFO {2}running\n$/);
  assert.ok(
    warn!.startsWith("\x1b[33m") && warn!.includes(" WARN  odd configuration ") &&
      warn!.endsWith("\x1b[0m\n"),
  );
  assert.ok(error!.startsWith("\x1b[31m"));
});
