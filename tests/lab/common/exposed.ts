/** A host that takes part in the network itself. Two hosts, a container on each. */
import assert from "node:assert/strict";
import { exec, ip } from "./process.ts";
import type { Host, World } from "./world.ts";

const QUICK = ["-c", "3", "-i", "0.05", "-W", "3"] as const;
const [OWN, OTHERS] = ["10.2.1.254", "10.2.1.253"] as const;

/** Exposed hosts, their containers and each other: all reach all. It outlasts a crash and what others do; hidden, nobody
 * is reached. */
export async function exposedHosts(world: World): Promise<void> {
  const [host, other] = [world.host(1), world.host(2)];
  const [one, two] = [world.container(1), world.container(2)];
  assert.match(await host.run("expose", `${OWN}/24`), /^This host has 10.2.1.254\/24 in the network/);
  await other.run("expose", `${OTHERS}/24`, "--no-masquerade");
  for (const container of [one, two]) {
    for (const address of [OWN, OTHERS]) await container.mustPing(address, ...QUICK);
  }
  for (const address of [one.address, two.address, OTHERS]) await pings(host, address);
  await host.run("expose", `${OWN}/24`); // again changes nothing
  assert.deepEqual((await host.status()).exposed, [{ address: `${OWN}/24`, masquerade: true }]);
  assert.match(await host.run("ps"), /this host +yes +10.2.1.254\/24/);

  await ip([`addr del ${OWN}/24 dev meshnet`], host.netns);
  await one.reaches(OWN);
  host.daemon.kill("SIGKILL");
  await host.daemon.ended();
  await pings(host, one.address); // what is in the kernel goes on
  await host.up();
  await host.established();
  await two.mustPing(OWN, ...QUICK);

  await host.run("hide");
  for (const container of [one, two]) {
    assert.equal((await container.ping(OWN, "-c", "2", "-i", "0.1", "-W", "0.3")).received, 0);
  }
  assert.equal(await exec(["ip", "-4", "addr", "show", "dev", "meshnet"], { netns: host.netns }), "");
  await two.mustPing(OTHERS, ...QUICK);
  await other.run("hide");
}

async function pings(host: Host, address: string): Promise<void> {
  await exec(["ping", "-n", ...QUICK, "-w", "10", address], { netns: host.netns });
}
