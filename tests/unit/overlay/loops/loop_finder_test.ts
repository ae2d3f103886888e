import assert from "node:assert/strict";
import type { Millis } from "../../../../mod/core/time.ts";
import {
  LoopFinder,
  type LoopStep,
  RETURN_MS,
  ROUND_MS,
  STOPPED_MS,
} from "../../../../mod/overlay/loops/loop_finder.ts";

const at = (ms: number) => ms as Millis;
const ports = () => [1, 2, 3];
const kinds = (steps: readonly LoopStep[] | undefined) => steps?.map(({ kind, port }) => `${kind} ${port}`);

function trial() {
  let number = 100;
  return new LoopFinder(() => number++);
}

Deno.test("LoopFinder probes every port, and stops the first whose probe comes back", () => {
  const finder = trial();
  assert.deepEqual(kinds(finder.suspect(ports, at(0))), ["probe 1", "probe 2", "probe 3"]);
  assert.equal(finder.returned(7, at(1)), undefined, "not one of ours");
  assert.deepEqual(kinds(finder.returned(101, at(5))), ["stop 2"]);
  assert.deepEqual(kinds(finder.returned(102, at(6))), [], "went round the same loop");
  assert.deepEqual(kinds(finder.returned(100, at(RETURN_MS - 1))), [], "so did this one, and was late");
  assert.deepEqual([[...finder.stopped], finder.isStopped(2)], [[2], true]);
  assert.deepEqual(kinds(finder.suspect(ports, at(RETURN_MS))), ["probe 1", "probe 3"]);
  assert.deepEqual(kinds(finder.returned(103, at(RETURN_MS + 1))), ["stop 1"], "another loop");
});

Deno.test("LoopFinder asks ever more rarely while nothing comes back, and takes no late answer", () => {
  const finder = trial();
  let rounds = 0;
  for (let now = 0; now < 60_000; now += 50) if (finder.suspect(ports, at(now)).length > 0) rounds++;
  assert.ok(rounds <= 9, `${rounds} rounds`);
  assert.deepEqual(kinds(finder.returned(100, at(RETURN_MS + 1))), undefined, "forgotten with later rounds");
  const late = trial();
  late.suspect(ports, at(0));
  assert.deepEqual(kinds(late.returned(100, at(RETURN_MS + 1))), []);
  assert.equal(late.nextRound, ROUND_MS);
});

Deno.test("LoopFinder opens a port when its probe no longer comes back, later each time", () => {
  const finder = trial();
  finder.suspect(ports, at(0));
  finder.returned(100, at(0));
  assert.equal(finder.nextWake(), STOPPED_MS);
  assert.deepEqual(kinds(finder.wake(at(STOPPED_MS))), ["probe 1"]);
  finder.returned(103, at(STOPPED_MS + 10));
  assert.deepEqual(kinds(finder.wake(at(STOPPED_MS + RETURN_MS))), [], "it is still there");
  const again = STOPPED_MS + RETURN_MS + 2 * STOPPED_MS;
  assert.equal(finder.nextWake(), again);
  assert.deepEqual(kinds(finder.wake(at(again))), ["probe 1"]);
  assert.deepEqual(kinds(finder.wake(at(again + RETURN_MS))), ["open 1"]);
  assert.deepEqual([[...finder.stopped], finder.nextWake()], [[], Infinity]);
  const [first] = finder.suspect(ports, at(again + 2_000));
  assert.ok(first?.kind === "probe");
  finder.returned(first.number, at(again + 2_001));
  assert.equal(finder.nextWake(), again + 2_001 + 2 * STOPPED_MS, "the second time it is held longer");
});

Deno.test("LoopFinder stops no port whose probe comes in at one that is stopped", () => {
  const finder = trial();
  finder.suspect(ports, at(0));
  assert.deepEqual(kinds(finder.returned(100, at(10), 2)), ["stop 1"]);
  assert.deepEqual(kinds(finder.suspect(ports, at(1_000))), ["probe 2", "probe 3"]);
  assert.deepEqual(kinds(finder.returned(103, at(1_010), 1)), [], "the loop is cut there");
  assert.deepEqual(kinds(finder.returned(103, at(1_020), 9)), ["stop 2"], "by another way it has gone round");
});

Deno.test("LoopFinder forgets a port that has gone", () => {
  const finder = trial();
  finder.suspect(ports, at(0));
  finder.returned(100, at(0));
  finder.forget(1);
  assert.deepEqual([[...finder.stopped], finder.nextWake()], [[], Infinity]);
});
