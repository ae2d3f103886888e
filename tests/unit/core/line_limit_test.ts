import assert from "node:assert/strict";
import { LineLimit } from "../../../mod/core/line_limit.ts";
import type { Millis } from "../../../mod/core/time.ts";

const RATE = { burst: 10, refill: 60_000 } as const;
const at = (minutes: number) => minutes * RATE.refill as Millis;

Deno.test("LineLimit: a few lines at once, then one for each interval, which says how many were left out", () => {
  const limit = new LineLimit(RATE, at(0));
  const passed = Array.from({ length: 1_000 }, () => limit.pass(at(0))).filter((each) => each !== undefined);
  assert.deepEqual(passed, Array(RATE.burst).fill(0));
  assert.equal(limit.pass(at(1)), 990);
  assert.equal(limit.pass(at(1)), undefined);
  assert.equal(limit.leaveOut(), undefined);
  assert.equal(limit.pass(at(2)), 2);
});
