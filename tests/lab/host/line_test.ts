/** Hosts in a line: the ends are not linked, so the middle passes their traffic on, in user space. */
import assert from "node:assert/strict";
import { line } from "../common/arrangements.ts";
import { restartMiddle } from "../common/everyday.ts";
import { note } from "../common/notes.ts";
import { suite } from "../common/suite.ts";
import { backAfter, CARRIES, declareTests, hostWorld } from "./host_lab.ts";

declareTests(suite({
  name: "host kernel, three hosts in a line",
  open: () => hostWorld({ hosts: 3, containers: 3 }),
  prepare: line,
}, {
  "containers of the ends reach each other through the middle": async (world) => {
    const { peers, connections } = await world.host(1).status();
    assert.deepEqual([peers.length, connections.length], [3, 1]);
    await world.container(1).mustPing(world.container(3).address, "-c", "20", "-i", "0.02", "-W", "3");
    await world.container(3).mustPing(world.container(2).address, "-c", "5", "-i", "0.02", "-W", "3");
  },
  "big packets and TCP pass the middle": async (world) => {
    const [one, three] = [world.container(1), world.container(3)];
    for (const size of [1372, 1500, 9000, 65_507]) {
      await one.mustPing(three.address, "-s", String(size), "-c", "2", "-i", "0.02", "-W", "3");
    }
    const rate = await one.iperf(three, 2, "-C", "cubic");
    note(`TCP through the middle ${(rate / 1e9).toFixed(2)} Gbit/s`);
    assert.ok(rate > CARRIES, `only ${(rate / 1e6).toFixed(0)} Mbit/s`);
  },
  "when the middle goes, the ends say so, and traffic is back when it is": async (world) => {
    await restartMiddle(world);
    const ms = await backAfter(world.container(1), "10.2.1.3", 10_000); // the ends must hear of it first
    note(`traffic was back ${ms} ms after the middle was`);
    await world.container(1).mustPing(world.container(3).address, "-c", "3", "-i", "0.1", "-W", "3");
  },
}));
