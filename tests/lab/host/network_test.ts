/** The network between hosts fails and returns, or a host gets another address: the mesh is whole again at once. */
import assert from "node:assert/strict";
import { mesh } from "../common/arrangements.ts";
import { note } from "../common/notes.ts";
import { attempt, ip, until } from "../common/process.ts";
import { suite } from "../common/suite.ts";
import type { World } from "../common/world.ts";
import { declareTests, hostWorld } from "./host_lab.ts";

/** How often the link fails. Each time made the next wait half as long again, from 0.3 s on: far above the bar. */
const FLAPS = 12;
const BAR_MS = 10_000;
/** The link is down so long that the next try would be many seconds away. */
const DOWN_MS = 30_000;
/** What a host that sees its link return may take. */
const DIALS_MS = 5_000;
/** What a host that moves may take: a second on an idle machine. Where nobody noticed it would be half a minute or more. */
const FOLLOWS_MS = 25_000;

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

declareTests(suite({
  name: "host kernel, network",
  open: () => hostWorld({ hosts: 2, containers: 2 }),
  prepare: async (world) => {
    await mesh(world);
    await world.container(1).mustPing(world.container(2).address, "-c", "3", "-i", "0.05", "-W", "3");
  },
}, {
  [`a link in use that fails for 3 s, ${FLAPS} times: back within ten seconds each time`]: async (world) => {
    await using _one = traffic(world, 1);
    await using _two = traffic(world, 2);
    const times: number[] = [];
    for (let i = 0; i < FLAPS; i++) {
      await ip(["link set p2 down"], world.fabric);
      await pause(3_000);
      await ip(["link set p2 up"], world.fabric);
      times.push(await backAfter(world));
      await pause(1_500); // it is used again for a while
    }
    note(`flaps were over after ${times.join(", ")} ms`);
    assert.ok(Math.max(...times) <= BAR_MS, times.join(", "));
  },
  "a host's own link returns after a long time: it dials at once": async (world) => {
    await using _one = traffic(world, 1);
    await using _two = traffic(world, 2);
    await ip(["link set eth0 down"], world.host(2).netns);
    await pause(DOWN_MS);
    const { connections } = await world.host(2).status();
    assert.ok(connections.every(({ state }) => state !== "established"));
    await ip(["link set eth0 up"], world.host(2).netns);
    const ms = await backAfter(world);
    note(`established ${ms} ms after the link was up`);
    assert.ok(ms <= DIALS_MS, `${ms} ms`);
  },
  "a host that was dialled gets another address: its connection follows within seconds": (world) =>
    follows(world, 1, "192.168.50.101"),
  "a host that dialled gets another address: its connection follows within seconds": (world) =>
    follows(world, 2, "192.168.50.102"),
}));

/** Gives a host another address under traffic. Both ends must have a connection between the new addresses, which stays. */
async function follows(world: World, index: 1 | 2, address: string): Promise<void> {
  const host = world.host(index);
  const other = world.host(index === 1 ? 2 : 1);
  await using _one = traffic(world, 1);
  await using _two = traffic(world, 2);
  const { stdout } = await attempt(["ip", "-o", "-4", "addr", "show", "dev", "eth0"], { netns: host.netns });
  const old = /inet (\S+)/.exec(stdout)![1]!;
  const started = performance.now();
  await ip([`addr del ${old} dev eth0`, `addr add ${address}/24 dev eth0`], host.netns);
  await until("the other end has a connection to the new address", async () => {
    const { connections } = await other.status();
    return connections.some((each) => each.state === "established" && each.address.startsWith(`${address}:`));
  }, { ms: FOLLOWS_MS, everyMs: 50 });
  note(`followed after ${Math.round(performance.now() - started)} ms`);
  await host.established(); // it may hear a little later that the new one works
  const ends = () =>
    Promise.all(world.hosts.map(async (each) => (await each.status()).connections[0]!.address));
  const before = await ends();
  await world.container(1).mustPing(world.container(2).address, "-c", "20", "-i", "0.2", "-W", "1");
  assert.deepEqual(await ends(), before, "the connection stays");
}

/** A container that pings the other one, so that the loss of the link is noticed soon. */
function traffic(world: World, from: 1 | 2): AsyncDisposable {
  return world.container(from).background(
    "ping",
    "-q",
    "-i",
    "0.3",
    world.container(from === 1 ? 2 : 1).address,
  );
}

/** Milliseconds until containers reach each other and both ends say so. */
async function backAfter(world: World): Promise<number> {
  const started = performance.now();
  const [one, two] = [world.container(1), world.container(2)];
  await until("the containers reach each other, over a link that both ends call established", async () => {
    if ((await one.ping(two.address, "-c", "1", "-W", "0.3")).received !== 1) return false;
    for (const host of world.hosts) {
      if ((await host.status()).connections.every(({ state }) => state !== "established")) return false;
    }
    return true;
  }, { ms: 60_000, everyMs: 50 });
  return Math.round(performance.now() - started);
}
