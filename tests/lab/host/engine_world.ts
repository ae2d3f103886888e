/** Hosts with a real container engine each, and somebody in their network whom they ask for names of others. */
import type { HolderReport } from "../../../mod/control/address_types.ts";
import { Background, exec, FOLDER, Hopeless, ip, until } from "../common/process.ts";
import type { Host, World } from "../common/world.ts";
import { Engine } from "./engine.ts";
import { hostWorld } from "./host_lab.ts";

/** Where the server for other names is, and what it says of the one name that it knows. */
const NAME_SERVER = "192.168.50.253";
/** A name of others. */
export const OUTSIDE = { name: "outside.example", address: "192.0.2.33" } as const;
const SERVER = new URL("../common/name_server.ts", import.meta.url).pathname;

const engines = new WeakMap<World, readonly Engine[]>();

export function engine(world: World, n: number): Engine {
  return engines.get(world)![n - 1]!;
}

/** Two hosts with engines; they end before the hosts do. */
export async function enginesWorld(): Promise<World> {
  const world = await hostWorld({ hosts: 2 });
  await ip([`addr add ${NAME_SERVER}/24 dev br0`], world.fabric);
  const argv = [
    Deno.execPath(),
    "run",
    "-A",
    "--no-config",
    "--unstable-net",
    SERVER,
    NAME_SERVER,
    OUTSIDE.name,
    OUTSIDE.address,
  ];
  const names = new Background(argv, `${FOLDER}/${world.fabric}-names`, { netns: world.fabric });
  const all = world.hosts.map((host) => new Engine(host, NAME_SERVER));
  engines.set(world, all);
  const end = world[Symbol.asyncDispose].bind(world);
  const explain = world.explain.bind(world);
  Object.assign(world, {
    explain: async () => [await explain(), ...all.map((one) => one.explain())].join("\n"),
    [Symbol.asyncDispose]: async () => {
      await Promise.all([names, ...all].map((one) => one[Symbol.asyncDispose]()));
      await end();
    },
  });
  await until("the name server listens", () => {
    if (names.code !== undefined) throw new Hopeless(names.output());
    return names.output().includes("ready");
  }).catch(async (error) => {
    await world[Symbol.asyncDispose]();
    throw error;
  });
  return world;
}

export async function prepareEngines(world: World): Promise<void> {
  await Promise.all(engines.get(world)!.map(async (one) => {
    one.host.environment = { MESHNET_DOCKER: `unix://${one.socket}` };
    await one.prepare();
    one.host.startedBy = one.inside;
    one.start();
    await one.answers();
    await one.makeImage();
  }));
  await world.upAll();
}

export async function holders(host: Host): Promise<readonly HolderReport[]> {
  return JSON.parse(await host.run("ps", "--json"));
}

/** The addresses of an attached container, without prefixes; waits until it is attached. */
export async function addressOf(host: Host, name: string): Promise<string> {
  return await until(`${name} is attached`, async () => {
    const found = (await holders(host)).find((one) => one.name === name && one.attached);
    return found?.addresses[0]?.split("/")[0];
  }, { ms: 25_000 }); // what was refused is tried again after half a minute
}

/** Interfaces of containers on a host's side. */
export async function hostEnds(host: Host): Promise<readonly string[]> {
  const links = await exec(["ip", "-o", "link", "show", "type", "veth"], { netns: host.netns });
  return [...links.matchAll(/: (vm[ndt][0-9a-f]+)@/g)].map(([, name]) => name!);
}

/** Addresses of a name, as a host knows it. */
export async function lookUp(host: Host, name: string): Promise<readonly string[]> {
  const { stdout } = await host.attempt("dns", "lookup", name);
  return stdout.split("\n").filter(Boolean).sort();
}

/** The address of a container in Docker's network `mesh`. */
export async function ipOf(one: Engine, name: string): Promise<string> {
  return await one.docker("inspect", "-f", "{{.NetworkSettings.Networks.mesh.IPAddress}}", name);
}

/** Waits until Docker has the network `mesh`. */
export async function hasNetwork(one: Engine): Promise<void> {
  await until("Docker has the network", async () => {
    return (await one.attempt("network", "inspect", "mesh")).code === 0;
  });
}

/** What a program in a container finds by a name. */
export async function finds(one: Engine, container: string, name: string): Promise<string> {
  const { stdout } = await one.attempt("exec", container, "ping", "-c", "1", "-W", "2", name);
  return /^PING \S+ \(([0-9.]+)\)/.exec(stdout)?.[1] ?? "";
}

/** Waits until a program in a container finds this address by a name: hosts tell each other of names, which takes a moment. */
export async function findsAt(one: Engine, container: string, name: string, ip: string): Promise<void> {
  await until(`${container} finds ${name} at ${ip}`, async () => {
    const found = await finds(one, container, name);
    if (found !== ip) throw new Error(`it is at ${JSON.stringify(found)}`);
    return true;
  });
}
