/** attach, detach, down and reset without Open vSwitch; and what is left afterwards. */
import assert from "node:assert/strict";
import { mesh } from "../common/arrangements.ts";
import { links } from "../common/links.ts";
import { note } from "../common/notes.ts";
import { ip } from "../common/process.ts";
import { suite } from "../common/suite.ts";
import type { Host } from "../common/world.ts";
import { backAfter, declareTests, hostWorld } from "./host_lab.ts";

declareTests(suite({
  name: "host kernel, commands",
  open: () => hostWorld({ hosts: 2, containers: 2 }),
  prepare: mesh,
}, {
  "attach and detach, as often as one likes": async (world) => {
    const host = world.host(1);
    const [fresh] = await world.addContainers(1);
    const target = `netns:${fresh!.netns}`;
    for (let round = 0; round < 3; round++) {
      await host.run("attach", "10.2.1.30/24", target);
      await host.run("attach", "10.2.1.30/24", target);
      await fresh!.mustPing("10.2.1.2", "-c", "2", "-i", "0.05", "-W", "3");
      await host.run("detach", target);
      assert.deepEqual((await links(fresh!.netns)).map(({ ifname }) => ifname), ["lo"]);
    }
  },
  "a container that goes away is no burden": async (world) => {
    const [fresh] = await world.addContainers(1);
    await world.host(1).attach(fresh!, "10.2.1.31/24");
    await fresh!.mustPing("10.2.1.2", "-c", "2", "-i", "0.05", "-W", "3");
    await ip([`netns del ${fresh!.netns}`]);
    await world.container(1).mustPing("10.2.1.2", "-c", "3", "-i", "0.05", "-W", "3");
  },
  "status tells people what programs are told": async (world) => {
    const text = await world.host(1).run("status");
    for (const word of ["bridge", "1 established", world.host(1).netns]) assert.ok(text.includes(word), text);
    assert.match(await world.host(1).run("status", "connections"), /sleeve/);
  },
  "down leaves interfaces, and up adopts them": async (world) => {
    const host = world.host(1);
    await host.run("down");
    await host.daemon.ended();
    const names = (await links(host.netns)).map(({ ifname }) => ifname);
    assert.ok(names.includes("meshnet") && names.some((name) => name.startsWith("vmn")), names.join(" "));
    assert.equal((await host.attempt("status")).code, 3);
    await host.up();
    await host.established();
    note(`traffic was back after ${await backAfter(world.container(1), "10.2.1.2", 5_000)} ms`);
    await world.container(1).mustPing("10.2.1.2", "-c", "3", "-i", "0.1", "-W", "3");
  },
  "reset leaves nothing": async (world) => {
    for (const [i, host] of world.hosts.entries()) {
      await host.run("reset");
      await host.daemon.ended();
      await assertClean(host);
      assert.deepEqual((await links(world.container(i + 1).netns)).map(({ ifname }) => ifname), ["lo"]);
    }
  },
  "reset without a daemon removes what it left": async (world) => {
    const host = world.host(1);
    await host.up();
    await host.attach(world.container(1), "10.2.1.1/24");
    host.daemon.kill("SIGKILL");
    await host.daemon.ended();
    await host.run("reset", "--force");
    await assertClean(host);
  },
}));

async function assertClean(host: Host): Promise<void> {
  assert.deepEqual((await links(host.netns)).map(({ ifname }) => ifname).toSorted(), ["eth0", "lo"]);
  for (const folder of [host.runDir, host.stateDir]) {
    try {
      assert.deepEqual([...Deno.readDirSync(folder)].map(({ name }) => name), [], `left in ${folder}`);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}
