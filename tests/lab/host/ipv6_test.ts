/** Hosts that reach each other over IPv6 alone. */
import assert from "node:assert/strict";
import type { CheckReport } from "../../../mod/control/doctor_types.ts";
import { line, mesh } from "../common/arrangements.ts";
import { Capture } from "../common/container.ts";
import { firstPackets, resetAll, startWithPasswords } from "../common/everyday.ts";
import { packetTooBig } from "../common/icmp.ts";
import { note } from "../common/notes.ts";
import { exec, until } from "../common/process.ts";
import { type Scenario, suite } from "../common/suite.ts";
import { unnoticed } from "../common/unnoticed.ts";
import type { Host, World } from "../common/world.ts";
import { backAfter, CARRIES, declareTests, hostWorld } from "./host_lab.ts";
import { blockUdp, narrow, singleDatagrams, SLEEVE_PORT } from "./underlay.ts";

async function nft(host: Host, ...commands: readonly string[]): Promise<void> {
  await exec(["nft", "-f", "-"], { netns: host.netns, input: commands.join("\n") + "\n" });
}

async function check(host: Host, what: string): Promise<CheckReport> {
  return JSON.parse((await host.attempt("check", what, "--json")).stdout) as CheckReport;
}

/** What a mesh over IPv6 does on every datapath. */
const everyday: Readonly<Record<string, Scenario<World>>> = {
  "the first packet arrives, and all after it": (world) => firstPackets(world, 100, 0.01),
  "packets of all sizes and TCP pass": async (world) => {
    const [one, two] = [world.container(1), world.container(2)];
    for (const size of [18, 999, 1381, 1382, 1383, 1472, 8001, 65_507]) {
      await one.mustPing(two.address, "-s", String(size), "-c", "2", "-i", "0.01", "-W", "3");
    }
    const rates = [await one.iperf(two, 2, "-C", "cubic"), await one.iperf(two, 2, "-C", "cubic", "-R")];
    note(`TCP ${rates.map((rate) => (rate / 1e9).toFixed(2)).join(" and back ")} Gbit/s`);
    assert.ok(Math.min(...rates) > CARRIES, `${rates}`);
  },
  "status and check name the other host by its IPv6 address, and find no fault": async (world) => {
    const [one, two] = [world.host(1), world.host(2)];
    const [seen] = (await two.status()).connections;
    assert.equal(seen!.address, "[fd50::1]:6783");
    const report = await until("the MTU is known and good", async () => {
      const found = await check(two, one.address);
      return found.lines.find(({ what }) => what === "MTU")!.state === "good" && found;
    });
    assert.deepEqual([report.good, report.peer], [true, one.netns]);
    assert.match(await two.run("status", "connections"), /\[fd50::1\]:6783/);
    assert.match(await two.run("doctor"), /healthy/);
  },
};

const bridged = suite({
  name: "host kernel, IPv6 underlay",
  open: () => hostWorld({ hosts: 2, containers: 2, ipv6: "all", upOptions: ["--datapath", "bridge"] }),
  prepare: async (world) => {
    for (const host of world.hosts) await singleDatagrams(host);
    await mesh(world);
  },
}, {
  ...everyday,
  "a path that shrinks in silence is measured anew": async (world) => {
    const [one, two] = [world.container(1), world.container(2)];
    await narrow(world, 2, 1300);
    await backAfter(one, two.address, 20_000, "-M", "dont", "-s", "3000");
    // Outer header of 40 octets, UDP, and what names the frame. The search goes down in steps and up again.
    await until("the connection's MTU is what fits", async () => {
      const { mtu } = (await world.host(1).status()).connections[0]!;
      assert.ok(mtu! <= 1300 - 40 - 8 - 14, `${mtu}`);
      return mtu! > 1200;
    }, { ms: 60_000 });
    await narrow(world, 2, 1500);
  },
});

