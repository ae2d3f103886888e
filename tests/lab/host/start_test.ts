/** How fast hosts find each other. The bars proper are held in `deno task bench scale`, on a quiet machine. */
import assert from "node:assert/strict";
import { note } from "../common/notes.ts";
import { suite } from "../common/suite.ts";
import { firstPing, fullMesh } from "./start.ts";
import { declareTests, hostWorld } from "./host_lab.ts";

declareTests(
  suite({ name: "host kernel, start", open: () => hostWorld({ hosts: 2, containers: 2 }) }, {
    "up to the first ping across hosts": async (world) => {
      const { phases, total } = await firstPing(world);
      note(`${total} ms: ${Object.entries(phases).map(([name, ms]) => `${name} ${ms}`).join(", ")}`);
      assert.ok(total - phases["answering"]! < 5_000, `${total} ms`);
    },
  }),
  suite({ name: "host kernel, start of many", open: () => hostWorld({ hosts: 10 }) }, {
    "10 hosts started together are all connected to all": async (world) => {
      const { started, ms } = await fullMesh(world);
      note(`${ms} ms after the last daemon answered, which took ${started} ms`);
      assert.ok(ms < 20_000, `${ms} ms`);
    },
  }),
);
