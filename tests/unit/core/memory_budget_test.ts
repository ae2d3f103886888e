import assert from "node:assert/strict";
import { MemoryBudget } from "../../../mod/core/memory_budget.ts";
import { check, fc } from "../properties.ts";

const LIMITS = { a: { total: 100, each: 60 }, b: { total: 50, each: 50 } };

Deno.test("MemoryBudget.hold() names whoever holds most once all hold too much, and forgets it", () => {
  const budget = new MemoryBudget<"a" | "b", string>(LIMITS);
  assert.deepEqual(budget.hold("a", "x", 50), []);
  assert.deepEqual(budget.hold("a", "y", 40), []);
  assert.deepEqual(budget.hold("a", "z", 11), ["x"]);
  assert.deepEqual(budget.use().a, { held: 51, ended: 1 });
});

Deno.test("MemoryBudget.hold() names the holder itself when it holds more than one may", () => {
  const budget = new MemoryBudget<"a" | "b", string>(LIMITS);
  budget.hold("a", "x", 60);
  assert.deepEqual(budget.hold("a", "y", 61), ["y"]);
  assert.equal(budget.use().a.held, 60);
});

Deno.test("MemoryBudget keeps pools apart", () => {
  const budget = new MemoryBudget<"a" | "b", string>(LIMITS);
  budget.hold("a", "x", 60);
  budget.hold("a", "y", 40);
  assert.deepEqual(budget.hold("b", "x", 50), []);
  budget.release("x");
  assert.deepEqual(budget.use(), { a: { held: 40, ended: 0 }, b: { held: 0, ended: 0 } });
});

Deno.test("MemoryBudget never counts more than its bounds, and always what its holders hold", () => {
  const step = fc.record({ holder: fc.nat(9), octets: fc.nat(80), ends: fc.boolean() });
  check(fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
    const budget = new MemoryBudget<"a" | "b", number>(LIMITS);
    const model = new Map<number, number>();
    for (const { holder, octets, ends } of steps) {
      if (ends) {
        budget.release(holder);
        model.delete(holder);
      } else {
        model.set(holder, octets);
        for (const ended of budget.hold("a", holder, octets)) {
          // Nobody lets go while another holds more, but for the one that holds more than one may.
          if (model.get(ended)! <= LIMITS.a.each) assert.equal(model.get(ended), Math.max(...model.values()));
          model.delete(ended);
        }
      }
      const { held } = budget.use().a;
      assert.ok(held <= LIMITS.a.total);
      assert.equal(held, [...model.values()].reduce((sum, octets) => sum + octets, 0));
    }
  }));
});
