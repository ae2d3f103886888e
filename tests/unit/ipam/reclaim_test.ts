import assert from "node:assert/strict";
import type { Millis } from "../../../mod/core/time.ts";
import { Reclaimer } from "../../../mod/ipam/reclaim.ts";
import { peer } from "./bench.ts";

const at = (ms: number) => ms as Millis;
/** Owners 1 to `count`, of which these are away. */
const owners = (count: number, ...away: readonly number[]) =>
  Array.from({ length: count }, (_, i) => ({ peer: peer(i + 1), reachable: !away.includes(i + 1) }));

Deno.test("Reclaimer gives up whom nobody has reached for the time, while most are here", () => {
  const reclaimer = new Reclaimer(600_000);
  assert.deepEqual(reclaimer.look(owners(3), at(0)), []);
  assert.equal(reclaimer.nextLook, Infinity, "nobody is away: nothing to look at");
  assert.deepEqual(reclaimer.look(owners(3, 3), at(1_000)), []);
  assert.equal(reclaimer.nextLook, 601_000);
  assert.deepEqual(reclaimer.look(owners(3, 3), at(601_000)), [peer(3)]);
  assert.equal(reclaimer.nextLook, 661_000, "others may be missing for it");
  assert.deepEqual(reclaimer.look(owners(2), at(602_000)), []);
  assert.equal(reclaimer.nextLook, Infinity);
});

Deno.test("Reclaimer counts anew for a host that was here meanwhile", () => {
  const reclaimer = new Reclaimer(600_000);
  reclaimer.look(owners(3, 3), at(0));
  reclaimer.look(owners(3), at(300_000));
  assert.deepEqual(reclaimer.look(owners(3, 3), at(600_000)), []);
  assert.equal(reclaimer.nextLook, 1_200_000);
});

Deno.test("Reclaimer gives up nobody where half of the owners or more are away", () => {
  const reclaimer = new Reclaimer(60_000);
  reclaimer.look(owners(4, 3, 4), at(0));
  assert.deepEqual(reclaimer.look(owners(4, 3, 4), at(600_000)), []);
  assert.deepEqual(
    reclaimer.look(owners(4, 4), at(660_000)),
    [peer(4)],
    "one has come back: then there is a majority",
  );
  assert.deepEqual(reclaimer.look(owners(2, 2), at(660_000)), []);
  assert.deepEqual(reclaimer.look(owners(2, 2), at(960_000)), [], "of two, nobody gives up the other");
});
