/** Tunnels over IPv6 in Open vSwitch, beside programs in the kernel, and beside tunnels over IPv4. */
import assert from "node:assert/strict";
import { hosts, line, mesh } from "../common/arrangements.ts";
import { Capture } from "../common/container.ts";
import { carriedBy, firstPackets, linkLocalWorks, restartMiddle } from "../common/everyday.ts";
import { FEW_MISSES, loadModules } from "../common/kernel_flows.ts";
import { note } from "../common/notes.ts";
import { exec, pause, until } from "../common/process.ts";
import { type Scenario, type Suite, suite } from "../common/suite.ts";
import { transfer } from "../common/transfer.ts";
import { unnoticed } from "../common/unnoticed.ts";
import type { World } from "../common/world.ts";

type Way = "ovs" | "ebpf";

async function overlays(world: World, overlay: "fastdp" | "sleeve"): Promise<void> {
  for (const host of world.hosts) {
    await until(`all connections of ${host.netns} use ${overlay}`, async () => {
      return carriedBy(await host.status(), overlay);
    }, { ms: 30_000 });
  }
}

/** Everything passes as IPv6 with a tunnel's port, and nothing in another way. */
async function passes(world: World): Promise<void> {
  const [one, last] = [world.container(1), world.containers.at(-1)!];
  await overlays(world, "fastdp");
  const port = `p${world.hosts.length}`;
  await using capture = await Capture.start(world.fabric, port, "udp dst port 6784");
  for (const size of [18, 1000, 1382, 1500, 30_000]) {
    await one.mustPing(last.address, "-s", String(size), "-c", "3", "-i", "0.1", "-W", "3");
  }
  const packets = await capture.stop();
  const others = packets.filter((line) => !/ethertype IPv6/.test(line));
  assert.deepEqual([packets.length > 20, others.slice(0, 5)], [true, []]);
}

async function carries(world: World): Promise<void> {
  const { bytes, gbitPerSecond } = await transfer(world.container(1), world.containers.at(-1)!, {
    megabytes: 8,
  });
  note(`${bytes} bytes, the same at both ends, at ${(gbitPerSecond * 1000).toFixed(0)} Mbit/s`);
}

const two: Readonly<Record<string, Scenario<World>>> = {
  "the tunnel carries packets of all sizes": async (world) => {
    await firstPackets(world, 20, 0.05);
    await passes(world);
    await linkLocalWorks(world);
  },
  "a stream is whole": carries,
  "the kernel carries it by itself": async (world) => {
    const host = world.host(2); // with Open vSwitch
    const before = (await host.counters()).missed;
    await world.container(1).mustPing(world.container(2).address, "-c", "100", "-i", "0.01", "-W", "3");
    const missed = (await host.counters()).missed - before;
    note(`${missed} misses during 100 pings`);
    assert.ok(missed < FEW_MISSES, `${missed}`);
    const tunnels = (await host.flows()).filter((flow) => /fd50::/.test(flow.key + flow.actions));
    assert.ok(tunnels.length > 0);
  },
  "a restart loses nothing": async (world) => {
    await unnoticed(world, async () => {
      for (const [i, host] of world.hosts.entries()) {
        await host.run("down");
        await host.daemon.ended();
        await host.up(...(i === 0 ? [] : ["--peers", world.host(1).address]));
      }
      await overlays(world, "fastdp");
    });
  },
  "the tunnel is blocked by a rule of IPv6: user space carries on, and gives it back": async (world) => {
    await loadModules("ip6_tables", "ip6table_filter", "xt_tcpudp");
    const rule = ["INPUT", "-p", "udp", "--dport", "6784", "-j", "DROP"];
    const filter = (how: string) => exec(["ip6tables-legacy", how, ...rule], { netns: world.host(2).netns });
    await using ping = world.container(1).background("ping", "-n", "-i", "0.1", world.container(2).address);
    await filter("-A");
    await overlays(world, "sleeve");
    await world.container(1).mustPing(world.container(2).address, "-c", "5", "-i", "0.1", "-W", "3");
    await filter("-D");
    await overlays(world, "fastdp");
    await pause(500);
    ping.kill("SIGINT");
    await ping.ended();
    note(/.* packet loss/.exec(ping.output())?.[0] ?? "no summary");
    await world.container(1).mustPing(world.container(2).address, "-c", "5", "-i", "0.1", "-W", "3");
  },
};

function pair(first: Way): Suite {
  return suite({
    name: `IPv6 underlay, ${first} beside ovs`,
    open: () => hosts(2, { ipv6: "all" }),
    prepare: async (world) => {
      world.host(1).upOptions = ["--datapath", first];
      await mesh(world);
    },
  }, two);
}

/** The first two hosts are linked over IPv4, the last two over IPv6. */
function relay(ways: readonly [Way, Way, Way]): Suite {
  return suite({
    name: `line over IPv4 and IPv6 of ${ways.join(", ")}`,
    open: () => hosts(3, { ipv6: "but-first" }),
    prepare: async (world) => {
      ways.forEach((way, i) => world.host(i + 1).upOptions = ["--datapath", way]);
      await line(world);
    },
  }, {
    "the middle passes on from one to the other, in its kernel": async (world) => {
      await firstPackets(world, 20, 0.05);
      await passes(world);
      await carries(world);
    },
    "when the middle is away for a moment, traffic is back when it is": async (world) => {
      await restartMiddle(world);
      await overlays(world, "fastdp");
      await world.container(3).reaches(world.container(1).address); // the ends must hear of it first
      await world.container(3).mustPing(world.container(1).address, "-c", "5", "-i", "0.1", "-W", "3");
    },
  });
}

export default [
  ...[pair("ovs"), pair("ebpf")],
  ...[relay(["ovs", "ovs", "ebpf"]), relay(["ovs", "ebpf", "ovs"])],
];
