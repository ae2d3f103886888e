/** Who says that a target answers: our own check, and the engine's. */
import assert from "node:assert/strict";
import { HealthVotes } from "../../../mod/daemon/names/health_votes.ts";

Deno.test("one who says that a target does not answer is enough", () => {
  const told: string[] = [];
  const votes = new HealthVotes((target, healthy) => void told.push(`${target} ${healthy}`));
  votes.vote("a", "check", true);
  votes.vote("a", "engine", false);
  votes.vote("a", "check", false);
  votes.vote("a", "engine", true);
  votes.vote("a", "check", true);
  assert.deepEqual(told, ["a false", "a true"]);
});
