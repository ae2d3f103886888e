/** Hosts that reach each other over IPv6 alone. */
import assert from "node:assert/strict";
import type { CheckReport } from "../../../mod/control/doctor_types.ts";
import { mesh } from "../common/arrangements.ts";
import { firstPackets, resetAll, startWithPasswords } from "../common/everyday.ts";
import { note } from "../common/notes.ts";
import { exec, until } from "../common/process.ts";
import { type Scenario, suite } from "../common/suite.ts";
import type { Host, World } from "../common/world.ts";
import { backAfter, CARRIES, declareTests, hostWorld } from "./host_lab.ts";
import { narrow, singleDatagrams } from "./underlay.ts";

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
    const report = await until("the MTU is known", async () => {
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
    const { mtu } = (await world.host(1).status()).connections[0]!;
    // Outer header of 40 octets, UDP, and what names the frame.
    assert.ok(mtu! <= 1300 - 40 - 8 - 14 && mtu! > 1200, `${mtu}`);
    await narrow(world, 2, 1500);
  },
});

const inKernel = suite({
  name: "host kernel, IPv6 underlay with ebpf",
  open: () => hostWorld({ hosts: 2, containers: 2, ipv6: "all", upOptions: ["--datapath", "ebpf"] }),
  prepare: mesh,
}, {
  "the tunnel over IPv6 carries traffic": async (world) => {
    for (const host of world.hosts) {
      const [connection] = await until("the tunnel is used", async () => {
        const { connections } = await host.status();
        return connections[0]?.overlay === "fastdp" && connections;
      });
      assert.deepEqual([connection!.state, connection!.info], ["established", ""]);
    }
  },
  ...everyday,
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
      assert.equal((await check(one, "[fd50::3]")).good, true);
      await three.run("connect", "[fd50::1]");
      const { connections } = await three.status();
      assert.deepEqual(connections.map(({ address }) => address).sort(), [
        "[fd50::1]:6783",
        "[fd50::2]:6783",
      ]);
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

declareTests(bridged, inKernel, addresses);
