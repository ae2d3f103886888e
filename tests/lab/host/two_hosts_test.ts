/** Two and three hosts without Open vSwitch: everything that an Ethernet does. */
import assert from "node:assert/strict";
import { sendFrames } from "../../../ffi/packet_socket.ts";
import { mesh } from "../common/arrangements.ts";
import { Capture } from "../common/container.ts";
import { assertClosed } from "../common/closed_leg.ts";
import { firstPackets, linkLocalWorks } from "../common/everyday.ts";
import { links } from "../common/links.ts";
import { nameServersReached } from "../common/name_leg.ts";
import { note } from "../common/notes.ts";
import { until } from "../common/process.ts";
import { type Scenario, suite } from "../common/suite.ts";
import { trafficCounted } from "../common/traffic.ts";
import type { World } from "../common/world.ts";
import {
  CARRIES,
  DATAPATHS,
  declareTests,
  hostWorld,
  linksSettled,
  overlayOf,
  withDatapath,
} from "./host_lab.ts";

const everyday = (datapath: string): Readonly<Record<string, Scenario<World>>> => ({
  "the first packet arrives, and all after it": (world) => firstPackets(world, 100, 0.01),
  "status says which datapath and overlay, and why not the better one": async (world) => {
    await linksSettled(world, overlayOf(datapath));
    for (const host of world.hosts) {
      const { connections, datapath: status } = await host.status();
      assert.equal(status.kind, datapath);
      assert.equal(connections[0]?.overlay, overlayOf(datapath));
      assert.equal(connections[0]?.encrypted, false);
      assert.equal(connections[0]?.info === "", overlayOf(datapath) === "fastdp");
      note(`MTU ${status.mtu}, of the link ${connections[0]?.mtu}; ${connections[0]?.info}`);
    }
  },
  "every ping is counted, on both hosts, in both directions": trafficCounted,
  "interfaces have the names of the contract": async (world) => {
    const names = (await links(world.host(1).netns)).map((link) => link.ifname);
    for (const name of ["meshnet", "mesh-tap"]) assert.ok(names.includes(name), names.join(" "));
    assert.equal(names.filter((name) => name.startsWith("vmn")).length, 1, names.join(" "));
    const inside = (await links(world.container(1).netns)).map((link) => link.ifname);
    assert.deepEqual(inside.toSorted(), ["ethmesh", "lo"]);
  },
  "IPv6 link-local works without any set-up": linkLocalWorks,
  "arping is answered, once": (world) => world.container(1).mustArping(world.container(2).address),
  "IP packets of odd sizes pass, the largest in fragments": async (world) => {
    const [one, two] = [world.container(1), world.container(2)];
    const { mtu } = (await links(one.netns)).find((link) => link.ifname === "ethmesh")!;
    const around = [mtu - 29, mtu - 28, mtu - 27];
    for (const size of [0, 18, 60, 61, 999, 1371, 1372, 1373, ...around, 1472, 2999, 8001, 30_001, 65_507]) {
      await one.mustPing(two.address, "-s", String(size), "-c", "2", "-i", "0.01", "-W", "3");
    }
  },
  "frames with a VLAN tag keep it": async (world) => {
    const [one, two] = [world.container(1), world.container(2)];
    await using capture = await Capture.start(two.netns, "ethmesh", "vlan");
    const frame = ethernet("02:00:5e:10:00:01", "ff:ff:ff:ff:ff:ff", [0x81, 0x00, 0x60, 0x07, 0x88, 0xb5]);
    sendFrames(`/run/netns/${one.netns}`, "ethmesh", [frame]);
    const [line] = await until("the frame arrives", () => capture.packets.length > 0 && capture.packets);
    assert.match(line!, /vlan 7, p 3.*0x88b5/, line);
  },
  "no container reaches a host through the switch": assertClosed,
  "each container reaches the name server of its own host, and asks nobody for it": nameServersReached,
  "UDP arrives": async (world) => {
    const [one, two] = [world.container(1), world.container(2)];
    // So few a second that a receiver may wait for a processor: what its socket has no room for is no fault of the network.
    for (
      const [length, bitsPerSecond] of [[16, "50K"], [1200, "1M"], [1500, "1M"], [9000, "5M"]] as const
    ) {
      const { packets, lost } = await one.udp(two, { length, bitsPerSecond, seconds: 1 });
      note(`${lost} of ${packets} datagrams with ${length} bytes were lost`);
      assert.ok(lost <= packets * 0.3, `${lost} of ${packets} datagrams with ${length} bytes were lost`);
    }
  },
  "TCP passes, both ways": async (world) => {
    const [one, two] = [world.container(1), world.container(2)];
    const rates = [await one.iperf(two, 2, "-C", "cubic"), await one.iperf(two, 2, "-C", "cubic", "-R")];
    note(`TCP ${rates.map((rate) => (rate / 1e9).toFixed(2)).join(" and back ")} Gbit/s`);
    assert.ok(Math.min(...rates) > CARRIES, `${rates}`);
  },
  "containers of one host reach each other, and a late one reaches all": async (world) => {
    const [three] = await world.addContainers(1);
    await world.host(1).attach(three!, "10.2.1.33/24");
    await three!.mustPing(world.container(1).address, "-c", "3", "-i", "0.05", "-W", "3");
    await three!.mustPing(world.container(2).address, "-c", "3", "-i", "0.05", "-W", "3");
  },
});

