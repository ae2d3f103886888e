/** Hosts that share a range of addresses: what tests ask of them. */
import assert from "node:assert/strict";
import type { AddressesAnswer, HolderReport, IpamReport } from "../../../mod/control/address_types.ts";
import { callDaemon } from "../../../mod/control/client.ts";
import { until } from "../common/process.ts";
import type { Host, World } from "../common/world.ts";

/** The range of all hosts here. */
export const RANGE = "10.40.0.0/20";
/** How many addresses it has. */
export const SIZE = 4_096;

/** A request to the daemon of a host. */
export async function ask<T>(host: Host, path: string, body?: unknown): Promise<T> {
  const method = body === undefined ? "GET" : "POST";
  return await callDaemon<T>({ method, path, body }, { runDir: host.runDir, timeoutMs: 60_000 });
}

/** An address for a name. */
export async function allocate(host: Host, holder: string): Promise<string> {
  const { addresses } = await ask<AddressesAnswer>(host, "/ipam/allocate", { holder, timeoutMs: 20_000 });
  return addresses[0]!;
}

/** What a host says of the range. */
export async function ipam(host: Host): Promise<IpamReport> {
  return (await host.status()).ipam!;
}

/** Who holds which addresses on a host. */
export async function held(host: Host): Promise<ReadonlyMap<string, readonly string[]>> {
  const all = await ask<readonly HolderReport[]>(host, "/ps");
  return new Map(all.map(({ addresses, holder }) => [holder, addresses]));
}

/** Everybody's holders: no address is there twice. */
export async function noneTwice(hosts: readonly Host[]): Promise<void> {
  const all = (await Promise.all(hosts.map(held))).flatMap((holders) => [...holders.values()].flat());
  assert.equal(new Set(all).size, all.length, `${all.length} addresses, some of them twice`);
}

/** Waits until all hosts know of the same owners, who own the whole range. */
export async function agree(hosts: readonly Host[], owners: number): Promise<void> {
  await until(`all hosts know ${owners} owners`, async () => {
    const views = await Promise.all(hosts.map(ipam));
    const texts = new Set(
      views.map((view) => view.owners.map(({ addresses, peer }) => `${peer} ${addresses}`).sort().join()),
    );
    const whole = views.every((view) => view.owners.reduce((sum, one) => sum + one.addresses, 0) === SIZE);
    return texts.size === 1 && whole && views[0]!.owners.length === owners;
  }, { ms: 60_000 });
}

/** Starts all hosts. */
export const everything = (world: World) => world.upAll("--ip-range", RANGE);
