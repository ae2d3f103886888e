import assert from "node:assert/strict";
import { encodeLoopProbe, loopProbeAt, PROBE_NUMBERS } from "../../../../mod/wire/packet/loop_probe.ts";

Deno.test("a loop probe bears its number, and nothing else is one", () => {
  for (const number of [0, 77, PROBE_NUMBERS - 1]) {
    const frame = encodeLoopProbe(number);
    assert.deepEqual([frame.length, loopProbeAt(frame, 0, frame.length)], [60, number]);
  }
  const frame = encodeLoopProbe(5);
  for (const changed of [6, 12, 13, 14, 25]) {
    const other = frame.slice();
    other[changed]! ^= 1;
    assert.equal(loopProbeAt(other, 0, other.length), undefined, `octet ${changed}`);
  }
  for (let end = 0; end < 26; end++) assert.equal(loopProbeAt(frame, 0, end), undefined);
});
