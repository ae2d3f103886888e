/** Arrangements that several suites use. */
import { World } from "./world.ts";

/** Hosts with one container each, all meshed; container n has 10.2.1.n on host n. */
export async function meshed(hosts: number, options: readonly string[] = []): Promise<World> {
  const world = await World.create({ hosts, containers: hosts });
  await world.upAll(...options);
  for (const [i, host] of world.hosts.entries()) {
    await host.attach(world.container(i + 1), `10.2.1.${i + 1}/24`);
  }
  return world;
}

/** Hosts in a line: each dials the one before it and nobody else. */
export async function line(hosts: number, options: readonly string[] = []): Promise<World> {
  const world = await World.create({ hosts, containers: hosts });
  for (const [i, host] of world.hosts.entries()) {
    const before = i === 0 ? [] : ["--peers", world.host(i).address];
    host.start("--no-discovery", ...before, ...options);
  }
  for (const [i, host] of world.hosts.entries()) {
    await host.established(i === 0 || i === hosts - 1 ? 1 : 2);
    await host.attach(world.container(i + 1), `10.2.1.${i + 1}/24`);
  }
  return world;
}
