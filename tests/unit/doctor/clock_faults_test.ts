import assert from "node:assert/strict";
import { clockFaults } from "../../../mod/doctor/clock_faults.ts";

const reading = (host: string, aheadMs: number, ms = 2) => ({ host, aheadMs, ms });

Deno.test("clockFaults() names clocks that differ, by how much, and whose is wrong", () => {
  assert.deepEqual(clockFaults([]), []);
  assert.deepEqual(clockFaults([reading("b", 9_000), reading("c", -400), reading("d", 11_000, 2_000)]), []);
  const one = clockFaults([reading("b", 0), reading("c", 3_600_000)]);
  assert.deepEqual(one.map(({ message }) => message), ["Clocks differ from this host's: c is 3600 s ahead"]);
  const [both] = clockFaults([reading("b", -61_000), reading("c", -60_500)]);
  assert.equal(
    both!.message,
    "Clocks differ from this host's: b is 61 s behind, c is 61 s behind; so this host's is probably wrong",
  );
  const many = clockFaults(Array.from({ length: 6 }, (_, i) => reading(`h${i}`, 20_000)));
  assert.match(many[0]!.message, /h3 is 20 s ahead, and 2 more differ; /);
});
