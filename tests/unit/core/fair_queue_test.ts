import assert from "node:assert/strict";
import { FairQueue } from "../../../mod/core/fair_queue.ts";

/** Offers so many items of a place, each of cost 1; gives how many found room. */
function offer(queue: FairQueue<string>, place: number, count: number): number {
  let taken = 0;
  for (let i = 0; i < count; i++) {
    if (!queue.hasRoom(place, 1)) continue;
    queue.add(place, 1, `${place}.${taken++}`);
  }
  return taken;
}

function takeAll(queue: FairQueue<string>): readonly string[] {
  const all: string[] = [];
  for (let item = queue.take(); item !== undefined; item = queue.take()) all.push(item);
  return all;
}

Deno.test("places take turns, and what is of one place leaves in its order", () => {
  const queue = new FairQueue<string>(100);
  offer(queue, 1, 4);
  offer(queue, 2, 1);
  offer(queue, 3, 2);
  assert.equal(queue.length, 7);
  assert.deepEqual(takeAll(queue), ["1.0", "2.0", "3.0", "1.1", "3.1", "1.2", "1.3"]);
  assert.deepEqual([queue.length, queue.take()], [0, undefined]);
});

Deno.test("a place that comes while others wait has its turn after one item of each", () => {
  const queue = new FairQueue<string>(100);
  offer(queue, 1, 20);
  offer(queue, 2, 20);
  assert.equal(queue.take(), "1.0");
  offer(queue, 3, 1);
  assert.deepEqual([queue.take(), queue.take(), queue.take()], ["2.0", "1.1", "3.0"]);
});

Deno.test("a place may have as much as is free: a flood leaves room for all others", () => {
  const queue = new FairQueue<string>(1_000);
  assert.equal(offer(queue, 1, 5_000), 500);
  assert.equal(offer(queue, 2, 5_000), 250);
  assert.equal(offer(queue, 3, 5_000), 125);
  assert.equal(offer(queue, 4, 1), 1);
  assert.equal(queue.refused, 4_500 + 4_750 + 4_875);
  takeAll(queue);
  assert.equal(offer(queue, 2, 5_000), 500);
});

Deno.test("costs count, and nothing is beyond the size", () => {
  const queue = new FairQueue<string>(10);
  assert.equal(queue.hasRoom(1, 6), false);
  assert.equal(queue.hasRoom(1, 5), true);
  queue.add(1, 5, "large");
  assert.equal(queue.hasRoom(1, 1), false);
  assert.equal(queue.hasRoom(2, 2), true);
  queue.add(2, 2, "small");
  assert.deepEqual(takeAll(queue), ["large", "small"]);
  assert.equal(queue.hasRoom(1, 5), true);
});

Deno.test("simulation: whatever floods, a place that asks for less than its turn loses nothing and waits one round", () => {
  for (const floods of [1, 3, 40]) {
    const queue = new FairQueue<{ place: number; at: number }>(4_096);
    let [lost, longest, served] = [0, 0, 0];
    for (let round = 0; round < 2_000; round++) {
      for (let flood = 1; flood <= floods; flood++) {
        for (let i = 0; i < 100; i++) {
          if (queue.hasRoom(flood, 1)) queue.add(flood, 1, { place: flood, at: round });
        }
      }
      if (round % 3 === 0) {
        if (queue.hasRoom(0, 1)) queue.add(0, 1, { place: 0, at: round });
        else lost++;
      }
      for (let i = 0; i < 64; i++) {
        const item = queue.take();
        if (item?.place !== 0) continue;
        longest = Math.max(longest, round - item.at);
        served++;
      }
    }
    assert.deepEqual([lost, served, longest], [0, 667, 0], `${floods} floods`);
  }
});