/** Waits until all connections use an overlay. */
async function overlays(world: World, overlay: string): Promise<void> {
  for (const host of world.hosts) {
    await until(`all connections of ${host.netns} use ${overlay}`, async () => {
      const { connections } = await host.status();
      return connections.length > 0 && connections.every((connection) => connection.overlay === overlay);
    }, { ms: 30_000 });
  }
}

/** What a host carried from and to the other one. */
async function carried(host: Host) {
  return (await host.status()).connections[0]!.traffic!;
}

const EBPF = ["--datapath", "ebpf"];

const inKernel = suite({
  name: "host kernel, IPv6 underlay with ebpf",
  open: () => hostWorld({ hosts: 2, containers: 2, ipv6: "all", upOptions: EBPF }),
  prepare: mesh,
}, {
  "the tunnel over IPv6 carries traffic, and user space none": async (world) => {
    await overlays(world, "fastdp");
    for (const host of world.hosts) assert.equal((await host.status()).connections[0]!.info, "");
    await using capture = await Capture.start(world.fabric, "p1", "udp port 6784 and greater 1300");
    const options = ["-s", "1300", "-c", "20", "-i", "0.05", "-W", "3"];
    const before = await Promise.all(world.hosts.map(carried));
    await world.container(1).mustPing(world.container(2).address, ...options);
    await until("the capture has them", () => capture.packets.length >= 40);
    await capture.stop();
    for (const [i, host] of world.hosts.entries()) {
      const { fastdp, sleeve } = await carried(host);
      assert.deepEqual(sleeve, before[i]!.sleeve);
      assert.ok(fastdp.sentPackets >= before[i]!.fastdp.sentPackets + 20, JSON.stringify(fastdp));
    }
  },
  ...everyday,
  "a restart of either daemon loses no packet": (world) =>
    unnoticed(world, async () => {
      for (const [i, host] of world.hosts.entries()) {
        host.daemon.kill(i === 0 ? "SIGKILL" : "SIGTERM");
        await host.daemon.ended();
        await host.up(...(i === 0 ? [] : ["--peers", world.host(1).address]));
      }
      await overlays(world, "fastdp");
    }),
  "the tunnel is blocked: user space carries on, and gives it back": async (world) => {
    const [one, two] = [world.container(1), world.container(2)];
    await using ping = one.background("ping", "-n", "-i", "0.1", two.address);
    const unblock = await blockUdp(world.host(2), 6784, undefined, "ip6");
    await overlays(world, "sleeve");
    await one.mustPing(two.address, "-c", "5", "-i", "0.1", "-W", "3");
    assert.match((await world.host(2).status()).connections[0]!.info, /no fastdp: .*VXLAN heartbeat/);
    await unblock();
    await overlays(world, "fastdp");
    await one.mustPing(two.address, "-c", "5", "-i", "0.1", "-W", "3");
    ping.kill("SIGINT");
    await ping.ended();
    note(/.* packet loss/.exec(ping.output())?.[0] ?? "no summary");
  },
});

/** Until when a host believes a stranger's word, in seconds; undefined: it believes none. */
async function believes(host: Host): Promise<number | undefined> {
  const route = await exec(["ip", "-6", "route", "get", "fd50::2"], { netns: host.netns });
  return /mtu 1280/.test(route) ? Number(/expires (\d+)sec/.exec(route)?.[1]) : undefined;
}

