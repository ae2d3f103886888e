/** Hosts that switch by programs in the kernel: restarts that nobody notices, meddling, moves, floods. What every datapath
 * does the other scenarios show. */
import assert from "node:assert/strict";
import { sendFrames } from "../../../ffi/packet_socket.ts";
import { MAX_OUTPUTS } from "../../../mod/datapath/ebpf/layout.ts";
import { NAME_SERVER_IP } from "../../../mod/core/name_leg.ts";
import { mesh } from "../common/arrangements.ts";
import { Capture } from "../common/container.ts";
import { flood } from "../common/flood.ts";
import { links } from "../common/links.ts";
import { note } from "../common/notes.ts";
import { exec, ip, pause, until } from "../common/process.ts";
import { suite } from "../common/suite.ts";
import { transfer } from "../common/transfer.ts";
import { unnoticed } from "../common/unnoticed.ts";
import type { Host, World } from "../common/world.ts";
import { backAfter, declareTests, hostWorld, tunnelIsUsed } from "./host_lab.ts";

const EBPF = ["--datapath", "ebpf"];
const BRIDGE = ["--datapath", "bridge"];
/** What others remove is back within a second, on a machine that has time; this is what a busy one may take. */
const LIMIT_MS = 10_000;

const FLOOD_SECONDS = 8;

const open = () => hostWorld({ hosts: 2, containers: 3, upOptions: EBPF });

const restart = suite({ name: "host kernel, ebpf restart", open, prepare: mesh }, {
  "frames go through tunnels of the kernel": async (world) => {
    await ready(world);
    const { datapath } = await world.host(1).status();
    assert.deepEqual([datapath.kind, datapath.noFastdp], ["ebpf", null]);
  },
  "down and up under traffic loses nothing": (world) =>
    unnoticed(world, async () => {
      await world.host(1).run("down");
      await restarted(world);
    }),
  "kill -9 and up under traffic loses nothing": (world) =>
    unnoticed(world, async () => {
      world.host(1).daemon.kill("SIGKILL");
      await restarted(world);
    }),
  "after a restart new containers and new flows work": async (world) => {
    await world.host(1).attach(world.container(3), "10.2.1.50/24");
    for (const n of [1, 2]) {
      await world.container(3).mustPing(world.container(n).address, "-c", "3", "-i", "0.1", "-W", "3");
    }
  },
  "without a daemon, containers of one host begin new conversations all the same": async (world) => {
    const host = world.host(1);
    const [one, three] = [world.container(1), world.container(3)];
    await host.attach(three, "10.2.1.50/24");
    await host.run("down");
    await host.daemon.ended();
    for (const container of [one, three]) {
      await container.exec(
        "ip",
        "link",
        "set",
        "ethmesh",
        "address",
        `02:00:5e:77:00:0${container === one ? 1 : 3}`,
      );
    }
    await one.mustPing(three.address, "-c", "3", "-i", "0.1", "-W", "3");
    await host.up("--peers", world.host(2).address);
    await host.established();
    await one.mustPing(world.container(2).address, "-c", "3", "-i", "0.1", "-W", "3");
  },
  "flows to what went with a daemon that was killed go: the name server is reached": async (world) => {
    const [host, one] = [world.host(1), world.container(1)];
    await one.mustPing(NAME_SERVER_IP, "-c", "2", "-i", "0.05", "-W", "3");
    host.daemon.kill("SIGKILL");
    await host.daemon.ended();
    await host.up("--peers", world.host(2).address);
    await one.mustPing(NAME_SERVER_IP, "-c", "2", "-i", "0.05", "-W", "3");
  },
});

async function restarted(world: World): Promise<void> {
  const host = world.host(1);
  await host.daemon.ended();
  await pause(500);
  await host.up("--peers", world.host(2).address);
  await host.established();
  assert.ok((await host.status()).datapath.flows > 0, "it knows no flow");
}

