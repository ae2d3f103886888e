import assert from "node:assert/strict";
import { RecentRefusal } from "../../../mod/core/recent_refusal.ts";
import type { Millis } from "../../../mod/core/time.ts";

Deno.test("RecentRefusal remembers the last one for ten minutes", () => {
  let now = 5;
  const refusal = new RecentRefusal({ now: () => now as Millis });
  assert.equal(refusal.reason, undefined);
  refusal.note("one");
  now += 599_999;
  assert.equal(refusal.reason, "one");
  refusal.note("two");
  now += 599_999;
  assert.equal(refusal.reason, "two");
  now += 1;
  assert.equal(refusal.reason, undefined);
});
