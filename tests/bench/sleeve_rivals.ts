/** What carries traffic between two hosts, ready to be measured: from a bare cable to what others offer.
 *
 * Every candidate has two hosts of its own on a cable with an MTU of 1500, set up as its users would: the settings that
 * a newcomer gets, nothing tuned.
 */
import { Container } from "../lab/common/container.ts";
import { Background, exec, FOLDER, ip, until } from "../lab/common/process.ts";
import { type Host, World, type WorldOptions } from "../lab/common/world.ts";
import { kernelVxlan } from "./kernel_vxlan.ts";

/** Two ends that can talk. */
export interface Candidate extends AsyncDisposable {
  readonly from: Container;
  readonly to: Container;
  /** The processes that carry the traffic. */
  readonly daemons: readonly number[];
  /** Namespaces of the two hosts; `eth0` of each is an end of the cable. */
  readonly hosts: readonly string[];
}

/** How the hosts of every candidate lie. */
const UNDERLAY = { hosts: 2, direct: true, openvswitch: false } satisfies WorldOptions;
const PREFIX = `mnb${Deno.pid}-`;
/** What others offer is installed for the bench alone. */
const RIVALS = { purpose: "bench" } as const;
const inside = (host: Host) => ({ ...RIVALS, netns: host.netns });

/** Nothing between the hosts but the cable. */
export async function bareCable(): Promise<Candidate> {
  const world = await World.create({ ...UNDERLAY, prefix: `${PREFIX}bare` });
  return candidate(world, world.hosts.map((host) => endpoint(host.netns, host.address)), []);
}

/** A bridge and a VXLAN device of the kernel on each host; unless said, containers have the largest MTU that fits. */
export async function kernelTunnel(mtu = 1450): Promise<Candidate> {
  const world = await kernelVxlan(mtu, { ...UNDERLAY, prefix: `${PREFIX}vx` });
  return candidate(world, world.containers, []);
}

/** What a candidate of meshnet is started with. */
export interface SleeveOptions {
  readonly password?: string;
  readonly environment?: Readonly<Record<string, string>>;
  /** Another executable than the one that was built. */
  readonly program?: readonly string[];
}

/** meshnet over user space; the options decide whether and how it seals. */
export async function sleeve(
  name: string,
  { password, environment = {}, program }: SleeveOptions,
): Promise<Candidate> {
  const upOptions = ["--datapath", "bridge"];
  const world = await World.create({
    ...UNDERLAY,
    ...{ containers: 2, prefix: `${PREFIX}${name}`, upOptions, environment, program },
  });
  return await started(world, async () => {
    const secret: string[] = [];
    if (password !== undefined) {
      const file = `${FOLDER}/${world.host(1).netns}/password`;
      Deno.writeTextFileSync(file, password, { mode: 0o600 });
      secret.push("--password-file", file);
    }
    await world.upAll(...secret);
    for (const [i, host] of world.hosts.entries()) {
      await host.attach(world.container(i + 1), `10.2.1.${i + 1}/24`);
    }
    for (const { overlay, encrypted } of (await world.host(1).status()).connections) {
      if (overlay !== "sleeve" || encrypted !== (password !== undefined)) {
        throw new Error(`The link is not as wanted: ${overlay}, ${encrypted ? "encrypted" : "in clear"}`);
      }
    }
    return candidate(world, world.containers, world.hosts.map((host) => host.daemon));
  });
}

/** Hosts that switch by programs in the kernel. */
export async function ebpf(): Promise<Candidate> {
  const upOptions = ["--datapath", "ebpf"];
  const world = await World.create({ ...UNDERLAY, containers: 2, prefix: `${PREFIX}ebpf`, upOptions });
  return await started(world, async () => {
    await world.upAll();
    for (const [i, host] of world.hosts.entries()) {
      await host.attach(world.container(i + 1), `10.2.1.${i + 1}/24`);
    }
    await world.container(1).mustPing("10.2.1.2", "-c", "3", "-i", "0.2", "-W", "3");
    await until("the tunnel is used", async () => {
      return (await world.host(1).status()).connections[0]?.overlay === "fastdp";
    });
    return candidate(world, world.containers, world.hosts.map((host) => host.daemon));
  });
}

