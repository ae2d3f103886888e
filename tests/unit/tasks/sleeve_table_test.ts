/** The table of `deno task bench sleeve`. */
import assert from "node:assert/strict";
import { type Round, summarise } from "../../bench/sleeve_measure.ts";

const round = (changes: Partial<Round>): Round => ({
  ...{ tcp: 1, cpu: 2, wholeCpu: 3, small: 4, large: 5, rtt: 6, busyRtt: 8, rss: 7 },
  ...changes,
});

Deno.test("summarise() compares each round with the unit's of the same number", () => {
  const { table } = summarise([
    { name: "fast", bars: {}, rounds: [round({ tcp: 10 }), undefined, round({ tcp: 8 })] },
    { name: "unit", bars: {}, rounds: [round({ tcp: 1 }), round({ tcp: 100 }), round({ tcp: 2 })] },
  ], "unit");
  const cells = table.split("\n")[2]!.split("|").map((cell) => cell.trim());
  assert.deepEqual(cells.slice(1, 4), ["fast", "9.00", "7.00"]); // medians of 10 and 8, of 10 and 4
});

Deno.test("summarise() names the bars that are not met, and only those", () => {
  const unit = { name: "unit", bars: {}, rounds: [round({})] };
  const bars = { tcpOfNebula: 6, cpu: 4, likeNebula: true };
  const good = { name: "good", bars, rounds: [round({ tcp: 6, cpu: 4, rtt: 6 })] };
  const bad = { name: "bad", bars, rounds: [round({ tcp: 5.9, cpu: 4.1, small: 3, rtt: 7 })] };
  assert.deepEqual(summarise([good, unit], "unit").missed, []);
  assert.deepEqual(summarise([bad, unit], "unit").missed, [
    "bad: TCP >= 6 x unit is 5.90",
    "bad: CPU <= 4 s/GB is 4.10",
    "bad: UDP 64 B >= unit's is 0.75",
    "bad: RTT <= unit's is 1.17",
  ]);
});

Deno.test("summarise() leaves ratios out where the unit was not measured", () => {
  const bars = { tcpOfNebula: 6 };
  assert.deepEqual(summarise([{ name: "alone", bars, rounds: [round({})] }], "unit").missed, []);
});
