/** Two hosts whose fast path comes and goes, or is not wanted: sleeve carries the traffic, and gives it back. */
import assert from "node:assert/strict";
import { hosts, mesh } from "../common/arrangements.ts";
import { parsePing } from "../common/container.ts";
import { carriedBy } from "../common/everyday.ts";
import { FEW_MISSES, loadModules } from "../common/kernel_flows.ts";
import { note } from "../common/notes.ts";
import { fragNeeded } from "../common/icmp.ts";
import { exec, ip, pause, until } from "../common/process.ts";
import { suite } from "../common/suite.ts";
import { transfer } from "../common/transfer.ts";
import type { Host, World } from "../common/world.ts";

/** The fast path's UDP port. */
const FAST_PORT = "6784";
/** How long the silence of a way may go unnoticed. */
const NOTICED_MS = 30_000;

const two = suite({ name: "fall-back", open: () => hosts(2), prepare: mesh }, {
  "the fast path is blocked: traffic goes on in user space, status says why; unblocked: it returns": async (
    world,
  ) => {
    const [one, other] = [world.container(1), world.container(2)];
    await overlayOf(world, "fastdp");
    await one.mustPing(other.address, "-c", "3", "-i", "0.1", "-W", "3");
    await using ping = one.background("ping", "-n", "-i", "0.1", other.address);
    await pause(500);
    const fell = await timed(async () => {
      await block(world, "-I");
      await overlayOf(world, "sleeve");
    });
    const { connections } = await world.host(1).status();
    const [connection] = connections;
    assert.match(connection!.info, /VXLAN/);
    note(`fell back in ${fell} ms: ${connection!.info}; MTU ${connection!.mtu}`);
    await one.mustPing(other.address, "-c", "20", "-i", "0.05", "-W", "1");
    const taggedFlows = (await world.host(1).flows()).filter((flow) => flow.actions.includes("push_vlan"));
    assert.ok(taggedFlows.length > 0);
    const returned = await timed(async () => {
      await block(world, "-D");
      await overlayOf(world, "fastdp");
    });
    await pause(1_000);
    ping.kill("SIGINT");
    await ping.ended();
    const { received, sent } = parsePing(ping.output());
    note(`returned in ${returned} ms; ${sent - received} of ${sent} pings lost`);
    const allowed = Math.ceil((fell + 5_000) / 100);
    assert.ok(sent - received <= allowed, `${sent - received} of ${sent} pings lost`);
    for (const host of world.hosts) {
      await until(`${host.netns} has no flow through user space any more`, async () => {
        return (await host.flows()).every(({ actions }) => !actions.includes("push_vlan"));
      }, { ms: 10_000 });
    }
  },
  "a transfer goes on while the fast path is cut and restored": async (world) => {
    const [one, other] = [world.container(1), world.container(2)];
    const running = transfer(one, other, { megabytes: 60 });
    running.catch(() => {}); // it is told of below
    await pause(1_500);
    const fell = await timed(async () => {
      await block(world, "-I");
      await overlayOf(world, "sleeve");
    });
    await pause(1_000);
    await block(world, "-D");
    const { bytes, gbitPerSecond } = await running;
    note(`fell back in ${fell} ms; ${bytes} bytes, the same at both ends, at ${mbits(gbitPerSecond * 1e9)}`);
    await overlayOf(world, "fastdp");
  },
  "a path that shrinks without a word: large packets arrive again within seconds": async (world) => {
    const [one, other] = [world.container(1), world.container(2)];
    await overlayOf(world, "fastdp");
    const options = ["-M", "dont", "-s", "1272"];
    await one.mustPing(other.address, ...options, "-c", "3", "-i", "0.2", "-W", "1");
    await ip(["link set p1 mtu 1200"], world.fabric);
    const back = await one.reaches(other.address, { ms: 30_000, options }); // of 1300 octets
    const [connection] = (await world.host(1).status()).connections;
    note(`back after ${back} ms over ${connection!.overlay}, MTU ${connection!.mtu}: ${connection!.info}`);
    await ip(["link set p1 mtu 1500"], world.fabric);
    await overlayOf(world, "fastdp");
  },
  "the hosts' own interfaces take less than the tunnel sends: user space carries the traffic, status says why":
    async (
      world,
    ) => {
      const [one, other] = [world.container(1), world.container(2)];
      await overlayOf(world, "fastdp");
      await using ping = one.background("ping", "-n", "-i", "0.1", "-s", "1300", other.address);
      const setMtu = (mtu: number) =>
        Promise.all(world.hosts.map(({ netns }) => ip([`link set eth0 mtu ${mtu}`], netns)));
      await setMtu(1_400);
      const noticed = await timed(() => overlayOf(world, "sleeve"));
      const [connection] = (await world.host(1).status()).connections;
      note(`noticed after ${noticed} ms: ${connection!.info}`);
      assert.match(connection!.info, /carries less than 1460 bytes/);
      await one.mustPing(other.address, "-M", "dont", "-s", "1250", "-c", "5", "-i", "0.1", "-W", "1");
      await setMtu(1_500);
      await overlayOf(world, "fastdp");
      await pause(500);
      ping.kill("SIGINT");
      await ping.ended();
      const { received, sent } = parsePing(ping.output());
      assert.ok(
        sent - received <= 5,
        `${sent - received} of ${sent} pings lost: large ones travel in pieces`,
      );
    },
  "a stranger's ICMP message about the path: nothing is lost, and the fast path stays": async (world) => {
    const [one, other] = [world.container(1), world.container(2)];
    const { netns } = world.host(1);
    await overlayOf(world, "fastdp");
    const about = { other: world.host(2).address, port: 6783 };
    const stays = async () => {
      for (const host of world.hosts) assert.equal((await host.status()).connections[0]!.overlay, "fastdp");
    };
    for (const mtu of [700, 552]) {
      // The kernel passes over such a message while the user-space path's socket sends without DF.
      await until("the kernel believes it", async () => {
        await fragNeeded(world, 1, { ...about, mtu });
        return (await exec(["ip", "route", "get", about.other], { netns })).includes(`mtu ${mtu}`);
      }, { ms: 30_000 });
      for (const size of ["1272", "5000"]) {
        await one.mustPing(other.address, "-M", "dont", "-s", size, "-c", "5", "-i", "0.2", "-W", "1");
      }
      const { gbitPerSecond } = await transfer(one, other, { megabytes: 4 });
      note(`kernel believes in ${mtu}: TCP ${mbits(gbitPerSecond * 1e9)}`);
      await stays();
      // Longer than it takes to miss heartbeats of full size, under traffic.
      await one.mustPing(other.address, "-c", "80", "-i", "0.1", "-W", "1");
      await stays();
    }
    await exec(["ip", "route", "flush", "cache"], { netns });
  },
});

