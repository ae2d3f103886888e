/** Cloned machines: two hosts that announce the same name. */
import assert from "node:assert/strict";
import { until } from "../common/process.ts";
import { suite } from "../common/suite.ts";
import { World } from "../common/world.ts";

export default suite({ name: "cloned state", open: () => World.create({ hosts: 2 }) }, {
  "two hosts with one machine id are told so in plain words, and how to go on": async (world) => {
    for (const host of world.hosts) host.peerName = undefined;
    await world.host(1).up();
    await world.host(2).up("--peers", world.host(1).address);
    const said = await until("status names the clone", async () => {
      const { connections, problems } = await world.host(2).status();
      const text = JSON.stringify([connections, problems]);
      return /same (peer )?name|clone/i.test(text) ? text : undefined;
    });
    assert.match(said, /--name/);
  },
});
