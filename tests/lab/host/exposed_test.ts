/** What a host that joins the network itself needs of its firewall: forwarding, and its own address for what leaves.
 *
 *     container 10.2.1.1 -- meshnet 10.2.1.254, host, 192.0.2.1 -- 192.0.2.2 outside
 */
import assert from "node:assert/strict";
import { inNetns } from "../../../ffi/netns.ts";
import { interfaceIndex } from "../../../ffi/process.ts";
import { XtablesSocket } from "../../../ffi/xtables_socket.ts";
import { parseCidr } from "../../../mod/core/addr.ts";
import { openNetlinkIn } from "../../../mod/daemon/host/netlink.ts";
import { Firewall, type FirewallParts, removeOwnRules } from "../../../mod/firewall/firewall_shell.ts";
import { SystemClock } from "../../../mod/sys/clock.ts";
import { attempt, exec, ip } from "../common/process.ts";
import { suite } from "../common/suite.ts";
import type { World } from "../common/world.ts";
import { declareTests, hostWorld } from "./host_lab.ts";

const NETWORKS = [parseCidr("10.2.1.0/24")!, parseCidr("fd77::/64")!];
const EXPOSED = NETWORKS.map((network) => ({ network, masquerade: true }));
const OUTSIDE = ["192.0.2.2", "2001:db8::2"];