const slow = suite({
  name: "sleeve through Open vSwitch",
  open: () => hosts(2),
  prepare: async (world) => {
    world.host(2).upOptions = ["--no-fastdp"];
    await mesh(world);
  },
}, {
  "a host that was told so has no fast path, and both say why": async (world) => {
    await overlayOf(world, "sleeve");
    const infos = await Promise.all(
      world.hosts.map(async (host) => (await host.status()).connections[0]!.info),
    );
    note(infos.join("; "));
    assert.match(infos[1]!, /--no-fastdp/);
    assert.notEqual(infos[0], "");
    await world.container(1).mustPing(world.container(2).address, "-c", "20", "-i", "0.02", "-W", "3");
  },
  "frames in both directions have flows": async (world) => {
    const [one, other] = [world.container(1), world.container(2)];
    await one.mustPing(other.address, "-c", "3", "-i", "0.05");
    const before = await Promise.all(world.hosts.map((host) => host.counters()));
    const { times } = await one.mustPing(other.address, "-c", "100", "-i", "0.01");
    const after = await Promise.all(world.hosts.map((host) => host.counters()));
    for (const i of [0, 1]) {
      const missed = after[i]!.missed - before[i]!.missed;
      assert.ok(missed < FEW_MISSES, `${missed} packets of 200 were misses`);
    }
    note(`ping: median ${times.toSorted((a, b) => a - b)[times.length >> 1]} ms`);
  },
  "big packets and TCP": async (world) => {
    const [one, other] = [world.container(1), world.container(2)];
    for (const size of [1372, 1500, 9000, 65_507]) {
      await one.mustPing(other.address, "-s", String(size), "-c", "2", "-i", "0.02", "-W", "3");
    }
    const { gbitPerSecond } = await transfer(one, other, { megabytes: 8 });
    const [, retransmitted] = /TcpRetransSegs\s+([0-9]+)/.exec(await one.exec("nstat", "-asz")) ?? [];
    note(`TCP ${mbits(gbitPerSecond * 1e9)}, ${retransmitted} segments sent again`);
  },
  "user space's port is removed from the datapath, and the TAP from the host: both are put back": async (
    world,
  ) => {
    const [one, other] = [world.container(1), world.container(2)];
    const { netns } = world.host(1);
    const { pid } = await world.host(1).status();
    const meddlings = [["ovs-dpctl", "del-if", "meshnet", "mesh-tap"], ["ip", "link", "del", "mesh-tap"]];
    for (const argv of [...meddlings, ["ip", "link", "set", "mesh-tap", "down"]]) {
      await exec(argv, { netns });
      const back = await one.reaches(other.address, { ms: 10_000 });
      note(`${argv.join(" ")}: back after ${back} ms`);
      await one.mustPing(other.address, "-c", "20", "-i", "0.02", "-W", "3");
    }
    assert.equal((await world.host(1).status()).pid, pid);
  },
  "the underlay loses, delays and doubles packets: what arrives is right": async (world) => {
    for (const host of world.hosts) {
      await exec([
        "tc",
        "qdisc",
        "add",
        "dev",
        "eth0",
        "root",
        "netem",
        ..."delay 1ms loss 1% duplicate 1% reorder 1%".split(" "),
      ], { netns: host.netns });
    }
    const { bytes, gbitPerSecond } = await transfer(world.container(1), world.container(2), {
      megabytes: 30,
    });
    for (const host of world.hosts) {
      await exec(["tc", "qdisc", "del", "dev", "eth0", "root"], { netns: host.netns });
    }
    note(`${bytes} bytes, the same at both ends, at ${mbits(gbitPerSecond * 1e9)}`);
  },
  "a restart under traffic: it is back within seconds": async (world) => {
    const [one, other] = [world.container(1), world.container(2)];
    await using ping = one.background("ping", "-n", "-i", "0.1", other.address);
    await pause(1_000);
    await world.host(1).run("down");
    await world.host(1).daemon.ended();
    await world.host(1).up("--peers", world.host(2).address);
    await world.host(1).established();
    const back = await other.reaches(one.address, { ms: 10_000 });
    await pause(1_000);
    ping.kill("SIGINT");
    await ping.ended();
    const { received, sent, duplicates } = parsePing(ping.output());
    note(`traffic was back ${back} ms after the link; ${sent - received} of ${sent} pings lost`);
    assert.ok(received > 15 && duplicates === 0, ping.output());
  },
});

export default [two, slow];

/** Blocks the fast path on both hosts (`-I`), or no longer (`-D`). */
async function block(world: World, command: "-I" | "-D"): Promise<void> {
  await loadModules("ip_tables", "iptable_filter", "xt_tcpudp");
  const rule = ["INPUT", "-p", "udp", "--dport", FAST_PORT, "-j", "DROP"];
  for (const { netns } of world.hosts) await exec(["iptables-legacy", command, ...rule], { netns });
}

/** Waits until every link is carried so. */
async function overlayOf(world: World, overlay: "fastdp" | "sleeve"): Promise<void> {
  const uses = async (host: Host) => carriedBy(await host.status(), overlay);
  for (const host of world.hosts) {
    await until(`${host.netns} uses ${overlay}`, () => uses(host), { ms: NOTICED_MS });
  }
}

function mbits(bitsPerSecond: number): string {
  return `${(bitsPerSecond / 1e6).toFixed(0)} Mbit/s`;
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return Math.round(performance.now() - started);
}
