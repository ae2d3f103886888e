/** Hosts whose own firewall sees the frames of containers: with each of the programs that write it. */
import assert from "node:assert/strict";
import { exec, until } from "../common/process.ts";
import { suite } from "../common/suite.ts";
import type { Host, World } from "../common/world.ts";
import { backAfter, BRIDGE, declareTests, hostWorld } from "./host_lab.ts";

/** What others undo is back after so long, with room for a busy machine. */
const REPAIR_MS = 10_000;
const OURS = "meshnet: traffic of containers";
const SETTINGS = ["iptables", "ip6tables"].map((name) => `net.bridge.bridge-nf-call-${name}=1`);

declareTests(suite({
  name: "host kernel, firewall",
  open: () => hostWorld({ ...BRIDGE, hosts: 2, containers: 3 }),
  prepare: async (world) => {
    for (const { netns } of world.hosts) await exec(["sysctl", "-qw", ...SETTINGS], { netns });
    await world.upAll();
    for (const n of [1, 2, 3]) {
      await world.host(n === 2 ? 2 : 1).attach(world.container(n), `10.2.1.${n}/24`, `fd77::${n}/64`);
    }
    await passes(world);
    for (const host of world.hosts) assert.deepEqual((await host.status()).firewall.rules, []);
  },
}, {
  "policies of iptables-nft, for IPv4 and IPv6": async (world) => {
    await everywhere(world, "iptables-nft -P FORWARD DROP", "ip6tables-nft -P FORWARD DROP");
    await passes(world);
    await stands(world, [4, 6].map((n) => `chain FORWARD of table ip${n === 6 ? "6" : ""} filter`));
    assert.match(
      await exec(["iptables-nft-save"], { netns: world.host(1).netns }),
      new RegExp(`-m comment --comment "${OURS}" -j ACCEPT`),
    );
  },
  "Docker's chains: the rule goes where Docker leaves it alone, and stays one over flushes and restarts":
    async (world) => {
      await everywhere(
        world,
        "nft flush ruleset",
        "iptables-nft -N DOCKER-USER",
        "iptables-nft -A DOCKER-USER -j RETURN",
        "iptables-nft -I FORWARD -j DOCKER-USER",
        "iptables-nft -P FORWARD DROP",
        "ip6tables-nft -P FORWARD DROP",
      );
      await stands(world, ["chain DOCKER-USER of table ip filter", "chain FORWARD of table ip6 filter"]);
      await passes(world);
      const host = world.host(1);
      await sh(host, "iptables-nft -F DOCKER-USER; iptables-nft -A DOCKER-USER -j RETURN");
      await backAfter(world.container(1), world.container(3).address, REPAIR_MS);
      const { firewall, problems } = await until("the repair is told", async () => {
        const status = await host.status();
        return status.firewall.undone > 0 ? status : undefined;
      });
      assert.ok(firewall.undoneAgoMs! < 2 * REPAIR_MS);
      assert.deepEqual(problems, []);
      host.daemon.kill("SIGKILL");
      await host.daemon.ended();
      await passes(world, { local: true });
      await host.up();
      assert.equal((await host.status()).firewall.rules.length, 2);
      const rules = await exec(["iptables-nft-save"], { netns: host.netns });
      assert.equal(rules.split(OURS).length - 1, 1, rules);
      await sh(host, "nft flush ruleset");
      await until("nothing is said where nothing drops", async () => {
        return (await host.status()).firewall.rules.length === 0;
      });
      await host.established();
      await passes(world);
      await everywhere(world, "nft flush ruleset");
    },
  "policies of iptables-legacy, and a flush of its rules": async (world) => {
    await everywhere(world, "iptables-legacy -P FORWARD DROP", "ip6tables-legacy -P FORWARD DROP");
    await stands(world, ["", "6"].map((six) => `chain FORWARD of table filter of ip${six}tables-legacy`));
    await passes(world);
    const host = world.host(1);
    await sh(host, "iptables-legacy -A FORWARD -s 192.0.2.1 -j DROP; iptables-legacy -D FORWARD 1");
    await backAfter(world.container(1), world.container(3).address, REPAIR_MS);
    assert.match(
      await exec(["iptables-legacy", "-S", "FORWARD"], { netns: host.netns }),
      /-s 192.0.2.1\/32 -j DROP\n.*ACCEPT/,
    );
    await everywhere(world, "iptables-legacy -P FORWARD ACCEPT", "ip6tables-legacy -P FORWARD ACCEPT");
    await stands(world, []);
    await everywhere(world, "iptables-legacy -F", "ip6tables-legacy -F");
  },
  "a table of nftables that rejects at its end, reloaded by its owner": async (world) => {
    const load = `nft -f - <<END
table inet own
delete table inet own
table inet own {
  chain forward {
    type filter hook forward priority filter + 10; policy accept;
    ct state vmap { established : accept, related : accept, invalid : drop }
    iifname "virbr0" accept
    reject
  }
}
END`;
    await everywhere(world, load);
    await stands(world, ["chain forward of table inet own"]);
    await passes(world);
    await sh(world.host(1), load);
    await backAfter(world.container(1), world.container(3).address, REPAIR_MS);
    await everywhere(world, "nft delete table inet own");
  },
  "a rule about meshnet itself is left alone and told of, with the command that removes it": async (
    world,
  ) => {
    const host = world.host(1);
    await sh(host, "nft 'add table ip own; add chain ip own f { type filter hook forward priority 0; }'");
    await sh(host, "nft add rule ip own f iifname meshnet drop");
    const [problem] = (await host.status()).problems;
    assert.match(problem!.message, /drops IPv4 traffic of containers by a rule about this very interface/);
    const { received } = await world.container(1).ping(world.container(3).address, "-c", "1", "-W", "0.5");
    assert.equal(received, 0);
    await sh(host, /remove it: (.*)$/.exec(problem!.hint!)![1]!);
    await world.container(1).mustPing(world.container(3).address, "-c", "1");
    assert.deepEqual((await host.status()).problems, []);
    await sh(host, "nft delete table ip own");
  },
  "the mesh's ports: what drops them is named, and the command opens them": async (world) => {
    const host = world.host(1);
    const opened: string[] = [];
    await sh(host, "iptables-nft -P INPUT DROP; iptables-legacy -A INPUT -p udp -j REJECT");
    await sh(
      host,
      "nft 'add table inet own; add chain inet own in { type filter hook input priority 0; policy drop; }'",
    );
    for (
      let problems = (await host.status()).problems;
      problems.length > 0;
      problems = (await host.status()).problems
    ) {
      assert.match(
        problems[0]!.message,
        /firewall drops what other hosts send to (TCP 6783 and )?UDP 6783: (chain|rule 1)/,
      );
      const hint = /Open the mesh's ports: (.*)$/.exec(problems[0]!.hint!)![1]!;
      opened.push(hint.split(" ")[0]!);
      await sh(host, hint);
      assert.ok(opened.length <= 3, opened.join());
    }
    assert.deepEqual(opened.sort(), ["iptables-legacy", "iptables-nft", "nft"]);
    await sh(host, "nft flush ruleset; iptables-legacy -F");
  },
  "--firewall report changes nothing, takes out what an earlier run put in, and its command works": async (
    world,
  ) => {
    const host = world.host(1);
    await sh(
      host,
      "nft 'add table inet f; add chain inet f guard { type filter hook forward priority 0; policy drop; }'",
    );
    await until("a rule is there", async () => (await host.status()).firewall.rules.length === 1);
    await host.run("down");
    await host.daemon.ended();
    await passes(world, { local: true });
    await host.up("--firewall", "report");
    const [one, three] = [world.container(1), world.container(3)];
    assert.equal((await one.ping(three.address, "-c", "1", "-W", "0.5")).received, 0);
    const { firewall, problems: [problem, ...others] } = await host.status();
    assert.deepEqual([firewall.mode, firewall.rules, others], ["report", [], []]);
    assert.match(problem!.message, /sees IPv4 and IPv6 traffic.*chain guard of table inet f/);
    await sh(host, /Let it through: (.*)$/.exec(problem!.hint!)![1]!);
    await one.mustPing(three.address, "-c", "2", "-i", "0.05");
    assert.deepEqual((await host.status()).problems, []);
    await sh(host, "nft delete table inet f");
  },
  "reset takes out every rule of meshnet's and none of others": async (world) => {
    const host = world.host(2);
    await sh(host, "iptables-nft -P FORWARD DROP; iptables-nft -A FORWARD -s 192.0.2.1 -j DROP");
    await sh(host, "ip6tables-legacy -P FORWARD DROP; ip6tables-legacy -A FORWARD -s 2001:db8::1 -j DROP");
    await until("two rules are there", async () => (await host.status()).firewall.rules.length === 2);
    assert.match(await host.run("reset"), /Removed rules in this host's firewall/);
    assert.equal(
      await exec(["iptables-nft", "-S", "FORWARD"], { netns: host.netns }),
      "-P FORWARD DROP\n-A FORWARD -s 192.0.2.1/32 -j DROP\n",
    );
    assert.equal(
      await exec(["ip6tables-legacy", "-S", "FORWARD"], { netns: host.netns }),
      "-P FORWARD DROP\n-A FORWARD -s 2001:db8::1/128 -j DROP\n",
    );
  },
}));

/** Runs a line of shell in a host. */
async function sh({ netns }: Host, line: string): Promise<void> {
  await exec(["sh", "-ec", line], { netns });
}

async function everywhere(world: World, ...lines: readonly string[]): Promise<void> {
  for (const host of world.hosts) for (const line of lines) await sh(host, line);
}

/** Waits until our rules stand in these chains of each host, and in no others. */
async function stands(world: World, chains: readonly string[]): Promise<void> {
  const wanted = chains.map((chain) => `${chain}: traffic of containers`);
  for (const host of world.hosts) {
    await until(`rules stand in ${chains.join(", ") || "no chain"}`, async () => {
      const { firewall, problems } = await host.status();
      return problems.length === 0 && firewall.rules.toSorted().join() === wanted.toSorted().join();
    });
  }
}

/** Containers of one host and of two reach each other, over IPv4 and IPv6. */
async function passes(world: World, { local = false } = {}): Promise<void> {
  const one = world.container(1);
  for (const other of local ? [3] : [3, 2]) {
    for (const address of world.container(other).addresses) {
      const options = address.includes(":") ? ["-6"] : [];
      await backAfter(one, address, REPAIR_MS, ...options);
      await one.mustPing(address, ...options, "-c", "3", "-i", "0.05");
    }
  }
}
