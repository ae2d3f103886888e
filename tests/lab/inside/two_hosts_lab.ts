/** Two hosts, a container on each: what everybody does first. */
import assert from "node:assert/strict";
import { hosts, mesh } from "../common/arrangements.ts";
import { assertClosed } from "../common/closed_leg.ts";
import { exposedHosts } from "../common/exposed.ts";
import { carriedBy, firstPackets, linkLocalWorks } from "../common/everyday.ts";
import { links } from "../common/links.ts";
import { nameServersReached } from "../common/name_leg.ts";
import { note } from "../common/notes.ts";
import { FEW_MISSES } from "../common/kernel_flows.ts";
import { exec, pause, until } from "../common/process.ts";
import { cpuSeconds, residentMb, wakeUps } from "../common/usage.ts";
import { trafficCounted } from "../common/traffic.ts";
import { usedAddresses } from "../common/used_addresses.ts";
import { suite } from "../common/suite.ts";

export default suite({ name: "two hosts", open: () => hosts(2), prepare: mesh }, {
  "the first packet arrives, and all after it": (world) => firstPackets(world, 20, 0.05),
  "packets after the first stay in the kernel": async (world) => {
    const [one, two] = [world.container(1), world.container(2)];
    for (const host of world.hosts) {
      await until("the tunnel carries", async () => carriedBy(await host.status(), "fastdp"));
    }
    await one.mustPing(two.address, "-c", "2", "-i", "0.1");
    const before = await Promise.all(world.hosts.map((host) => host.counters()));
    await one.mustPing(two.address, "-c", "100", "-i", "0.01");
    const after = await Promise.all(world.hosts.map((host) => host.counters()));
    for (const [i, host] of world.hosts.entries()) {
      const missed = after[i]!.missed - before[i]!.missed;
      assert.ok(missed < FEW_MISSES, `${missed} packets of 200 went through user space on ${host.netns}`);
      const flows = await host.flows();
      const outgoing = flows.filter((flow) => flow.actions.includes("set(tunnel(") && flow.packets >= 100);
      const incoming = flows.filter((flow) => flow.key.includes("tunnel(") && flow.packets >= 100);
      assert.ok(outgoing.length > 0 && incoming.length > 0, JSON.stringify(flows, null, 1));
    }
  },
  "every ping is counted, on both hosts, in both directions": trafficCounted,
  "without a password nothing of encryption is opened": (world) => {
    for (const { daemon } of world.hosts) {
      // Columns: address of the socket, protocol, port id (that of the kernel is 0).
      const sockets = Deno.readTextFileSync(`/proc/${daemon.pid}/net/netlink`).split("\n").slice(1);
      const open = sockets.map((line) => line.trim().split(/\s+/)).filter(([, protocol]) => protocol === "6");
      assert.deepEqual(open.filter(([, , port]) => port !== "0"), []);
      assert.ok(sockets.length > 5, "it sees sockets");
      const maps = Deno.readTextFileSync(`/proc/${daemon.pid}/maps`);
      assert.match(maps, /libnl-3/);
      assert.doesNotMatch(maps, /libsodium|libcrypto/);
    }
    assert.doesNotMatch(Deno.readTextFileSync("/proc/modules"), /^(xfrm_user|esp4|algif_aead) /m);
    return Promise.resolve();
  },
  "interfaces have the names of the contract": async (world) => {
    const host = (await links(world.host(1).netns)).map((link) => link.ifname);
    assert.ok(host.includes("meshnet") && host.includes("vxlan-6784"), host.join(" "));
    assert.equal(host.filter((name) => name.startsWith("vmn")).length, 1, host.join(" "));
    const inside = (await links(world.container(1).netns)).map((link) => link.ifname);
    assert.deepEqual(inside.toSorted(), ["ethmesh", "lo"]);
  },
  "an address that somebody uses already is given to nobody, and everybody is told who": usedAddresses,
  "IPv6 link-local works without any set-up": linkLocalWorks,
  "no container reaches a host through the switch": assertClosed,
  "each container reaches the name server of its own host, and asks nobody for it": nameServersReached,
  "exposed hosts and containers reach each other, and nobody reaches a hidden one": exposedHosts,
  "the largest packet passes, and one byte more does not leave the container": async (world) => {
    const [one, two] = [world.container(1), world.container(2)];
    const mtu = (await links(one.netns)).find((link) => link.ifname === "ethmesh")!.mtu;
    const { datapath, connections } = await world.host(1).status();
    assert.equal(mtu, datapath.mtu);
    note(`MTU ${mtu}, of the connection ${connections[0]?.mtu}`);
    await one.mustPing(two.address, "-M", "do", "-s", String(mtu - 28), "-c", "3", "-i", "0.1", "-W", "3");
    assert.equal(
      (await one.ping(two.address, "-M", "do", "-s", String(mtu - 27), "-c", "1", "-W", "1")).received,
      0,
    );
    // Larger ones leave in fragments.
    await one.mustPing(two.address, "-s", "8000", "-c", "3", "-i", "0.1", "-W", "3");
  },
  "TCP passes": async (world) => {
    const rate = await world.container(1).iperf(world.container(2), 3);
    note(`TCP ${(rate / 1e9).toFixed(2)} Gbit/s`);
    assert.ok(rate > 20e6, `only ${(rate / 1e6).toFixed(0)} Mbit/s`);
  },
  "ovs-dpctl run by the administrator disturbs nothing": async (world) => {
    const [one, two] = [world.container(1), world.container(2)];
    const running = one.mustPing(two.address, "-c", "40", "-i", "0.05", "-W", "3");
    running.catch(() => {}); // it is told of below
    for (let i = 0; i < 5; i++) {
      for (const host of world.hosts) await exec(["ovs-dpctl", "show"], { netns: host.netns });
      for (const host of world.hosts) await exec(["ovs-dpctl", "dump-flows", "-m"], { netns: host.netns });
    }
    await running;
    // New flows: all old ones go, and a container nobody has talked to appears.
    for (const host of world.hosts) await exec(["ovs-dpctl", "del-flows", "meshnet"], { netns: host.netns });
    await one.mustPing(two.address, "-c", "5", "-i", "0.1", "-W", "3");
    const [fresh] = await world.addContainers(1);
    await world.host(2).attach(fresh!, "10.2.1.77/24");
    await one.mustPing("10.2.1.77", "-c", "3", "-i", "0.1", "-W", "3");
  },
  "an idle daemon sleeps": async (world) => {
    const pids = world.hosts.map((host) => host.daemon.pid);
    const before = pids.map(cpuSeconds);
    const asleep = pids.map(wakeUps);
    await pause(10_000);
    const used = pids.map((pid, i) => cpuSeconds(pid) - before[i]!);
    const woken = pids.map((pid, i) => wakeUps(pid) - asleep[i]!);
    const memory = pids.map(residentMb);
    note(`${used.map((s) => s.toFixed(2)).join(" and ")} s of 10 s; RSS ${memory.join(" and ")} MB`);
    note(`woken ${woken.join(" and ")} times`);
    // This kernel takes for the process's own what others take of the processors, so time says little here: how much an idle
    // daemon uses, ../host/bridge_test.ts bounds.
    assert.ok(Math.max(...woken) < 150, `woken ${woken} times in 10 s`);
  },
});
