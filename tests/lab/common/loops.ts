/** Two containers that are bridged together: what must hold on every datapath. */
import assert from "node:assert/strict";
import type { Container } from "./container.ts";
import { note } from "./notes.ts";
import { ip, until } from "./process.ts";
import type { World } from "./world.ts";

/** More than a loop of this lab takes to be found. */
const FOUND_MS = 5_000;
/** What went round when a loop was cut is over soon after. An address is asked for once a second, and the first questions
 * may be lost in it. */
const OVER_MS = 5_000;

/** Of two containers of one host, one is stopped, all others go on, and it comes back when the loop has gone. */
export async function loopIsCut(world: World): Promise<void> {
  const [left, right] = await world.addContainers(2);
  for (const [i, container] of [left!, right!].entries()) {
    await world.host(1).attach(container, `10.2.1.8${i}/24`);
  }
  await isCut(world, left!, right!, 1);
}

/** The same with a container of each host: here both may be stopped. */
export async function loopOverHostsIsCut(world: World): Promise<void> {
  const [left, right] = await world.addContainers(2);
  for (const [i, container] of [left!, right!].entries()) {
    await world.host(i + 1).attach(container, `10.2.1.9${i}/24`);
  }
  await isCut(world, left!, right!, 2);
}

async function isCut(world: World, left: Container, right: Container, most: number): Promise<void> {
  const [host, one, two] = [world.host(1), world.container(1), world.container(2)];
  const before = (await host.status()).connections[0]!;
  await ip([`link add loop type veth peer name loop netns ${right.netns}`], left.netns);
  for (const { netns } of [left, right]) {
    await ip([
      "link add br9 type bridge",
      "link set ethmesh master br9",
      "link set loop master br9",
      "link set loop up",
      "link set br9 up",
    ], netns);
  }
  // The loop shows both at its own ports.
  await Promise.all([one, two].map((each) => each.ping("10.2.1.255", "-b", "-c", "2", "-W", "0.2")));
  const started = performance.now();
  const found = await until("a port is stopped", async () => {
    const ports = await stopped(world);
    return ports.length > 0 && ports;
  }, { ms: FOUND_MS, everyMs: 50 });
  note(`found after ${Math.round(performance.now() - started)} ms`);
  assert.ok(
    found.length <= most && /^netns:\S+ is stopped: it is part of a loop/.test(found[0]!),
    found.join(),
  );
  await one.reaches(two.address, { ms: OVER_MS });
  await one.mustPing(two.address, "-c", "10", "-i", "0.05", "-W", "2");
  await two.mustPing(one.address, "-c", "5", "-i", "0.05", "-W", "2");
  const after = (await host.status()).connections[0]!;
  assert.deepEqual([after.state, after.address], ["established", before.address]);
  await ip(["link delete loop"], left.netns);
  await until("it goes on", async () => (await stopped(world)).length === 0, { ms: 30_000 });
  for (const { netns } of [left, right]) await ip(["link set ethmesh nomaster"], netns);
  await left.mustPing(two.address, "-c", "2", "-i", "0.05", "-W", "3");
}

async function stopped(world: World): Promise<readonly string[]> {
  const all = await Promise.all(world.hosts.map((host) => host.status()));
  const messages = all.flatMap(({ problems }) => problems.map(({ message }) => message));
  return messages.filter((message) => message.includes("part of a loop"));
}
