import assert from "node:assert/strict";
import { VERSION } from "../../../mod/core/version.ts";

Deno.test("VERSION agrees with deno.json", async () => {
  const config = JSON.parse(await Deno.readTextFile(new URL("../../../deno.json", import.meta.url)));
  assert.equal(VERSION, config.version);
});
