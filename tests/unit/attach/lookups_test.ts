/** What look-ups of containers need, and when it is brought to them. */
import assert from "node:assert/strict";
import { planLookups } from "../../../mod/attach/lookups.ts";

const nothing = {
  up: false,
  settled: true,
  route: false,
  neighbour: false,
  multicast: false,
  redirected: false,
};

Deno.test("planLookups() redirects before the interface is there, and needs nothing twice", () => {
  assert.deepEqual(planLookups(nothing), ["redirect"]);
  assert.deepEqual(planLookups({ ...nothing, up: true }), ["redirect", "neighbour", "route", "multicast"]);
  const all = { up: true, settled: true, route: true, neighbour: true, multicast: true, redirected: true };
  assert.deepEqual(planLookups({ ...nothing, up: true, settled: false }), ["redirect", "neighbour"]);
  assert.deepEqual(planLookups(all), []);
  assert.deepEqual(planLookups({ ...all, neighbour: false }), ["neighbour"]);
  assert.deepEqual(planLookups({ ...all, up: false, neighbour: false }), []);
});