/** Traffic has taken the tunnel. */
async function ready(world: World): Promise<void> {
  await world.container(1).mustPing(world.container(2).address, "-c", "3", "-i", "0.05", "-W", "3");
  await tunnelIsUsed(world);
}

const MEDDLING: readonly (readonly [string, (host: Host) => Promise<unknown>])[] = [
  ["the hooks of a container's port", async (host) => {
    await tc(host, `qdisc del dev ${await hostEnd(host)} clsact`);
  }],
  ["the program of a container's port", async (host) => {
    await tc(host, `filter del dev ${await hostEnd(host)} ingress`);
  }],
  ["the program of the tunnel", (host) => tc(host, "filter del dev vxlan-6784 ingress")],
  ["the program of the TAP", (host) => tc(host, "qdisc del dev mesh-tap clsact")],
  ["the tunnel's interface", (host) => ip(["link del vxlan-6784"], host.netns)],
  ["the tunnel's place on the bridge", (host) => ip(["link set vxlan-6784 nomaster"], host.netns)],
];

const meddling = suite({
  name: "host kernel, ebpf meddling",
  open,
  prepare: async (world) => {
    await mesh(world);
    await ready(world);
  },
}, {
  ...Object.fromEntries(MEDDLING.map(([what, meddle]) => [
    `${what}: removed, it is back`,
    async (world: World) => {
      const host = world.host(1);
      const { pid } = host.daemon;
      await meddle(host);
      await until("everything is in its place", () => isWhole(host), { ms: LIMIT_MS, everyMs: 20 });
      note(`back after ${await backAfter(world.container(1), world.container(2).address, LIMIT_MS)} ms`);
      assert.equal((await host.status()).pid, pid, "the daemon was started again");
      await until("nothing is wrong", async () => (await host.status()).problems.length === 0, {
        ms: LIMIT_MS,
      });
      await ready(world);
    },
  ])),
  "the tunnel is set down: it is up again": async (world) => {
    await ip(["link set vxlan-6784 down"], world.host(1).netns);
    note(`back after ${await backAfter(world.container(1), world.container(2).address, LIMIT_MS)} ms`);
    await ready(world);
  },
  "an interface that somebody puts on the bridge has our program while it is there": async (world) => {
    const host = world.host(1);
    const told = async () => (await tc(host, "filter show dev other0 ingress")).includes("meshnet");
    await ip(["link add other0 type veth peer other1", "link set other0 master meshnet up"], host.netns);
    await until("it has our program", told);
    await ip(["link set other0 nomaster"], host.netns);
    await until("it has it no more", async () => !await told());
    await ip(["link set other0 master meshnet"], host.netns);
    await until("it has it again", told);
    await ip(["link del other0"], host.netns);
    await ready(world);
  },
  "filters of others at the same hooks are left alone, and named": async (world) => {
    const host = world.host(1);
    const device = await hostEnd(host);
    await tc(
      host,
      `filter add dev ${device} ingress prio 9 protocol ip u32 match ip src 203.0.113.1 flowid 1:1`,
    );
    await until("the log names it", () => /foreign-filter.*kind=u32/.test(host.daemon.output()));
    await world.container(1).mustPing(world.container(2).address, "-c", "3", "-i", "0.05", "-W", "3");
    assert.match(await tc(host, `filter show dev ${device} ingress`), /pref 9 u32/);
  },
});

