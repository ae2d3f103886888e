/** What a network between hosts can do to them. All of it happens at the fabric's ports, by the kernel. */
import { exec, ip } from "../common/process.ts";
import type { Host, World } from "../common/world.ts";

/** UDP port of the user-space links of a daemon with the usual port. */
export const SLEEVE_PORT = 6783;
/** Those of its links over whichever overlay, as nft writes them. */
export const UDP_PORTS = `{ ${SLEEVE_PORT}, ${SLEEVE_PORT + 1} }`;

/** Runs nft commands in a namespace. */
async function nft(netns: string, ...commands: readonly string[]): Promise<void> {
  await exec(["nft", "-f", "-"], { netns, input: commands.join("\n") + "\n" });
}

/** Drops UDP to one port or several that arrives at a host, from one address or from all, until the returned function is
 * called. `family`: which packets the rule sees. */
export async function blockUdp(
  host: Host,
  ports: number | string,
  from?: string,
  family: "inet" | "ip6" = "inet",
): Promise<() => Promise<void>> {
  const source = from === undefined ? "" : `${from.includes(":") ? "ip6" : "ip"} saddr ${from} `;
  await nft(
    host.netns,
    `add table ${family} block`,
    `add chain ${family} block in { type filter hook input priority 0; }`,
    `add rule ${family} block in ${source}udp dport ${ports} drop`,
  );
  return () => nft(host.netns, `delete table ${family} block`);
}

/** Drops UDP to some ports that arrives at a host, for so many seconds by the kernel's clock. */
export async function blockUdpFor(host: Host, ports: string, seconds: number): Promise<void> {
  const timed = ports.replaceAll(/[0-9]+/g, (port) => `${port} timeout ${seconds}s`);
  await nft(
    host.netns,
    "add table inet moment",
    "add set inet moment ports { type inet_service; flags timeout; }",
    "add chain inet moment in { type filter hook input priority 0; }",
    "add rule inet moment in udp dport @ports drop",
    `add element inet moment ports ${timed}`,
  );
}

/** Drops all UDP that arrives at a host but answers: what comes back from where the host has sent to. */
export async function onlyAnswers(host: Host): Promise<void> {
  await nft(
    host.netns,
    "add table inet stateful",
    "add chain inet stateful in { type filter hook input priority 0; }",
    "add rule inet stateful in ct state established,related accept",
    "add rule inet stateful in meta l4proto udp drop",
  );
}

/** Drops everything between two hosts, until the returned function is called. */
export async function cutOff(host: Host, other: Host): Promise<() => Promise<void>> {
  await nft(
    host.netns,
    "add table inet cut",
    "add chain inet cut in { type filter hook input priority 0; }",
    "add chain inet cut out { type filter hook output priority 0; }",
    `add rule inet cut in ip saddr ${other.address} drop`,
    `add rule inet cut out ip daddr ${other.address} drop`,
  );
  return () => nft(host.netns, "delete table inet cut");
}

/** What happens to some of the frames that come from a host. */
export interface Weather {
  /** Percent that get lost. */
  readonly lost?: number;
  /** Percent that arrive twice. */
  readonly doubled?: number;
  /** Percent that arrive later than those behind them. */
  readonly late?: number;
}

/** Makes UDP from host `from` to host `to` suffer, datagram by datagram. */
export async function spoil(
  world: World,
  { from, to, ...weather }: { readonly from: number; readonly to: number } & Weather,
): Promise<void> {
  const { fabric } = world;
  await singleDatagrams(world.host(from));
  // Late frames take a detour over a slow cable. What comes off it shall not teach the bridge where the host is.
  await ip([
    `link add late${from} type veth peer name slow${from}`,
    `link set slow${from} up`,
    `link set late${from} master br0 up`,
  ], fabric);
  await exec(["bridge", "link", "set", "dev", `late${from}`, "learning", "off"], { netns: fabric });
  const bucket = ["rate", "200mbit", "burst", "3000", "latency", "20ms"];
  await exec(["tc", "qdisc", "add", "dev", `slow${from}`, "root", "tbf", ...bucket], { netns: fabric });
  const some = (percent: number | undefined) =>
    `meta l4proto udp numgen random mod 1000 < ${(percent ?? 0) * 10}`;
  await nft(
    fabric,
    `add table netdev weather${from}`,
    `add chain netdev weather${from} in { type filter hook ingress device "p${from}" priority 0; }`,
    `add rule netdev weather${from} in ${some(weather.lost)} drop`,
    `add rule netdev weather${from} in ${some(weather.doubled)} dup to "p${to}"`,
    `add rule netdev weather${from} in ${some(weather.late)} fwd to "slow${from}"`,
  );
}

/** Datagrams of a host leave its cable one by one. Otherwise a veth pair passes up to 64 KiB of them as one packet,
 * which is subject to no MTU and to one fate. */
export async function singleDatagrams(host: Host): Promise<void> {
  await exec(["ethtool", "-K", "eth0", "tx-udp-segmentation", "off"], { netns: host.netns });
}

/** Changes the MTU of the cable to a host at the fabric's end alone: what is larger vanishes, both ways, unsaid. */
export async function narrow(world: World, n: number, mtu: number): Promise<void> {
  await ip([`link set p${n} mtu ${mtu}`], world.fabric);
}

/** Puts host n behind a router that hides it: it has 10.99.0.2, others see the router's 192.168.50.1NN. */
export async function hide(world: World, n: number): Promise<Nat> {
  const router = `${world.prefix}nat${n}`;
  const host = world.host(n);
  await ip([
    `netns add ${router}`,
    `link add out0 netns ${router} type veth peer name r${n} netns ${world.fabric}`,
  ]);
  await ip([`link set p${n} netns ${router}`, `link set r${n} master br0 up`], world.fabric);
  const outside = `192.168.50.${100 + n}`;
  await ip(
    [
      ...["link set lo up", "addr add 10.99.0.1/24 dev " + `p${n}`, `link set p${n} up`],
      ...[`addr add ${outside}/24 dev out0`, "link set out0 up"],
    ],
    router,
  );
  await ip(
    [`addr flush dev eth0`, "addr add 10.99.0.2/24 dev eth0", "route add default via 10.99.0.1"],
    host.netns,
  );
  await exec(["sysctl", "-qw", "net.ipv4.ip_forward=1"], { netns: router });
  const nat = new Nat(router, outside);
  await nat.masquerade("");
  return nat;
}

/** A router that hides a host. */
export class Nat {
  constructor(readonly netns: string, readonly outside: string) {}

  /** From now on new conversations get ports of this range (`:A-B`; empty: their own where possible). Old ones stay. */
  async masquerade(udpPorts: string): Promise<void> {
    const udp = udpPorts === ""
      ? []
      : [`add rule ip hide post oifname out0 meta l4proto udp masquerade to ${udpPorts}`];
    await nft(
      this.netns,
      "add table ip hide",
      "delete table ip hide",
      "add table ip hide",
      "add chain ip hide post { type nat hook postrouting priority 100; }",
      ...udp,
      "add rule ip hide post oifname out0 masquerade",
    );
  }
  /** Forgets who talks to whom, as after a restart. */
  async forget(): Promise<void> {
    // A masqueraded conversation ends with its interface.
    await ip(["link set out0 down", "link set out0 up"], this.netns);
  }
  /** How long it remembers silent UDP conversations. */
  async remember(seconds: number): Promise<void> {
    for (const name of ["nf_conntrack_udp_timeout", "nf_conntrack_udp_timeout_stream"]) {
      await exec(["sysctl", "-qw", `net.netfilter.${name}=${seconds}`], { netns: this.netns });
    }
  }
}
