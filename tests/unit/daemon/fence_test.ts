import assert from "node:assert/strict";
import { raiseFence } from "../../../mod/daemon/threads/fence.ts";

Deno.test("raiseFence() takes what timers, microtasks and promises let out", async () => {
  const told: string[] = [];
  const all = Promise.withResolvers<void>();
  using _fence = raiseFence((what, thrown) => {
    told.push(`${what}: ${(thrown as Error).message}`);
    if (told.length === 3) all.resolve();
  });
  const fail = (text: string) => () => {
    throw new Error(text);
  };
  setTimeout(fail("timer"), 0);
  queueMicrotask(fail("microtask"));
  void Promise.reject(new Error("promise"));
  await all.promise;
  assert.deepEqual(told.sort(), [
    "a callback without a guard: microtask",
    "a callback without a guard: timer",
    "a promise nobody waits for: promise",
  ]);
});
