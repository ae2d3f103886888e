import assert from "node:assert/strict";
import type { PeerName } from "../../../mod/core/names.ts";
import type { Millis } from "../../../mod/core/time.ts";
import { Askers } from "../../../mod/doctor/askers.ts";

const peer = (n: number) =>
  `02:00:00:00:${(n >> 8).toString(16).padStart(2, "0")}:${
    (n & 255).toString(16).padStart(2, "0")
  }` as PeerName;
const at = (ms: number) => ms as Millis;

Deno.test("Askers gives each asker a share, and all together a bound", () => {
  const askers = new Askers(at(0));
  const answered = (n: number, times: number, ms: number) =>
    Array.from({ length: times }, () => askers.mayAsk(peer(n), at(ms))).filter(Boolean).length;
  assert.equal(answered(1, 100, 0), 32, "one asker's share");
  assert.equal(answered(2, 100, 0), 32, "another one has his own");
  assert.equal(answered(3, 100, 0), 0, "the bound of all");
  assert.equal(answered(1, 100, 1_000), 10, "his share comes back");
  assert.equal(answered(3, 100, 1_000), 10);
});

Deno.test("Askers remembers so many and no more", () => {
  const askers = new Askers(at(0));
  for (let n = 0; n < 5_000; n++) askers.mayAsk(peer(n), at(n * 1_000));
  assert.equal(askers.size, 256);
});