const floods = suite({
  name: "host kernel, ebpf floods",
  open,
  prepare: async (world) => {
    await mesh(world);
    await world.host(1).attach(world.container(3), "10.2.1.3/24");
    await ready(world);
  },
}, {
  "a container that begins conversations without end starves nobody": async (world) => {
    const [one, two] = [world.container(1), world.container(2)];
    let done = false;
    const sent = flood(world.container(3).netns, FLOOD_SECONDS);
    void sent.catch(() => {}).finally(() => done = true); // what fails is thrown where it is awaited
    let tries = 0;
    let answered = 0;
    while (!done) { // each begins with a question to everybody, which has no flow
      await one.exec("ip", "neigh", "flush", "all");
      answered += (await one.ping(two.address, "-c", "1", "-W", "5")).received;
      tries++;
    }
    const { connections, datapath } = await world.host(1).status();
    note(`${answered} of ${tries} answered, ${await sent} frames, ${datapath.overruns} beyond the bounds`);
    assert.ok(datapath.overruns > 0, "it was no flood");
    assert.ok(tries > 3 && answered >= tries - 1, `${answered} of ${tries}`);
    assert.deepEqual(connections.map(({ overlay, state }) => [overlay, state]), [["fastdp", "established"]]);
    await one.mustPing(two.address, "-c", "5", "-i", "0.05", "-W", "3");
  },
  "a broadcast reaches more containers than a flow has outputs, each once": async (world) => {
    const [one, two] = [world.container(1), world.container(2)];
    const more = await world.addContainers(MAX_OUTPUTS + 2);
    for (const [i, container] of more.entries()) await world.host(1).attach(container, `10.2.2.${i + 1}/16`);
    await using stack = new AsyncDisposableStack();
    const captures: Capture[] = [];
    for (const { netns } of [two, more[0]!, more.at(-1)!]) {
      captures.push(stack.use(await Capture.start(netns, "ethmesh", "ether proto 0x88b5")));
    }
    for (let i = 0; i < 20; i++) sendFrames(`/run/netns/${one.netns}`, "ethmesh", [broadcast(i)]);
    await until("all arrived", () => captures.every((capture) => capture.packets.length >= 20));
    await one.mustPing(two.address, "-c", "3", "-i", "0.1", "-W", "3"); // behind them: a copy would be there by now
    for (const capture of captures) assert.equal((await capture.stop()).length, 20);
    assert.doesNotMatch(world.host(1).daemon.output(), /flow-install-failed/);
  },
});

/** A frame for everybody, of an experimental type. */
function broadcast(number: number): Uint8Array<ArrayBuffer> {
  const frame = new Uint8Array(60);
  frame.set([255, 255, 255, 255, 255, 255, 2, 0, 0x5e, 0x10, 0, 1, 0x88, 0xb5, number]);
  return frame;
}

const moves = suite({
  name: "host kernel, ebpf moves",
  open: () => hostWorld({ hosts: 2, containers: 3, upOptions: [] }),
  prepare: async (world) => {
    await world.upAll(...BRIDGE);
    for (const n of [1, 2, 3]) await world.host(n === 2 ? 2 : 1).attach(world.container(n), `10.2.1.${n}/24`);
  },
}, {
  "from a bridge, with its containers, which go on talking to each other": async (world) => {
    const [one, three] = [world.container(1), world.container(3)];
    await using ping = one.background("ping", "-n", "-i", "0.1", three.address);
    await move(world, EBPF);
    await ready(world);
    ping.kill("SIGINT");
    await ping.ended();
    note(ping.output().split("\n").find((line) => line.includes("packets"))!);
    const [, sent, received] = /(\d+) packets transmitted, (\d+) received/.exec(ping.output())!;
    assert.ok(Number(sent) - Number(received) <= 10, ping.output());
  },
  "and back, leaving no program and no tunnel": async (world) => {
    await move(world, BRIDGE);
    const host = world.host(1);
    await world.container(1).mustPing(world.container(2).address, "-c", "3", "-i", "0.05", "-W", "3");
    await world.container(1).mustPing(world.container(3).address, "-c", "3", "-i", "0.05", "-W", "3");
    for (const { ifname } of await links(host.netns)) {
      assert.doesNotMatch(ifname, /^vxlan-/);
      assert.doesNotMatch(await tc(host, `filter show dev ${ifname} ingress`), /meshnet/);
    }
  },
  "reset leaves nothing": async (world) => {
    await move(world, EBPF);
    await ready(world);
    const host = world.host(1);
    await host.run("reset");
    const names = (await links(host.netns)).map(({ ifname }) => ifname);
    assert.deepEqual(names.toSorted(), ["eth0", "lo"]);
  },
});

