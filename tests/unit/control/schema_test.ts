import assert from "node:assert/strict";
import { EXAMPLE } from "./example_status.ts";
import { faultsOf } from "./schema.ts";

Deno.test("api.schema.json takes a status, and has a type for each of its parts", () => {
  assert.deepEqual(faultsOf("StatusReport", EXAMPLE), []);
  for (const list of [EXAMPLE.connections, EXAMPLE.peers, EXAMPLE.attachments, EXAMPLE.exposed]) {
    assert.ok(list.length > 0, "what the example lacks is not checked");
  }
});

Deno.test("api.schema.json refuses what lacks a field, has one more, or has one of another type", () => {
  const { pid: _, ...short } = EXAMPLE;
  assert.match(faultsOf("StatusReport", short).join(), /required property 'pid'/);
  assert.match(faultsOf("StatusReport", { ...EXAMPLE, more: 1 }).join(), /additional properties/);
  assert.match(faultsOf("StatusReport", { ...EXAMPLE, port: "6783" }).join(), /\/port must be number/);
  const connections = [{ ...EXAMPLE.connections[0]!, state: "well" }];
  assert.match(faultsOf("StatusReport", { ...EXAMPLE, connections }).join(), /state must be equal to one of/);
});
