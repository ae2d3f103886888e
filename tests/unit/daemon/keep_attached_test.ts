import assert from "node:assert/strict";
import type { Attachments } from "../../../mod/attach/mod.ts";
import { Faults } from "../../../mod/core/faults.ts";
import type { Millis } from "../../../mod/core/time.ts";
import { keepAttached } from "../../../mod/daemon/keep_attached.ts";

Deno.test("keepAttached() goes on looking when a look fails", async () => {
  const told: string[] = [];
  const logger = {
    ...{ debug() {}, info() {}, warn() {} },
    error: (_: string, fields?: Record<string, unknown>) =>
      void told.push(`${fields!["what"]}: ${fields!["reason"]}`),
  };
  const faults = new Faults({ logger, clock: { now: () => 0 as Millis } });
  const twice = Promise.withResolvers<void>();
  let looks = 0;
  const attachments = {
    remembered: () => [{}],
    reconcile() {
      if (++looks === 2) twice.resolve();
      throw new Error("no descriptors");
    },
  } as unknown as Attachments;
  const before = () => {
    throw new Error("no bridge");
  };
  {
    using keeper = keepAttached(attachments, { before, faults });
    keeper.disturbed(); // looks soon, and once more
    await twice.promise;
  }
  assert.deepEqual(told, [
    "mend what attachments hang on: no bridge",
    "look after attachments: no descriptors",
    "mend what attachments hang on: no bridge",
    "look after attachments: no descriptors",
  ]);
});

Deno.test("keepAttached() looks at nothing for an interface of an engine where nothing is attached", () => {
  const looked: unknown[] = [];
  const remembered: unknown[] = [];
  const attachments = {
    remembered: () => remembered,
    reconcile: (which: unknown) => void looked.push(which),
  } as unknown as Attachments;
  const logger = { debug() {}, info() {}, warn() {}, error() {} };
  const faults = new Faults({ logger, clock: { now: () => 0 as Millis } });
  const disturbed = { hostEnds: ["vmd0123456789"], guests: [7] };
  using keeper = keepAttached(attachments, { also: () => true, faults });
  keeper.disturbed(disturbed);
  assert.deepEqual(looked, []);
  remembered.push({});
  keeper.disturbed(disturbed);
  assert.deepEqual(looked, [disturbed]);
});
