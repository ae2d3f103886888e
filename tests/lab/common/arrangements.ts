/** Arrangements that several suites use. */
import { loadIpsec } from "./kernel_flows.ts";
import { until } from "./process.ts";
import { type Host, World, type WorldOptions } from "./world.ts";

/** Hosts with one container each, for one of the functions below. */
export async function hosts(count: number, options: Pick<WorldOptions, "ipv6"> = {}): Promise<World> {
  return await World.create({ hosts: count, containers: count, ...options });
}

/** The same, in a kernel that can seal tunnels. */
export async function sealingHosts(count: number, options: Pick<WorldOptions, "ipv6"> = {}): Promise<World> {
  const world = await hosts(count, options);
  await loadIpsec();
  return world;
}

/** All hosts meshed with all; container n has 10.2.1.n on host n. */
export async function mesh(world: World): Promise<void> {
  await world.upAll();
  for (const [i, host] of world.hosts.entries()) {
    await host.attach(world.container(i + 1), `10.2.1.${i + 1}/24`);
  }
}

/** Whether a host has heard of both ends of every link of a line: what happens far away takes a second to get about. */
async function knowsLine(world: World, host: Host): Promise<boolean> {
  const { peers } = await host.status();
  const ends = peers.flatMap((peer) => peer.connections.filter((link) => link.established));
  return ends.length === 2 * (world.hosts.length - 1);
}

/** Hosts in a line: each dials the one before it and nobody else; addresses as in mesh(). */
export async function line(world: World): Promise<void> {
  for (const [i, host] of world.hosts.entries()) {
    const before = i === 0 ? [] : ["--peers", world.host(i).address];
    host.start("--no-discovery", ...before);
  }
  for (const [i, host] of world.hosts.entries()) {
    await host.established(i === 0 || i === world.hosts.length - 1 ? 1 : 2);
    await host.attach(world.container(i + 1), `10.2.1.${i + 1}/24`);
  }
  await lineIsKnown(world);
}

/** Waits until all hosts of a line have heard of all its links. */
export async function lineIsKnown(world: World): Promise<void> {
  for (const host of world.hosts) await until(`${host.netns} knows all links`, () => knowsLine(world, host));
}
