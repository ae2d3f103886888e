import assert from "node:assert/strict";
import { ReplayWindow, WINDOW } from "../../../mod/sleeve/replay.ts";
import { check, fc } from "../properties.ts";

/** The rule as the specification says it. */
class SlowWindow {
  readonly #seen = new Set<number>();
  #window = 0;
  accept(seq: number): boolean {
    const window = Math.floor(seq / WINDOW);
    if (window < this.#window - 1 || this.#seen.has(seq)) return false;
    this.#window = Math.max(this.#window, window);
    this.#seen.add(seq);
    return true;
  }
}

/** Numbers around the places where windows, pages and words change. */
const sequence = fc.array(
  fc.tuple(
    fc.nat(4),
    fc.constantFrom(0, 1, 31, 32, 32_767, 32_768, WINDOW - 1),
    fc.integer({ min: -3, max: 3 }),
  )
    .map(([window, at, by]) => Math.max(0, window * WINDOW + at + by)),
  { maxLength: 200 },
);

Deno.test("ReplayWindow accepts what a set of all numbers ever seen would", () => {
  check(
    fc.property(sequence, (numbers) => {
      const [window, slow] = [new ReplayWindow(), new SlowWindow()];
      for (const seq of numbers) {
        const fresh = window.isNew(seq);
        assert.equal(fresh, window.isNew(seq), "looking changes nothing");
        assert.equal(window.accept(seq), fresh);
        assert.equal(slow.accept(seq), fresh, `sequence number ${seq}`);
        assert.ok(!window.isNew(seq));
      }
    }),
    { runs: 300 },
  );
});

Deno.test("ReplayWindow accepts a busy link's numbers once, also out of order", () => {
  const window = new ReplayWindow();
  for (let seq = 0; seq < 3 * WINDOW; seq += 2) assert.ok(window.accept(seq));
  for (let seq = WINDOW + 1; seq < 3 * WINDOW; seq += 2) assert.ok(window.accept(seq));
  for (let seq = 0; seq < 3 * WINDOW; seq += 1) if (window.isNew(seq)) assert.fail(`${seq} is new again`);
});

Deno.test("ReplayWindow forgets both windows after a long jump, and believes the largest numbers", () => {
  const window = new ReplayWindow();
  window.accept(5);
  assert.ok(window.accept(2 ** 53 - 1));
  assert.ok(!window.accept(5));
  assert.ok(!window.accept(2 ** 53 - 1));
  assert.ok(window.accept(2 ** 53 - WINDOW - 1));
  assert.ok(!window.accept(2 ** 53 - 2 * WINDOW - 1));
});