const twoHosts = DATAPATHS.map((datapath) =>
  suite({
    name: `host kernel, two hosts${withDatapath(datapath)}`,
    open: () => hostWorld({ hosts: 2, containers: 2, upOptions: ["--datapath", datapath] }),
    prepare: mesh,
  }, everyday(datapath))
);

const threeHosts = suite({
  name: "host kernel, three hosts",
  open: () => hostWorld({ hosts: 3, containers: 4, upOptions: [] }),
  prepare: async (world) => {
    await world.upAll();
    await linksSettled(world, "fastdp");
    for (const n of [1, 2, 3, 4]) {
      await world.host(Math.min(n, 3)).attach(world.container(n), `10.2.1.${n}/24`);
    }
  },
}, {
  "a host that is told nothing takes Open vSwitch, else eBPF, and says which": async (
    world,
  ) => {
    const { datapath, connections } = await world.host(3).status();
    if (await exists("/sys/module/openvswitch")) assert.equal(datapath.kind, "ovs");
    else assert.equal(datapath.kind, "ebpf");
    note(connections[0]!.info);
  },
  "a broadcast reaches everybody else exactly once": async (world) => {
    const [one, ...others] = world.containers;
    await using stack = new AsyncDisposableStack();
    const captures: Capture[] = [];
    for (const { netns } of others) {
      captures.push(stack.use(await Capture.start(netns, "ethmesh", "ether proto 0x88b5")));
    }
    const own = stack.use(await Capture.start(one!.netns, "ethmesh", "ether proto 0x88b5", "-Q", "in"));
    for (let n = 0; n < 20; n++) {
      const frame = ethernet("02:00:5e:10:00:02", "ff:ff:ff:ff:ff:ff", [0x88, 0xb5, n]);
      sendFrames(`/run/netns/${one!.netns}`, "ethmesh", [frame]);
    }
    await until("all arrived", () => captures.every((capture) => capture.packets.length >= 20));
    await one!.mustPing(others[1]!.address, "-c", "3", "-i", "0.1", "-W", "3"); // behind them: a copy would be there by now
    for (const capture of captures) assert.equal((await capture.stop()).length, 20);
    assert.equal((await own.stop()).length, 0);
  },
  "everybody reaches everybody": async (world) => {
    for (const from of world.containers) {
      for (const to of world.containers) {
        if (from !== to) await from.mustPing(to.address, "-c", "2", "-i", "0.01", "-W", "3");
      }
    }
  },
});

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

/** A frame of 60 bytes. */
function ethernet(source: string, destination: string, rest: readonly number[]): Uint8Array<ArrayBuffer> {
  const octets = (mac: string) => mac.split(":").map((octet) => parseInt(octet, 16));
  const frame = new Uint8Array(60);
  frame.set([...octets(destination), ...octets(source), ...rest]);
  return frame;
}

declareTests(...twoHosts, threeHosts);
