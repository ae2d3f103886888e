import assert from "node:assert/strict";
import {
  ADOPT_GRACE_MS,
  HOLD_MAX_MS,
  type HoldFacts,
  holdOf,
  nextHoldChange,
} from "../../../../mod/overlay/paths/hold.ts";

const broke: HoldFacts = { ageMs: 0, maxMs: HOLD_MAX_MS, direct: true, route: "none" };

const CASES:
  readonly (readonly [name: string, facts: Partial<HoldFacts>, verdict: ReturnType<typeof holdOf>])[] = [
    ["a link that just broke", {}, "firm"],
    ["even if there is another way", { route: "other" }, "firm"],
    ["until the peer is back", { route: "direct" }, "gone"],
    ["after three seconds with another way", { ageMs: 3_000, route: "other" }, "gone"],
    ["after three seconds without", { ageMs: 3_000 }, "loose"],
    ["just before five minutes", { ageMs: 299_999 }, "loose"],
    ["after five minutes", { ageMs: 300_000 }, "gone"],
    ["a peer reached through others", { direct: false }, "loose"],
    ["a peer reached through others, which has another way", { direct: false, route: "other" }, "gone"],
    ["a peer reached through others, now linked to us", { direct: false, route: "direct" }, "gone"],
    ["what flows said, just before the grace ends", { ageMs: 59_999, maxMs: ADOPT_GRACE_MS }, "loose"],
    ["what flows said, after the grace", { ageMs: 60_000, maxMs: ADOPT_GRACE_MS }, "gone"],
  ];

for (const [name, facts, verdict] of CASES) {
  Deno.test(`holdOf() ${name}: ${verdict}`, () => {
    assert.equal(holdOf({ ...broke, ...facts }), verdict);
  });
}

Deno.test("nextHoldChange() is the next age at which the verdict may differ", () => {
  assert.equal(nextHoldChange(broke), 3_000);
  assert.equal(nextHoldChange({ ...broke, ageMs: 3_000 }), HOLD_MAX_MS);
  assert.equal(nextHoldChange({ ...broke, direct: false }), HOLD_MAX_MS);
});
