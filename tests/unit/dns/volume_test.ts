import assert from "node:assert/strict";
import { directoryWith, periodicOctets } from "./volume.ts";

Deno.test("50,000 names: what neighbours that have the same tell each other is as long as with ten", () => {
  const [few, many] = [directoryWith(10), directoryWith(50_000)];
  assert.deepEqual([few, many].map(({ directory }) => directory.store.size), [10, 50_000]);
  const [a, b] = [periodicOctets(few), periodicOctets(many)];
  assert.ok(b <= 512 && b <= a + 64, `${a} octets with ten names, ${b} with 50,000`);
});
