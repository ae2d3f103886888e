/** Three hosts in a line: the ends are not linked, so the middle passes their traffic on, in its kernel. */
import assert from "node:assert/strict";
import { hosts, line } from "../common/arrangements.ts";
import { restartMiddle } from "../common/everyday.ts";
import { FEW_MISSES } from "../common/kernel_flows.ts";
import { note } from "../common/notes.ts";
import { suite } from "../common/suite.ts";

export default suite({ name: "three hosts in a line", open: () => hosts(3), prepare: line }, {
  "the ends see each other as peers without a connection": async (world) => {
    const { peers, connections } = await world.host(1).status();
    assert.equal(peers.length, 3);
    assert.equal(connections.length, 1);
  },
  "containers of the ends reach each other through the middle": async (world) => {
    await world.container(1).mustPing(world.container(3).address, "-c", "10", "-i", "0.05", "-W", "3");
    await world.container(3).mustPing(world.container(2).address, "-c", "3", "-i", "0.05", "-W", "3");
  },
  "transit traffic has flows of its own and does not pass user space": async (world) => {
    const [one, three] = [world.container(1), world.container(3)];
    await one.mustPing(three.address, "-c", "3", "-i", "0.1");
    const before = await world.host(2).counters();
    const begun = performance.now();
    await one.mustPing(three.address, "-c", "100", "-i", "0.01");
    const after = await world.host(2).counters();
    assert.ok(
      after.missed - before.missed < FEW_MISSES,
      `${after.missed - before.missed} packets of 200 were misses`,
    );
    const transit = (await world.host(2).flows())
      .filter((flow) =>
        flow.key.includes("tunnel(") && flow.actions.includes("set(tunnel(") && flow.packets >= 100
      );
    const seconds = (performance.now() - begun) / 1000; // with the time that asking took
    assert.ok(transit.length >= 2, "there is no used transit flow for each direction");
    for (const flow of transit) {
      const { key, used } = flow;
      assert.ok(used !== undefined && used <= seconds, `not used for ${used} of ${seconds} s: ${key}`);
    }
  },
  "TCP passes the middle": async (world) => {
    const rate = await world.container(1).iperf(world.container(3), 3);
    note(`TCP through the middle ${(rate / 1e9).toFixed(2)} Gbit/s`);
    assert.ok(rate > 20e6, `only ${(rate / 1e6).toFixed(0)} Mbit/s`);
  },
  "when the middle goes, the ends say so, and traffic is back when it is": async (world) => {
    await restartMiddle(world);
    const ms = await world.container(1).reaches(world.container(3).address); // the ends must hear of it first
    note(`traffic was back ${ms} ms after the middle was`);
    await world.container(1).mustPing(world.container(3).address, "-c", "3", "-i", "0.1", "-W", "3");
  },
});