const stranger = suite({
  name: "host kernel, a stranger's word about a path over IPv6, with ebpf",
  open: () => hostWorld({ hosts: 2, containers: 2, ipv6: "all", upOptions: EBPF }),
  prepare: mesh,
}, {
  "user space carries what the kernel would drop, until the kernel forgets": async (world) => {
    const [one, two] = [world.container(1), world.container(2)];
    await overlays(world, "fastdp");
    const large = ["-M", "dont", "-s", "1350"];
    await one.mustPing(two.address, ...large, "-c", "3", "-i", "0.1", "-W", "3");
    const host = world.host(1);
    await until("the kernel believes it", async () => {
      await packetTooBig(world, 1, { other: "fd50::2", port: SLEEVE_PORT, mtu: 1280 });
      return await believes(host) !== undefined;
    });
    note(`large packets arrive again after ${await backAfter(one, two.address, 20_000, ...large)} ms`);
    await overlays(world, "sleeve");
    assert.match((await world.host(2).status()).connections[0]!.info, /path carries less than 1480 bytes/);
    // Heartbeats that are too large for it do not make it believe for longer.
    const before = (await believes(host))!;
    await one.mustPing(two.address, ...large, "-c", "25", "-i", "0.2", "-W", "3");
    const after = (await believes(host))!;
    assert.ok(after <= before - 4, `${before} s, then ${after} s`);
    await exec(["ip", "-6", "route", "flush", "cache"], { netns: host.netns });
    await overlays(world, "fastdp");
    await one.mustPing(two.address, ...large, "-c", "3", "-i", "0.1", "-W", "3");
  },
});

const relayed = suite({
  name: "host kernel, line over IPv4 and IPv6 with ebpf",
  open: () => hostWorld({ hosts: 3, containers: 3, ipv6: "but-first", upOptions: EBPF }),
  prepare: line,
}, {
  "the middle passes on from one to the other, in its kernel": async (world) => {
    await overlays(world, "fastdp");
    const [one, three] = [world.container(1), world.container(3)];
    for (const size of [18, 1000, 1382, 1500, 30_000]) {
      await one.mustPing(three.address, "-s", String(size), "-c", "3", "-i", "0.05", "-W", "3");
    }
    await three.mustPing(world.container(2).address, "-c", "3", "-i", "0.05", "-W", "3");
    await one.mustArping(three.address);
    const before = (await world.host(2).report()).details;
    const rates = [await one.iperf(three, 2, "-C", "cubic"), await one.iperf(three, 2, "-C", "cubic", "-R")];
    note(`TCP ${rates.map((rate) => (rate / 1e9).toFixed(2)).join(" and back ")} Gbit/s`);
    assert.ok(Math.min(...rates) > CARRIES, `${rates}`);
    assert.ok(before !== undefined);
  },
});

const sealed = suite({
  name: "host kernel, password over IPv6 with ebpf",
  open: () => hostWorld({ hosts: 2, containers: 2, ipv6: "all", upOptions: EBPF }),
}, {
  "a kernel without IPsec sends nothing in clear: user space seals it, and status says why": async (
    world,
  ) => {
    await using capture = await Capture.start(world.fabric, "p1", "ip6", "-A");
    await startWithPasswords(world, ["same secret", "same secret"]);
    const { connections } = await world.host(1).established();
    assert.deepEqual([connections[0]!.overlay, connections[0]!.encrypted], ["sleeve", true]);
    const info = await until("it is known", async () => {
      const [connection] = (await world.host(1).status()).connections;
      return /IPsec/.test(connection!.info) && connection!.info;
    });
    note(info);
    const mark = "meshnet in clear";
    const pattern = [...mark].map((letter) => letter.charCodeAt(0).toString(16)).join("");
    const options = ["-c", "10", "-i", "0.05", "-W", "3", "-s", "400"];
    await backAfter(world.container(1), world.container(2).address, 10_000);
    await world.container(1).mustPing(world.container(2).address, ...options, "-p", pattern);
    await until("the capture has them", () => capture.packets.length >= 20);
    await capture.stop();
    assert.equal(capture.program.output().split(mark).length, 1);
    assert.doesNotMatch(capture.program.output(), /\.6784: /);
    await resetAll(world);
  },
});

