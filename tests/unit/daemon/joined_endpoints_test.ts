import assert from "node:assert/strict";
import { JoinedEndpoints } from "../../../mod/daemon/engine/joined_endpoints.ts";

/** An engine's endpoints, and timers that the test lets run out. */
function watched() {
  const planned: (() => void)[] = [];
  const [known, pairs] = [new Set<string>(), new Set<string>()];
  const lists = { count: 0, looking: false };
  const joined = new JoinedEndpoints({
    known: () => known,
    lookAtPairs: () => (endpoint) => pairs.has(endpoint),
    isLooking: () => lists.looking,
    listAgain: () => void lists.count++,
    later: (_, work) => void planned.push(work),
  });
  return { joined, known, lists, pairs, planned, runOut: () => planned.splice(0).forEach((work) => work()) };
}

Deno.test("JoinedEndpoints asks for all containers while one that joined is nobody's, a few times", () => {
  const { joined, known, lists, pairs, planned, runOut } = watched();
  for (const endpoint of ["a", "b", "c"]) {
    pairs.add(endpoint);
    joined.joined(endpoint);
  }
  assert.equal(planned.length, 1);
  known.add("a");
  runOut();
  assert.equal(lists.count, 1);
  known.add("b");
  for (let i = 0; i < 5; i++) runOut();
  assert.equal(lists.count, 3, "it has no container that anybody knows");
  assert.equal(planned.length, 0);
});

Deno.test("JoinedEndpoints asks nothing when all are known, have left, or have gone", () => {
  const { joined, known, lists, pairs, planned, runOut } = watched();
  for (const endpoint of ["known", "left", "gone"]) joined.joined(endpoint);
  pairs.add("known").add("left");
  known.add("known");
  joined.left("left");
  runOut();
  assert.equal(lists.count, 0);
  assert.equal(planned.length, 0);
  joined.joined("next");
  assert.equal(planned.length, 1);
});

Deno.test("JoinedEndpoints asks nothing while the engine has not answered about all containers", () => {
  const { joined, known, lists, pairs, planned, runOut } = watched();
  pairs.add("a");
  joined.joined("a");
  lists.looking = true;
  for (let i = 0; i < 9; i++) runOut();
  assert.equal(lists.count, 0);
  lists.looking = false;
  runOut();
  assert.equal(lists.count, 1);
  known.add("a");
  runOut();
  assert.equal(planned.length, 0);
});
