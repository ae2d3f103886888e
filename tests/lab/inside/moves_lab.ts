/** A host that moves from each kind of switch to each other one at a restart, its containers attached.
 *
 *     c1 --+
 *          h1 (moves) ==== fabric ==== h2 (Open vSwitch) -- c2
 *     c3 --+
 */
import assert from "node:assert/strict";
import { type Container, parsePing } from "../common/container.ts";
import { loadOpenvswitch } from "../common/kernel_flows.ts";
import { links } from "../common/links.ts";
import { note } from "../common/notes.ts";
import { exec } from "../common/process.ts";
import { suite } from "../common/suite.ts";
import { type Host, World } from "../common/world.ts";

type Way = "ovs" | "ebpf" | "bridge";
/** Every direction once, and back where it began. */
const WAYS: readonly Way[] = ["ovs", "ebpf", "bridge", "ovs", "bridge", "ebpf", "ovs"];
const EXPOSED = "10.2.1.100";
const EVERY_MS = 50;
/** Loss that is always fine. A slow machine may take as long as the daemon's start, from its process to its first link: less
 * than a second on one with time for it. */
const LIMIT_MS = 1_000;

export default suite({
  name: "moves",
  open: () => World.create({ hosts: 2, containers: 3 }),
  prepare: async (world) => {
    await loadOpenvswitch();
    await world.host(2).up();
    await start(world, "ovs");
    for (const n of [1, 2, 3]) await world.host(n === 2 ? 2 : 1).attach(world.container(n), `10.2.1.${n}/24`);
    await world.host(1).run("expose", `${EXPOSED}/24`);
    await answers(world);
  },
}, {
  ...Object.fromEntries(
    WAYS.slice(1).map((to, i) => {
      const from = WAYS[i]!;
      return [`from ${from} to ${to}, containers attached`, (world: World) => move(world, from, to)];
    }),
  ),
  "a move that died in the middle is completed by the next start": async (world) => {
    const host = world.host(1);
    await host.run("down");
    await host.daemon.ended();
    // As it is between the two switches: the old one has gone, and nothing passes the ports.
    await exec(["ovs-dpctl", "del-dp", "meshnet"], { netns: host.netns });
    await start(world, "bridge");
    await answers(world);
    await move(world, "bridge", "ovs");
  },
  "reset leaves nothing of any of them": async (world) => {
    await world.host(1).run("reset");
    assert.deepEqual((await links(world.host(1).netns)).map(({ ifname }) => ifname).toSorted(), [
      "eth0",
      "lo",
    ]);
  },
});

async function start(world: World, way: Way): Promise<void> {
  await world.host(1).up("--datapath", way, "--firewall", "off", "--peers", world.host(2).address);
  await world.host(1).established();
}

async function restart(world: World, to: Way): Promise<number> {
  await world.host(1).run("down");
  await world.host(1).daemon.ended();
  const begun = performance.now();
  await start(world, to);
  return performance.now() - begun;
}

async function move(world: World, from: Way, to: Way): Promise<void> {
  const host = world.host(1);
  const [one, two, three] = [world.container(1), world.container(2), world.container(3)];
  if ((await host.status()).datapath.kind !== from) await restart(world, from);
  await answers(world);
  const here = lossOf(one, three);
  const there = lossOf(one, two);
  const startMs = await restart(world, to);
  await answers(world);
  const [local, remote] = [await here.end(), await there.end()];
  note(
    `${local} ms lost on this host, ${remote} ms to the other; the start took ${startMs.toFixed(0)} ms`,
  );
  const limit = Math.max(LIMIT_MS, startMs);
  assert.ok(local <= limit, `on this host: ${local} ms`);
  // A bridge carries nothing to other hosts while no daemon runs.
  if (from !== "bridge") assert.ok(remote <= limit, `to the other host: ${remote} ms`);
  assert.equal((await host.fine()).datapath.kind, to);
  await nothingLeft(host, to);
}

/** Pings until it is ended; then tells for how long there was no answer, all in all. */
function lossOf(from: Container, to: Container): { end(): Promise<number> } {
  const ping = from.background("ping", "-n", "-i", String(EVERY_MS / 1000), to.address);
  return {
    async end() {
      ping.kill("SIGINT");
      await ping.ended();
      const { received, sent } = parsePing(ping.output());
      return (sent - received) * EVERY_MS;
    },
  };
}

/** Everybody reaches everybody, and the host that is exposed. */
async function answers(world: World): Promise<void> {
  const [one, two, three] = [world.container(1), world.container(2), world.container(3)];
  for (
    const [from, to] of [[one, two.address], [two, one.address], [one, three.address], [
      three,
      EXPOSED,
    ]] as const
  ) {
    await from.reaches(to);
  }
}

async function nothingLeft(host: Host, way: Way): Promise<void> {
  const present = await links(host.netns);
  const names = present.map(({ ifname }) => ifname);
  const expected = ["eth0", "lo", "mesh-dns", "mesh-tap", "meshnet"];
  const others = names.filter((name) => !name.startsWith("vmn") && name !== "vxlan-6784").toSorted();
  assert.deepEqual(others.filter((name) => !expected.includes(name) && name !== "ovs-system"), []);
  assert.equal(names.includes("vxlan-6784"), way !== "bridge", names.join());
  for (const name of names.filter((one) => one.startsWith("vmn"))) {
    const filters = await exec(["tc", "filter", "show", "dev", name, "ingress"], { netns: host.netns });
    assert.equal(filters.includes("meshnet"), way === "ebpf", `${name}: ${filters}`);
    const shown = await exec(["ip", "-d", "link", "show", name], { netns: host.netns });
    assert.doesNotMatch(shown, /xdp/, "it is still shut");
  }
}
