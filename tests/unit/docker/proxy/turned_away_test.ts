/** Clients without a certificate cannot fill the log. */
import assert from "node:assert/strict";
import type { Millis } from "../../../../mod/core/time.ts";
import { REFUSALS, TurnedAway } from "../../../../mod/docker/proxy/turned_away.ts";

Deno.test("TurnedAway: a few lines at once, then one a minute, which says how many were left out", () => {
  const at = (minutes: number) => minutes * REFUSALS.refill as Millis;
  const turnedAway = new TurnedAway(at(0));
  const passed = Array.from({ length: 1_000 }, () => turnedAway.pass(at(0))).filter((each) =>
    each !== undefined
  );
  assert.deepEqual(passed, Array(REFUSALS.burst).fill(0));
  assert.equal(turnedAway.pass(at(1)), 990);
  assert.equal(turnedAway.pass(at(1)), undefined);
  assert.equal(turnedAway.pass(at(2)), 1);
});
