import assert from "node:assert/strict";
import { planNameLeg, type PresentNameLeg } from "../../../mod/datapath/name_leg.ts";

const outer = { index: 5, up: true, mtu: 1410, peerIndex: 2, isPort: true };
const inner = { index: 2, up: true, mtu: 1410, peerIndex: 5, hasAddress: true, hasRoute: true };
const right: PresentNameLeg = { mtu: 1410, outer, inner };
const ALL = ["make", "connect", "outer-up", "address", "inner-up", "route"];

Deno.test("planNameLeg() changes only what differs, and makes anew what is no pair", () => {
  const cases: readonly (readonly [PresentNameLeg, readonly string[]])[] = [
    [right, []],
    [{ mtu: 1410, outer: undefined, inner: undefined }, ALL],
    [{ ...right, outer: undefined }, ["remove", ...ALL]],
    [{ ...right, inner: undefined }, ["remove", ...ALL]],
    [{ ...right, outer: { ...outer, peerIndex: 9 } }, ["remove", ...ALL]],
    [{ ...right, mtu: 1300 }, ["size"]],
    [{ ...right, outer: { ...outer, isPort: false } }, ["connect"]],
    [{ ...right, outer: { ...outer, up: false } }, ["outer-up"]],
    [{ ...right, inner: { ...inner, up: false } }, ["inner-up", "route"]],
    [{ ...right, inner: { ...inner, hasAddress: false, hasRoute: false } }, ["address", "route"]],
  ];
  for (const [present, steps] of cases) assert.deepEqual(planNameLeg(present), steps);
});
