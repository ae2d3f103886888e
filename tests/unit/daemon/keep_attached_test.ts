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
    list: () => [{}],
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
