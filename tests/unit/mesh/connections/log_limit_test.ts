import assert from "node:assert/strict";
import type { Millis } from "../../../../mod/core/time.ts";
import { LOG_INTERVAL, LOG_RATE, LogLimit } from "../../../../mod/mesh/connections/log_limit.ts";

const at = (ms: number) => ms as Millis;

Deno.test("LogLimit lets the same kind of fault of the same source pass once in a while, and counts the others", () => {
  const limit = new LogLimit(at(0));
  assert.equal(limit.pass("a", "clone", at(0)), 0);
  assert.equal(limit.pass("a", "clone", at(1)), undefined);
  assert.equal(limit.pass("a", "clone", at(2)), undefined);
  assert.equal(limit.pass("a", "memory", at(3)), 2, "another kind");
  assert.equal(limit.pass("b", "clone", at(4)), 0, "another source");
  assert.equal(limit.pass("a", "clone", at(LOG_INTERVAL)), 0);
});

Deno.test("LogLimit lets few lines pass, however many sources there are", () => {
  const limit = new LogLimit(at(0));
  let passed = 0;
  let leftOut = 0;
  const hour = 3_600_000;
  for (let i = 0; i < 100_000; i++) {
    const said = limit.pass(`source ${i}`, "introduction", at(i * hour / 100_000));
    if (said === undefined) continue;
    passed++;
    leftOut += said;
  }
  assert.ok(passed <= LOG_RATE.burst + hour / LOG_RATE.refill, `${passed}`);
  assert.ok(passed + leftOut > 99_000, "what was left out is told");
});
