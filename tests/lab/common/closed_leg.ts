/** What no container may reach: the host that it is on, or another host, through the switch's own leg. */
import assert from "node:assert/strict";
import type { Container } from "./container.ts";
import { links } from "./links.ts";
import { exec } from "./process.ts";
import type { Host, World } from "./world.ts";

/** Groups that bridges hand to the host that they are on, unless told otherwise (IEEE 802.1Q, table 8-1). */
const RESERVED = ["01:80:c2:00:00:02", "01:80:c2:00:00:0e", "01:80:c2:00:00:0f"];
const QUICK = ["-c", "2", "-i", "0.1", "-W", "0.3"] as const;

/** Containers of both hosts try to reach the first host's own address, and the second's through the first, by ARP and
 * by the leg's Ethernet address, which they may guess, and by groups that bridges hand to their host. Nothing may come of
 * it. */
export async function assertClosed(world: World): Promise<void> {
  const [host, other] = [world.host(1), world.host(2)];
  await exec(["sysctl", "-qw", "net.ipv4.ip_forward=1"], { netns: host.netns });
  const leg = (await links(host.netns)).find((link) => link.ifname === "meshnet")!;
  const before = await echoesIn(host, other);
  for (const container of [world.container(1), world.container(2)]) {
    const by = (address: string) => ["route", "replace", `${address}/32`, "dev", "ethmesh"];
    await container.exec("ip", ...by(host.address));
    assert.equal((await container.ping(host.address, ...QUICK)).received, 0, "by ARP");
    await withNeighbour(container, host.address, leg.address, async () => {
      await container.ping(host.address, ...QUICK);
      await container.exec(
        "ip",
        "route",
        "replace",
        `${other.address}/32`,
        "via",
        host.address,
        "dev",
        "ethmesh",
        "onlink",
      );
      await container.ping(other.address, ...QUICK);
    });
    for (const group of RESERVED) {
      await withNeighbour(container, host.address, group, async () => {
        await container.ping(host.address, ...QUICK);
      });
    }
    for (const { address } of [host, other]) await container.exec("ip", "route", "del", `${address}/32`);
  }
  assert.deepEqual(await echoesIn(host, other), before, "echo requests that the hosts' IPv4 took");
}

async function withNeighbour(
  container: Container,
  address: string,
  mac: string,
  work: () => Promise<void>,
): Promise<void> {
  const neighbour = [address, "dev", "ethmesh"];
  await container.exec("ip", "neigh", "replace", ...neighbour, "lladdr", mac, "nud", "permanent");
  await work();
  await container.exec("ip", "neigh", "del", ...neighbour);
}

/** How many echo requests the IPv4 of hosts has taken. */
async function echoesIn(...hosts: readonly Host[]): Promise<readonly number[]> {
  return await Promise.all(hosts.map(async ({ netns }) => {
    const text = await exec(["cat", "/proc/thread-self/net/snmp"], { netns });
    const [names, values] = text.split("\n").filter((line) => line.startsWith("Icmp:")).map((l) =>
      l.split(" ")
    );
    return Number(values![names!.indexOf("InEchos")]);
  }));
}
