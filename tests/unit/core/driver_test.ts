import assert from "node:assert/strict";
import { Driver, type Failure } from "../../../mod/core/driver.ts";
import type { Millis } from "../../../mod/core/time.ts";

/** A driver whose core turns an event into the effects that are its letters; `!` and `?` fail. */
function bench(limit = 10) {
  const done: string[] = [];
  const failures: Failure<string, string>[] = [];
  const alarms: number[] = [];
  let ring = () => {};
  const driver: Driver<string, string> = new Driver<string, string>(
    {
      step(event) {
        if (event === "defect") throw new RangeError("defect");
        return [...event];
      },
      nextWake: () => 5,
    },
    (effect) => {
      done.push(effect);
      if (effect === "!") throw new Error("refused");
      if (effect === "+") driver.post("xy");
    },
    {
      clock: { now: () => 100 as Millis },
      alarm: {
        set(at, then) {
          alarms.push(at);
          ring = then;
        },
      },
      wake: "w",
      limit,
      failed: (failure) => void failures.push(failure),
    },
  );
  return { driver, done, failures, alarms, ring: () => ring() };
}

Deno.test("Driver performs the effects after one that fails, and the events that wait", () => {
  const { driver, done, failures } = bench();
  assert.equal(driver.post("a!+b!"), true);
  assert.deepEqual(done, ["a", "!", "+", "b", "!", "x", "y"]);
  assert.deepEqual(failures.map(({ event, effect }) => [event, effect]), [["a!+b!", "!"], ["a!+b!", "!"]]);
});

Deno.test("Driver hands failures to the poster that asks for them, and no others", () => {
  const { driver, failures } = bench();
  const own: unknown[] = [];
  driver.post("a!b", ({ thrown }) => void own.push(thrown));
  assert.deepEqual(own, [new Error("refused")]);
  driver.post("!");
  assert.equal(own.length, 1);
  assert.equal(failures.length, 1);
});

Deno.test("Driver goes on after a step that throws, but is not woken at once", () => {
  const { driver, done, failures, alarms } = bench();
  driver.post("defect");
  driver.post("a");
  assert.deepEqual(done, ["a"]);
  assert.deepEqual(failures.map(({ event, effect }) => [event, effect]), [["defect", undefined]]);
  assert.deepEqual(alarms, [1_100, 5]);
});

Deno.test("Driver refuses what does not fit and what comes after its end", () => {
  const { driver, done, alarms, ring } = bench(0);
  assert.equal(driver.post("a"), false);
  assert.equal(driver.dropped, 1);
  const other = bench();
  other.driver.post("a");
  other.ring();
  assert.deepEqual(other.done, ["a", "w"]);
  other.driver.stop();
  assert.equal(other.driver.post("b"), false);
  assert.equal(other.alarms.at(-1), Infinity);
  ring();
  assert.deepEqual([done, alarms], [[], []]);
});
