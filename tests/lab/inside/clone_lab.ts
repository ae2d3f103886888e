/** Cloned machines: two hosts that announce the same name. */
import assert from "node:assert/strict";
import { until } from "../common/process.ts";
import { suite } from "../common/suite.ts";
import { World } from "../common/world.ts";

export default suite({ name: "cloned state", open: () => World.create({ hosts: 2 }) }, {
  "two hosts with one machine id: one takes another name, and says so": async (world) => {
    for (const host of world.hosts) host.peerName = undefined;
    await world.host(1).up();
    await world.host(2).up("--peers", world.host(1).address);
    await until("they are connected under two names", async () => {
      const [one, other] = await Promise.all(world.hosts.map((host) => host.status()));
      const connected = [one!, other!].every(({ connections }) => connections.some(isEstablished));
      if (!connected || one!.name === other!.name) return false;
      assert.ok([one!, other!].some(({ formerName }) => formerName != null), "nobody says what its name was");
      return true;
    });
  },
});

function isEstablished({ state }: { readonly state: string }): boolean {
  return state === "established";
}
