/** The switch's own leg, as it opens and closes while flows stand. */
import assert from "node:assert/strict";
import { at, local, made, miss } from "./dataplane_made.ts";
import type { DataplaneEffect } from "../../../mod/overlay/dataplane.ts";
import { BROADCAST } from "./cluster.ts";
import { vport } from "./kernel.ts";

const LEG = 5;
const [BOX, HOST] = [0x10, 0x20];
const outputs = (effects: readonly DataplaneEffect[]) =>
  effects.flatMap((effect) =>
    effect.kind === "install"
      ? [effect.actions.flatMap((one) => one.kind === "output" ? [one.port] : [])]
      : []
  );

Deno.test("Dataplane: floods reach the leg while it is open, and its flows go when it closes", () => {
  const core = made();
  core.step({ kind: "port-appeared", port: vport(LEG, "internal", "meshnet") }, at(0));
  assert.deepEqual(outputs(miss(core, local(BOX, BROADCAST), 1)), [[0]]);
  assert.deepEqual(outputs(core.step({ kind: "leg", open: true }, at(2))), [[0, LEG]]);
  assert.deepEqual(core.step({ kind: "leg", open: true }, at(3)).filter(({ kind }) => kind === "delete"), []);
  assert.deepEqual(outputs(miss(core, local(HOST, BOX, LEG), 4)), [[1]]);
  assert.deepEqual(outputs(miss(core, local(BOX, HOST), 5)), [[LEG]]);
  const closed = core.step({ kind: "leg", open: false }, at(6));
  assert.equal(closed.filter(({ kind }) => kind === "delete").length, 2, "to the host and from it");
  assert.deepEqual(outputs(closed), [[0]]);
  assert.deepEqual(outputs(miss(core, local(HOST, BOX, LEG), 7)), []);
});
