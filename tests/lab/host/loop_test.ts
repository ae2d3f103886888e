/** Containers that are bridged together, and one that shows ever new addresses: the others do not notice for long. */
import assert from "node:assert/strict";
import { mesh } from "../common/arrangements.ts";
import { sendFrames } from "../common/frames.ts";
import { note } from "../common/notes.ts";
import { exec, ip, until } from "../common/process.ts";
import { suite } from "../common/suite.ts";
import type { World } from "../common/world.ts";
import { declareTests, hostWorld } from "./host_lab.ts";

/** More than a container's share of the bridge's table, and more than a loop of this lab takes to be found. */
const FLOOD = 3_000;
const FOUND_MS = 5_000;

declareTests(suite({
  name: "host kernel, loops",
  open: () => hostWorld({ hosts: 2, containers: 2 }),
  prepare: async (world) => {
    await mesh(world);
    await world.container(1).mustPing(world.container(2).address, "-c", "3", "-i", "0.05", "-W", "3");
  },
}, {
  "two containers are bridged together: one is stopped, all others go on, and it comes back": async (
    world,
  ) => {
    const [host, one, two] = [world.host(1), world.container(1), world.container(2)];
    const [left, right] = await world.addContainers(2);
    for (const [i, container] of [left!, right!].entries()) await host.attach(container, `10.2.1.8${i}/24`);
    const before = (await host.status()).connections[0]!;
    await ip([`link add loop type veth peer name loop netns ${right!.netns}`], left!.netns);
    for (const { netns } of [left!, right!]) {
      await ip([
        "link add br9 type bridge",
        "link set ethmesh master br9",
        "link set loop master br9",
        "link set loop up",
        "link set br9 up",
      ], netns);
    }
    await one.ping("10.2.1.255", "-b", "-c", "2", "-W", "0.2");
    const started = performance.now();
    await until("a port is stopped", async () => await stopped(world) === 1, { ms: FOUND_MS, everyMs: 50 });
    note(`found after ${Math.round(performance.now() - started)} ms`);
    await one.mustPing(two.address, "-c", "10", "-i", "0.05", "-W", "2");
    const after = (await host.status()).connections[0]!;
    assert.deepEqual([after.state, after.address], ["established", before.address]);
    await ip(["link set loop down"], left!.netns);
    await until("it goes on", async () => await stopped(world) === 0, { ms: 30_000 });
    await ip(["link set ethmesh nomaster"], left!.netns);
    await left!.mustPing(two.address, "-c", "2", "-i", "0.05", "-W", "3");
  },
  "a container that shows ever new addresses fills its own share alone": async (world) => {
    const [one, two] = [world.container(1), world.container(2)];
    const sources = Array.from({ length: FLOOD }, (_, i) => `02:aa:00:00:${hex(i >> 8)}:${hex(i & 255)}`);
    const order = { device: "ethmesh", sources, destinations: ["ff:ff:ff:ff:ff:ff"], perSecond: 10_000 };
    await sendFrames(one.netns, order);
    await until("its host has forgotten them", async () => await learnt(world) <= 1_100, { ms: 5_000 });
    await one.mustPing(two.address, "-c", "5", "-i", "0.05", "-W", "2");
  },
}));

function hex(octet: number): string {
  return octet.toString(16).padStart(2, "0");
}

async function stopped(world: World): Promise<number> {
  const { problems } = await world.host(1).status();
  return problems.filter(({ message }) => message.includes("part of a loop")).length;
}

async function learnt(world: World): Promise<number> {
  const text = await exec(["bridge", "fdb", "show", "br", "meshnet", "dynamic"], {
    netns: world.host(1).netns,
  });
  return text.trim().split("\n").length;
}
