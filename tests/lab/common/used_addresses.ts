/** Addresses that somebody in the network uses although nobody gave them to him. */
import assert from "node:assert/strict";
import { formatMac, parseMac } from "../../../mod/core/addr.ts";
import type { Container } from "./container.ts";
import { links } from "./links.ts";
import { until } from "./process.ts";
import type { Host, World } from "./world.ts";

/** Somebody on this host and somebody on another take addresses by themselves: nobody else gets them, neither by
 * allocation nor by hand, and everybody is told who has them. */
export async function usedAddresses(world: World): Promise<void> {
  const [one, two] = [world.host(1), world.host(2)];
  const [here, there, fresh] = await world.addContainers(3) as [Container, Container, Container];
  await one.attach(here, "10.2.7.1/24");
  await two.attach(there, "10.2.7.2/24");
  const next = [await allocate(one, "first"), await allocate(one, "second")];
  for (const holder of ["first", "second"]) await one.run("ipam", "release", holder);
  const [a, b] = next as [string, string];
  await there.exec("ip", "addr", "add", `${a}/32`, "dev", "ethmesh");
  await here.exec("ip", "addr", "add", `${b}/32`, "dev", "ethmesh");
  // The first answer has no flows yet and passes user space: a slow kernel may take longer than an allocation waits.
  for (const ip of [a, b]) {
    await until(`${ip} answers`, async () => (await one.attempt("ping", ip)).code === 0);
  }

  const third = await allocate(one, "third");
  assert.ok(third !== a && third !== b, `${third} was given to a name, and ${a} and ${b} are in use`);
  await one.run("ipam", "release", "third");
  const target = `netns:${fresh.netns}`;
  const [, c] = /has ([\d.]+)\/\d+$/m.exec(await one.run("attach", target))!;
  assert.ok(c !== a && c !== b, `${c} was given out, and ${a} and ${b} are in use`);
  const { inUse } = (await one.status()).ipam!;
  const [farMac, nearMac] = [await macOf(there), await macOf(here)];
  assert.deepEqual(inUse.toSorted((x, y) => x.address === a ? -1 : y.address === a ? 1 : 0), [
    { address: a, mac: farMac, host: two.netns, by: `${farMac} on ${two.netns}` },
    { address: b, mac: nearMac, host: one.netns, by: `netns:${here.netns} (${nearMac}) on this host` },
  ]);
  assert.match(
    await one.run("status", "ipam"),
    new RegExp(`${a} is given to nobody: ${farMac} on ${two.netns}`),
  );

  const wrong = await one.attempt("attach", `${b}/12`, target);
  assert.match(
    wrong.stderr,
    new RegExp(`Cannot attach ${b}/12 to ${target}: it is in use by netns:${here.netns} `),
  );
  const told = (await one.status()).problems.find(({ message }) => message.startsWith(`${b} is in use by`));
  const advised = /`(meshnet attach [^`]+)`/.exec(told!.hint!)![1]!;
  assert.match(await one.run(...advised.split(" ").slice(1)), new RegExp(`${b}/`));
  assert.ok(
    !(await one.status()).problems.some(({ message }) => message.startsWith(`${b} is in use`)),
    "it is his",
  );

  const refused = await one.attempt("attach", "10.2.7.2/24", target);
  assert.equal(refused.code, 1);
  assert.equal(
    refused.stderr,
    `meshnet: Cannot attach 10.2.7.2/24 to ${target}: it is in use by ${farMac} on ${two.netns}\n` +
      "hint: Choose another address, or attach it all the same with --force\n",
  );
  assert.match(await one.run("attach", "10.2.7.2/24", "--force", target), /10\.2\.7\.2\/24/);
  assert.match(await one.run("attach", "10.2.7.2/24", target), /10\.2\.7\.2\/24/, "what it has it may keep");
  const own = await one.attempt("attach", `${one.address}/24`, target);
  assert.match(own.stderr, /it is in use by this host, on its interface eth0\nhint: /);
  for (const [host, container] of [[one, here], [two, there], [one, fresh]] as const) {
    await host.run("detach", `netns:${container.netns}`);
  }
}

async function allocate(host: Host, holder: string): Promise<string> {
  return (await host.run("ipam", "allocate", holder)).split("/")[0]!;
}

async function macOf(container: Container): Promise<string> {
  const { address } = (await links(container.netns)).find(({ ifname }) => ifname === "ethmesh")!;
  return formatMac(parseMac(address)!);
}
