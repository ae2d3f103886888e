import assert from "node:assert/strict";
import type { Millis } from "../../../mod/core/time.ts";
import { FirewallNotices } from "../../../mod/daemon/threads/firewall_notices.ts";

Deno.test("FirewallNotices tells once of many changes, and at most once a second", () => {
  const told: number[] = [];
  let now = 10_000 as Millis;
  let heard = true;
  const notices = new FirewallNotices({
    ...{ name: "rules", fd: 3, take: () => heard, tell: () => void told.push(now) },
    [Symbol.dispose]() {},
  });
  const run = (until: number) => {
    for (; now < until; now = now + 10 as Millis) {
      notices.drain(now);
      notices.wake(now);
    }
  };
  run(12_500);
  assert.deepEqual(told, [10_100, 11_100, 12_100]);
  heard = false;
  run(14_000);
  assert.deepEqual(told, [10_100, 11_100, 12_100, 13_100]);
  assert.equal(notices.nextWake(), Infinity);
});
