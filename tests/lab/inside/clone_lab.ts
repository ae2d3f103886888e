/** Cloned machines: two hosts that announce the same name. */
import assert from "node:assert/strict";
import { until } from "./process.ts";
import { suite } from "./suite.ts";
import { World } from "./world.ts";

export default suite({ name: "cloned state", kernel: 0, open: () => World.create({ hosts: 2 }) }, {
  "two hosts with one name are told so in plain words": async (world) => {
    const name = "02:00:00:00:00:07";
    await world.host(1).up("--name", name);
    await world.host(2).up("--name", name, "--peers", world.host(1).address);
    const said = await until("status names the clone", async () => {
      const { connections, problems } = await world.host(2).status();
      const text = JSON.stringify([connections, problems]);
      return /same (peer )?name|clone/i.test(text) ? text : undefined;
    });
    assert.match(said, /02:00:00:00:00:07|name/);
  },
});