/** nebula, with the configuration of its own example: AES-GCM, MTU 1300. */
export async function nebula(): Promise<Candidate> {
  const world = await World.create({ ...UNDERLAY, prefix: `${PREFIX}neb` });
  return await started(world, async () => {
    const folder = `${FOLDER}/${world.host(1).netns}`;
    const file = (name: string) => `${folder}/${name}`;
    const certified = ["-out-crt", file("ca.crt"), "-out-key", file("ca.key")];
    await exec(["nebula-cert", "ca", "-name", "bench", ...certified], RIVALS);
    const daemons: Background[] = [];
    for (const [i, host] of world.hosts.entries()) {
      const own = file(`n${i}`);
      const authority = ["-ca-crt", file("ca.crt"), "-ca-key", file("ca.key")];
      const out = ["-out-crt", `${own}.crt`, "-out-key", `${own}.key`];
      const named = ["-name", `n${i}`, "-ip", `10.4.1.${i + 1}/24`];
      await exec(["nebula-cert", "sign", ...authority, ...out, ...named], RIVALS);
      Deno.writeTextFileSync(
        `${own}.yml`,
        nebulaConfig({ own, authority: file("ca.crt"), lighthouse: i === 0, first: world.host(1).address }),
      );
      daemons.push(new Background(["nebula", "-config", `${own}.yml`], host.log, inside(host)));
    }
    return candidate(world, world.hosts.map((host, i) => endpoint(host.netns, `10.4.1.${i + 1}`)), daemons);
  });
}

function nebulaConfig(
  node: { own: string; authority: string; lighthouse: boolean; first: string },
): string {
  const allow = "[{ port: any, proto: any, host: any }]";
  return JSON.stringify({
    pki: { ca: node.authority, cert: `${node.own}.crt`, key: `${node.own}.key` },
    static_host_map: { "10.4.1.1": [`${node.first}:4242`] },
    lighthouse: { am_lighthouse: node.lighthouse, interval: 60, hosts: node.lighthouse ? [] : ["10.4.1.1"] },
    listen: { host: "0.0.0.0", port: 4242 },
    tun: { dev: "nebula1", mtu: 1300, tx_queue: 500 },
    firewall: { outbound: "ALLOW", inbound: "ALLOW" },
  }).replaceAll('"ALLOW"', allow); // YAML includes JSON
}

/** tinc 1.0 in its default mode, a router with Blowfish. */
export async function tinc(): Promise<Candidate> {
  const world = await World.create({ ...UNDERLAY, prefix: `${PREFIX}tinc` });
  return await started(world, async () => {
    const folders = world.hosts.map((host) => `${FOLDER}/${host.netns}/tinc`);
    for (const [i, folder] of folders.entries()) {
      Deno.mkdirSync(`${folder}/hosts`, { recursive: true });
      const dial = i === 0 ? "" : "ConnectTo = n0\n";
      Deno.writeTextFileSync(`${folder}/tinc.conf`, `Name = n${i}\n${dial}Interface = tinc0\n`);
      Deno.writeTextFileSync(
        `${folder}/hosts/n${i}`,
        `Address = ${world.hosts[i]!.address}\nSubnet = 10.5.1.${i + 1}/32\n`,
      );
      const up = `#!/bin/sh\nip addr add 10.5.1.${i + 1}/24 dev $INTERFACE\nip link set $INTERFACE up\n`;
      Deno.writeTextFileSync(`${folder}/tinc-up`, up, { mode: 0o755 });
      await exec(["tincd", "-c", folder, "-K", "2048"], RIVALS);
    }
    for (const [i, folder] of folders.entries()) {
      Deno.copyFileSync(`${folder}/hosts/n${i}`, `${folders[1 - i]}/hosts/n${i}`);
    }
    const daemons = world.hosts.map((host, i) =>
      new Background(
        ["tincd", "-D", "-c", folders[i]!, `--pidfile=${folders[i]}/pid`],
        host.log,
        inside(host),
      )
    );
    return candidate(world, world.hosts.map((host, i) => endpoint(host.netns, `10.5.1.${i + 1}`)), daemons);
  });
}

