/** Who says that a target answers: our own check, and the engine's. */
import assert from "node:assert/strict";
import { HealthVotes } from "../../../mod/daemon/names/health_votes.ts";

Deno.test("one who says that a target does not answer is enough", () => {
  const told: string[] = [];
  const votes = new HealthVotes((target, healthy) => void told.push(`${target} ${healthy}`));
  votes.checked("a", true);
  votes.engineSays("a", "starting");
  votes.checked("a", false);
  votes.engineSays("a", "paused");
  assert.equal(votes.troubleOf("a"), "paused");
  assert.equal(votes.troubleOf("b"), undefined);
  votes.engineSays("a", undefined);
  assert.equal(votes.troubleOf("a"), undefined);
  assert.deepEqual(told, ["a false"]);
  votes.checked("a", true);
  assert.deepEqual(told, ["a false", "a true"]);
});
