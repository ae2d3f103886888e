import assert from "node:assert/strict";
import { Faults } from "../../../mod/core/faults.ts";
import type { Clock, LogFields } from "../../../mod/core/ports.ts";
import type { Millis } from "../../../mod/core/time.ts";
import { StartWatch } from "../../../mod/daemon/start_watch.ts";

function watched(longMs: number) {
  const lines: string[] = [];
  const warned = Promise.withResolvers<void>();
  const note = (level: string) => (what: string, fields?: LogFields) => {
    lines.push(`${level} ${what} after ${fields?.done}`);
    if (level === "warn") warned.resolve();
  };
  const logger = { debug: note("debug"), info: note("info"), warn: note("warn"), error: note("error") };
  const clock: Clock = { now: () => 7 as Millis };
  const controller = new AbortController();
  const parts = { clock, logger, faults: new Faults({ logger, clock }), signal: controller.signal };
  return { watch: new StartWatch(parts, longMs), lines, warned: warned.promise, controller };
}

Deno.test("StartWatch warns of a phase that takes long, and names the one before it", async () => {
  const { watch, lines, warned } = watched(1);
  watch.phase("state");
  await warned;
  watch[Symbol.dispose]();
  assert.deepEqual(lines, ["debug start after state", "warn the start takes long after state"]);
});

Deno.test("StartWatch leaves no timer behind, and ends a start that nobody wants any more", () => {
  const { watch, controller } = watched(60_000);
  controller.abort(new Error("stopped"));
  assert.throws(() => watch.phase("state"), /stopped/);
  watch[Symbol.dispose]();
});