const cards = suite({
  name: "host kernel, ebpf cards",
  // On one cable: a virtual card merges only what comes from one that does not cut.
  open: () => hostWorld({ hosts: 2, containers: 2, direct: true, upOptions: EBPF }),
  prepare: async (world) => {
    await mesh(world);
    await ready(world);
  },
}, {
  "a network card that cuts nothing gets whole packets, and what it merges stays merged": async (world) => {
    await setCards(world, "tso", "off", "tx-udp-segmentation", "off", "gro", "on");
    const { arrived, cut, given, out } = await carriedPackets(world);
    assert.ok(given * WHOLE < cut, `${given} packets for the tunnel, ${cut} on the wire`);
    assert.ok(arrived * WHOLE < cut, `${cut} packets on the wire, ${arrived} out of the tunnel`);
    assert.ok(out * WHOLE < cut, `${cut} packets on the wire, ${out} for the container`);
  },
  "what a card does not merge is merged before the program": async (world) => {
    await setCards(world, "tso", "off", "tx-udp-segmentation", "off", "gro", "off");
    const { cut, given, out } = await carriedPackets(world);
    assert.ok(given * WHOLE < cut, `${given} packets for the tunnel, ${cut} on the wire`);
    assert.ok(out * WHOLE < cut, `${cut} packets on the wire, ${out} for the container`);
  },
});

/** Packets on the wire for one that is whole, at least: there are 45 in 64 KiB. */
const WHOLE = 3;

async function setCards(world: World, ...settings: readonly string[]): Promise<void> {
  for (const { netns } of world.hosts) await exec(["ethtool", "-K", "eth0", ...settings], { netns });
}

/** Packets of a stream at the interfaces on its way. */
async function carriedPackets(world: World) {
  const [one, two] = [world.host(1), world.host(2)];
  const end = await hostEnd(two);
  const counts = async () =>
    [
      await packets(one, "vxlan-6784", "tx"),
      await packets(one, "eth0", "tx"),
      await packets(two, "vxlan-6784", "rx"),
      await packets(two, end, "tx"),
    ] as const;
  const before = await counts();
  await transfer(world.container(1), world.container(2), { megabytes: 60 });
  const [given, cut, arrived, out] = (await counts()).map((count, i) => count - before[i]!);
  note(`${given} for the tunnel, ${cut} on the wire, ${arrived} out of the tunnel, ${out} for the container`);
  return { given: given!, cut: cut!, arrived: arrived!, out: out! };
}

async function packets(host: Host, device: string, way: "rx" | "tx"): Promise<number> {
  const text = await exec(["ip", "-s", "-j", "link", "show", "dev", device], { netns: host.netns });
  return JSON.parse(text)[0].stats64[way].packets;
}

async function move(world: World, options: readonly string[]): Promise<void> {
  for (const [i, host] of world.hosts.entries()) {
    await host.run("down");
    await host.daemon.ended();
    await host.up(...options, "--peers", world.host(2 - i).address);
  }
  for (const host of world.hosts) await host.established();
}

/** Every interface of the switch has its program, and the tunnel is up. */
async function isWhole(host: Host): Promise<boolean> {
  const present = await links(host.netns);
  const names = present.map(({ ifname }) => ifname).filter((name) => /^(vmn|vxlan-|mesh-)/.test(name));
  const told = await Promise.all(names.map((name) => tc(host, `filter show dev ${name} ingress`)));
  return names.includes("vxlan-6784") && told.every((text) => text.includes("meshnet"));
}

async function hostEnd(host: Host): Promise<string> {
  return (await links(host.netns)).find(({ ifname }) => ifname.startsWith("vmn"))!.ifname;
}

async function tc(host: Host, words: string): Promise<string> {
  return await exec(["tc", ...words.split(" ")], { netns: host.netns });
}

declareTests(restart, meddling, floods, cards, moves);
