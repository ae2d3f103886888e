import assert from "node:assert/strict";
import type { Millis } from "../../../mod/core/time.ts";
import { TokenBucket } from "../../../mod/core/token_bucket.ts";

const at = (ms: number) => ms as Millis;

Deno.test("TokenBucket gives a burst, then one token per refill, whatever the fractions of time", () => {
  const bucket = new TokenBucket(20, { refill: 50, now: at(0.1) });
  for (let i = 0; i < 20; i++) assert.equal(bucket.take(at(0.1)), 0);
  assert.equal(bucket.take(at(0.2)), 50);
  assert.equal(bucket.take(at(50.2)), 0);
  let now = 50.2;
  for (let taken = 0; taken < 100; taken++) {
    const wait = bucket.take(at(now));
    assert.ok(Number.isInteger(wait) && wait > 0 && wait <= 50, `${wait}`);
    now += wait;
    assert.equal(bucket.take(at(now)), 0, `after ${taken}`);
  }
  assert.ok(now >= 50.2 + 99 * 50 && now <= 50.2 + 101 * 51);
});

Deno.test("TokenBucket holds no more than its size", () => {
  const bucket = new TokenBucket(3, { refill: 10, now: at(0) });
  for (let i = 0; i < 3; i++) assert.equal(bucket.take(at(100_000)), 0);
  assert.equal(bucket.take(at(100_000)), 10);
});
