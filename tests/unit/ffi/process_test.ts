/** What the system says of interfaces. */
import assert from "node:assert/strict";
import { interfaceRuns } from "../../../ffi/process.ts";

// The C library stays loaded once it was used.
Deno.test("interfaceRuns() knows interfaces by name, and says that there is none", {
  sanitizeResources: false,
}, () => {
  assert.equal(typeof interfaceRuns("lo"), "boolean");
  assert.equal(interfaceRuns("mesh-none"), undefined);
});
