/** What meshnet is measured against. */
import { ip } from "../lab/common/process.ts";
import { World, type WorldOptions } from "../lab/common/world.ts";

/** A container on a bridge with a kernel VXLAN device on each of two hosts: what one would set up by hand. */
export async function kernelVxlan(mtu: number, options: Partial<WorldOptions> = {}): Promise<World> {
  const world = await World.create({ ...options, hosts: 2, containers: 2 });
  for (const n of [1, 2]) {
    const { netns } = world.host(n);
    const container = world.container(n).netns;
    await ip([
      "link add br1 type bridge",
      `link add vx type vxlan id 7 dstport 4789 local 192.168.50.${n} remote 192.168.50.${3 - n}`,
      `link add c0 type veth peer name ethmesh netns ${container}`,
      ...["vx", "c0"].map((name) => `link set ${name} mtu ${mtu} master br1 up`),
      `link set br1 mtu ${mtu} up`,
    ], netns);
    await ip([`addr add 10.3.1.${n}/24 dev ethmesh`, `link set ethmesh mtu ${mtu} up`], container);
    world.container(n).addresses = [`10.3.1.${n}`];
  }
  return world;
}