declareTests(suite({
  name: "host kernel, exposed network",
  open: () => hostWorld({ hosts: 1, containers: 2 }),
  prepare: async (world) => {
    const [host, inside, outside] = [world.host(1).netns, world.container(1).netns, world.container(2).netns];
    await ip([
      `link add meshnet netns ${host} type bridge`,
      `link add ethmesh netns ${inside} type veth peer name port netns ${host}`,
      `link add out netns ${outside} type veth peer name wan netns ${host}`,
    ]);
    await ip([
      "link set port master meshnet up",
      ...[
        "addr add 10.2.1.254/24 dev meshnet",
        "addr add fd77::254/64 dev meshnet nodad",
        "link set meshnet up",
      ],
      ...["addr add 192.0.2.1/24 dev wan", "addr add 2001:db8::1/64 dev wan nodad", "link set wan up"],
    ], host);
    await ip([
      ...["addr add 10.2.1.1/24 dev ethmesh", "addr add fd77::1/64 dev ethmesh nodad", "link set ethmesh up"],
      ...["route add default via 10.2.1.254", "route add ::/0 via fd77::254"],
    ], inside);
    await ip(
      ["addr add 192.0.2.2/24 dev out", "addr add 2001:db8::2/64 dev out nodad", "link set out up"],
      outside,
    );
    const settings = ["net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"];
    await exec(["sysctl", "-qw", ...settings], { netns: host });
    await forwarding(world, "nft", "DROP");
  },
}, {
  "nf_tables: what leaves has the host's address, and hiding takes all back": async (world) => {
    const parts = partsOf(world);
    const firewall = new Firewall(parts);
    assert.deepEqual(firewall.check().rules, []);
    await reaches(world, false);
    assert.deepEqual(firewall.expose(EXPOSED).problems, []);
    await reaches(world, true);
    const { netns } = world.host(1);
    await exec([
      "nft",
      "add table inet own; add chain inet own f { type filter hook forward priority 1; policy drop; }",
    ], {
      netns,
    });
    assert.equal(firewall.check().rules.length, 8);
    await reaches(world, true);
    const rules = await exec(["nft", "list", "ruleset"], { netns });
    assert.match(rules, /meshnet: traffic from fd77::\/64/);
    for (const program of ["iptables-nft-save", "ip6tables-nft-save"]) {
      assert.match(await exec([program], { netns }), /--comment "meshnet: traffic to .* -j ACCEPT/);
    }
    assert.equal(new Firewall(parts).expose(EXPOSED).rules.length, 8);
    assert.equal(withoutCounters(await exec(["nft", "list", "ruleset"], { netns })), withoutCounters(rules));
    assert.deepEqual([firewall.expose([]).rules, firewall.check().problems], [[], []]);
    await reaches(world, false);
    assert.doesNotMatch(await exec(["nft", "list", "ruleset"], { netns: world.host(1).netns }), /meshnet/);
  },
  "nf_tables: another program's flush is undone, and reset finds everything": async (world) => {
    const { netns } = world.host(1);
    const parts = partsOf(world);
    const firewall = new Firewall(parts);
    firewall.expose(EXPOSED);
    await exec(["nft", "flush ruleset"], { netns });
    await forwarding(world, "nft", "DROP");
    assert.equal(firewall.check().undone, 1);
    await reaches(world, true);
    assert.deepEqual(removeOwnRules(parts), { removed: 4 + 7, busy: false });
    assert.doesNotMatch(await exec(["nft", "list", "ruleset"], { netns }), /meshnet/);
    await exec(["nft", "flush ruleset"], { netns });
  },
  "x_tables alone: the same": async (world) => {
    await exec(["nft", "flush", "ruleset"], { netns: world.host(1).netns });
    await forwarding(world, "legacy", "DROP");
    const parts = partsOf(world, { nft: false });
    const firewall = new Firewall(parts);
    await reaches(world, false);
    const { problems, rules } = firewall.expose(EXPOSED);
    assert.deepEqual([problems, rules.length], [[], 4]);
    await reaches(world, true);
    const save = () =>
      exec(["iptables-legacy", "-t", "nat", "-S", "POSTROUTING"], { netns: world.host(1).netns });
    const before = await save();
    assert.match(before, /-s 10.2.1.0\/24 ! -d 10.2.1.0\/24 -m comment .* -j MASQUERADE\n/);
    new Firewall(parts).expose(EXPOSED);
    assert.equal(await save(), before);
    await exec(["iptables-legacy", "-t", "nat", "-F"], { netns: world.host(1).netns });
    firewall.check();
    assert.equal(await save(), before);
    assert.deepEqual(firewall.expose([]).rules, []);
    await reaches(world, false);
    assert.equal(await save(), "-P POSTROUTING ACCEPT\n");
  },
}));

/** Sets the policy for what a host forwards, with iptables-nft or iptables-legacy. */
async function forwarding(world: World, kind: "nft" | "legacy", policy: string): Promise<void> {
  for (const program of ["iptables", "ip6tables"]) {
    await exec([`${program}-${kind}`, "-P", "FORWARD", policy], { netns: world.host(1).netns });
  }
}

/** The container reaches the outside, which knows no way back to its address; or it does not. */
async function reaches(world: World, wanted: boolean): Promise<void> {
  for (const address of OUTSIDE) {
    const ping = ["ping", "-n", "-c", "1", "-W", wanted ? "5" : "0.3", address];
    const { code, stdout } = await attempt(ping, { netns: world.container(1).netns });
    assert.equal(code === 0, wanted, stdout);
  }
}

const withoutCounters = (text: string) => text.replace(/packets [0-9]+ bytes [0-9]+/g, "");

/** A firewall's parts within a host's namespace; without nf_tables its kernel has none. */
function partsOf(world: World, { nft = true } = {}): FirewallParts {
  const path = `/run/netns/${world.host(1).netns}`;
  const log = { warn: () => {}, info: () => {}, debug: () => {} };
  const names = (family: string) => {
    try {
      return Deno.readTextFileSync(`/proc/thread-self/net/${family}_tables_names`).split("\n").filter(
        Boolean,
      );
    } catch {
      return [];
    }
  };
  return {
    ...{ mode: "auto", leg: "meshnet", bridge: true, ports: [], families: [], log },
    indexOf: (name) => inNetns(path, () => interfaceIndex(name)),
    setting: () => "0",
    open: () => {
      if (!nft) throw new Error("no nf_tables");
      return openNetlinkIn({ protocol: "netfilter", netns: path });
    },
    legacy: {
      open: (family) => inNetns(path, () => new XtablesSocket(family)),
      names: (family) => inNetns(path, () => names(family)),
      lock: () => ({ [Symbol.dispose]() {} }),
    },
    clock: new SystemClock(),
    later: () => {},
  };
}
