/** The schema of the control API is made of its types: whoever changes one makes it anew. */
import assert from "node:assert/strict";
import { SCHEMA_FILE, schemaText } from "../../mod/tasks/schema.ts";

Deno.test("mod/control/api.schema.json is what the types say", async () => {
  assert.equal(
    await Deno.readTextFile(SCHEMA_FILE),
    await schemaText(),
    "the types of the control API have changed: run `deno task schema`",
  );
});
