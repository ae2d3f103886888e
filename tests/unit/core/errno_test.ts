import assert from "node:assert/strict";
import { ERRNO, isUsedUp } from "../../../mod/core/errno.ts";

Deno.test("isUsedUp() knows what fails again until descriptors or memory are given back", () => {
  const used = Object.entries(ERRNO).filter(([, errno]) => isUsedUp(errno)).map(([name]) => name);
  assert.deepEqual(used.sort(), ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"]);
});