/** WireGuard in user space. */
export async function wireguardGo(): Promise<Candidate> {
  const world = await World.create({ ...UNDERLAY, prefix: `${PREFIX}wg` });
  return await started(world, async () => {
    const keys = await Promise.all(world.hosts.map(async (host) => {
      const file = `${FOLDER}/${host.netns}/key`;
      const secret = await exec(["wg", "genkey"], RIVALS);
      Deno.writeTextFileSync(file, secret, { mode: 0o600 });
      return { file, open: (await exec(["wg", "pubkey"], { ...RIVALS, input: secret })).trim() };
    }));
    // Names differ, since both leave their sockets in one folder.
    const names = world.hosts.map((_, i) => `mnb${Deno.pid}wg${i}`);
    const daemons = world.hosts.map((host, i) => {
      const env = { WG_PROCESS_FOREGROUND: "1", LOG_LEVEL: "error" };
      return new Background(["wireguard-go", "-f", names[i]!], host.log, { ...inside(host), env });
    });
    for (const [i, host] of world.hosts.entries()) {
      await until("wireguard-go is there", () => exec(["wg", "show", names[i]!], inside(host)));
      const peer = ["peer", keys[1 - i]!.open, "allowed-ips", `10.6.1.${2 - i}/32`];
      const where = ["endpoint", `${world.hosts[1 - i]!.address}:51820`];
      const own = ["listen-port", "51820", "private-key", keys[i]!.file];
      await exec(["wg", "set", names[i]!, ...own, ...peer, ...where], inside(host));
      await ip(
        [`addr add 10.6.1.${i + 1}/24 dev ${names[i]}`, `link set ${names[i]} mtu 1420 up`],
        host.netns,
      );
    }
    return candidate(world, world.hosts.map((host, i) => endpoint(host.netns, `10.6.1.${i + 1}`)), daemons);
  });
}

function endpoint(netns: string, address: string): Container {
  const container = new Container(netns);
  container.addresses = [address];
  return container;
}

/** Removes the hosts when what should run on them does not start. */
async function started(world: World, start: () => Promise<Candidate>): Promise<Candidate> {
  try {
    return await start();
  } catch (error) {
    const why = await world.explain();
    await world[Symbol.asyncDispose]();
    throw new Error(`${error instanceof Error ? error.message : error}\n${why}`, { cause: error });
  }
}

/** Waits until the ends reach each other. Daemons end in peace, so that they remove what they made elsewhere. */
async function candidate(
  world: World,
  [from, to]: readonly Container[],
  daemons: readonly Background[],
): Promise<Candidate> {
  const dispose = async () => {
    for (const daemon of daemons) {
      daemon.kill("SIGTERM");
      const late = setTimeout(() => daemon.kill("SIGKILL"), 3_000);
      await daemon.ended();
      clearTimeout(late);
    }
    await world[Symbol.asyncDispose]();
  };
  try {
    await until("the ends reach each other", async () => {
      return (await from!.ping(to!.address, "-c", "1", "-W", "1")).received === 1;
    });
  } catch (error) {
    for (const daemon of daemons) await daemon[Symbol.asyncDispose]();
    throw error;
  }
  return {
    ...{ from: from!, to: to!, daemons: daemons.map(({ pid }) => pid) },
    hosts: world.hosts.map(({ netns }) => netns),
    [Symbol.asyncDispose]: dispose,
  };
}