const addresses = suite({
  name: "host kernel, IPv6 addresses of hosts",
  open: () => hostWorld({ hosts: 3, containers: 3, ipv6: "all" }),
}, {
  "with brackets and without, with a port and without; the third host is found by what the others say":
    async (
      world,
    ) => {
      const [one, two, three] = world.hosts as [Host, Host, Host];
      await one.up();
      await two.up("--peers", "fd50::1", "--host", "fd50::2");
      await two.established();
      await three.up("--peers", "[fd50:0:0::2]:6783");
      await three.established(2);
      await until("check finds no fault", async () => (await check(one, "[fd50::3]")).good);
      await three.run("connect", "[fd50::1]");
      const { connections } = await three.status();
      // The first and the third host hear of each other at the same time: either may have dialled.
      const found = connections.map(({ address, outbound }) => outbound ? address : address.split("]")[0]);
      assert.ok(found.includes("[fd50::2]:6783"), found.join());
      assert.ok(found.includes("[fd50::1]:6783") || found.includes("[fd50::1"), found.join());
      assert.equal(found.length, 2);
      for (const host of world.hosts) await host.run("down");
      for (const host of world.hosts) await host.daemon.ended();
    },
  "a link-local address is refused, and the message says why": async (world) => {
    const { code, stderr } = await world.host(2).attempt("up", "--peers", "fe80::1%eth0");
    assert.equal(code, 2);
    assert.match(stderr, /fe80::1%eth0.*\n.*link-local address: give a global one/);
  },
  "this host's firewall counts for IPv6, and the command that it names opens it": async (world) => {
    const [one, two] = world.hosts as [Host, Host];
    await nft(
      one,
      "add table ip6 filter",
      "add chain ip6 filter input { type filter hook input priority 0; policy accept; }",
      "add rule ip6 filter input tcp dport 6783 drop",
      "add rule ip6 filter input udp dport 6783 drop",
    );
    await one.up();
    const [problem] = (await one.status()).problems;
    assert.match(problem!.message, /firewall drops what other hosts send to TCP 6783 and UDP 6783/);
    const commands = /: (nft .*)$/.exec(problem!.hint!)![1]!;
    assert.match(commands, /insert rule ip6 filter input tcp dport 6783 accept/);
    await nft(one, ...commands.split(" && ").map((command) => command.replace(/^nft /, "")));
    await two.up("--peers", one.address);
    await two.established();
    await nft(one, "delete table ip6 filter");
    for (const host of [one, two]) await host.run("down");
    for (const host of [one, two]) await host.daemon.ended();
  },
  "what is dropped on the way is named, with commands for IPv6": async (world) => {
    const [one, two] = world.hosts as [Host, Host];
    await nft(
      one,
      "add table inet filter",
      "add chain inet filter input { type filter hook input priority 0; }",
      "add rule inet filter input meta nfproto ipv6 tcp dport 6783 drop",
    );
    await one.up();
    await two.up();
    const { fix, state } = (await check(two, one.address)).lines.find(({ what }) => what === "TCP 6783")!;
    assert.equal(state, "bad");
    assert.equal(fix!.on, one.address);
    assert.match(fix!.nft!, /tcp dport 6783 accept/);
    assert.match(fix!.iptables!, /^ip6tables -I INPUT .*-p tcp --dport 6783 -j ACCEPT$/);
    await nft(one, fix!.nft!.replace(/^nft /, ""));
    await nft(one, "delete table inet filter");
    for (const host of [one, two]) await host.run("down");
    for (const host of [one, two]) await host.daemon.ended();
  },
  "trusted networks may be of IPv6: in clear, with a password": async (world) => {
    const trust = ["--trusted-subnets", "fd50::/64,192.0.2.0/24"];
    await startWithPasswords(world, ["secret", "secret", "secret"], trust, 2);
    const { connections } = await world.host(2).established(2);
    const sealed = Object.fromEntries(connections.map(({ encrypted, nickname }) => [nickname, encrypted]));
    assert.deepEqual(sealed, { [world.host(1).netns]: false, [world.host(3).netns]: true });
    await world.container(2).mustPing("10.2.1.3", "-c", "3", "-i", "0.1", "-W", "3");
    await resetAll(world);
  },
});

declareTests(bridged, inKernel, stranger, relayed, sealed, addresses);
