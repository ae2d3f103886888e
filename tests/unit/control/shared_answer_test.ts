import assert from "node:assert/strict";
import { SharedAnswer } from "../../../mod/control/shared_answer.ts";

/** Answers that are made when the test says so. */
function controlled() {
  const begun: PromiseWithResolvers<number>[] = [];
  const shared = new SharedAnswer(() => {
    const one = Promise.withResolvers<number>();
    begun.push(one);
    return one.promise;
  });
  return { begun, shared };
}

Deno.test("SharedAnswer.ask() begins one, and one more for all who come meanwhile", async () => {
  const { begun, shared } = controlled();
  const first = shared.ask();
  const later = Array.from({ length: 1_000 }, () => shared.ask());
  assert.equal(begun.length, 1);
  begun[0]!.resolve(1);
  assert.equal(await first, 1);
  await new Promise((resolve) => setTimeout(resolve));
  assert.equal(begun.length, 2);
  const last = shared.ask(); // the second has begun: too early for this one
  begun[1]!.resolve(2);
  assert.deepEqual(new Set(await Promise.all(later)), new Set([2]));
  await new Promise((resolve) => setTimeout(resolve));
  begun[2]!.resolve(3);
  assert.equal(await last, 3);
});

Deno.test("SharedAnswer.ask() gives a failure to those who share it, and goes on", async () => {
  const { begun, shared } = controlled();
  const first = shared.ask();
  const second = shared.ask();
  begun[0]!.reject(new Error("no"));
  await assert.rejects(first, /no/);
  await new Promise((resolve) => setTimeout(resolve));
  begun[1]!.resolve(2);
  assert.equal(await second, 2);
  await new Promise((resolve) => setTimeout(resolve));
  const third = shared.ask();
  begun[2]!.resolve(3);
  assert.equal(await third, 3);
});
