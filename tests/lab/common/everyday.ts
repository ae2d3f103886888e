/** What holds on every datapath: scenarios that both kinds of lab run. */
import assert from "node:assert/strict";
import type { StatusReport } from "../../../mod/control/api_types.ts";
import type { Container } from "./container.ts";
import { linkLocal, links } from "./links.ts";
import { note } from "./notes.ts";
import { FOLDER } from "./process.ts";
import type { Host, World } from "./world.ts";

/** The first packet between two containers arrives, and `more` that follow it `everySeconds`. */
export async function firstPackets(world: World, more: number, everySeconds: number): Promise<void> {
  const [one, two] = [world.container(1), world.container(2)];
  const first = await one.mustPing(two.address, "-c", "1", "-W", "3");
  const after = await one.mustPing(two.address, "-c", `${more}`, "-i", `${everySeconds}`, "-W", "3");
  await two.mustPing(one.address, "-c", "5", "-i", "0.05", "-W", "3");
  const times = after.times.toSorted((a, b) => a - b);
  note(`ping: first ${first.times[0]} ms, then median ${times[times.length >> 1]} ms`);
}

/** IPv6 link-local addresses work without any set-up. */
export async function linkLocalWorks(world: World): Promise<void> {
  const target = await linkLocal(world.container(2).netns);
  await linkLocal(world.container(1).netns);
  await world.container(1).mustPing(`${target}%ethmesh`, "-6", "-c", "3", "-i", "0.1", "-W", "3");
}

/** Starts all daemons with their passwords, and attaches a container to each; options go to the first `count`. */
export async function startWithPasswords(
  world: World,
  passwords: readonly (string | undefined)[],
  options: readonly string[] = [],
  count = world.hosts.length,
): Promise<void> {
  for (const [i, host] of world.hosts.entries()) {
    const password = passwords[i];
    const file = `${FOLDER}/${host.netns}/password`;
    if (password !== undefined) Deno.writeTextFileSync(file, `${password}\n`, { mode: 0o600 });
    const secret = password === undefined ? [] : ["--password-file", file];
    const peers = i === 0 ? [] : ["--peers", world.host(1).address];
    await host.up(...peers, ...secret, ...i < count ? options : []);
    await host.attach(world.container(i + 1), `10.2.1.${i + 1}/24`);
  }
}

/** Whether a host has connections, and this overlay carries each of them. */
export function carriedBy({ connections }: StatusReport, overlay: "fastdp" | "sleeve"): boolean {
  return connections.length > 0 &&
    connections.every((one) => one.state === "established" && one.overlay === overlay);
}

/** Ends all daemons and removes what they made. */
export async function resetAll(world: World): Promise<void> {
  for (const host of world.hosts) {
    await host.run("reset");
    await host.daemon.ended();
  }
}

/** What a killed daemon left goes with `reset --force`. */
export async function resetAfterKill(host: Host, attached: Container): Promise<void> {
  await host.up();
  await host.attach(attached, "10.2.1.1/24");
  host.daemon.kill("SIGKILL");
  await host.daemon.ended();
  await host.run("reset", "--force");
  await assertClean(host);
}

/** In a line of three the host in the middle stops, and starts again. */
export async function restartMiddle(world: World): Promise<void> {
  const middle = world.host(2);
  await middle.run("down");
  await middle.daemon.ended();
  await middle.up("--no-discovery", "--peers", world.host(1).address);
  await middle.established(2, 30_000);
}

/** Nothing of meshnet is left on a host: no interface and no file. */
export async function assertClean(host: Host): Promise<void> {
  assert.deepEqual((await links(host.netns)).map(({ ifname }) => ifname).toSorted(), ["eth0", "lo"]);
  for (const folder of [host.runDir, host.stateDir]) {
    assert.deepEqual(filesIn(folder), [], `left in ${folder}`);
  }
}

function filesIn(folder: string): readonly string[] {
  try {
    return [...Deno.readDirSync(folder)].map((entry) => entry.name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}
