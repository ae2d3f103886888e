/** Somebody removes or changes what the daemon's switch is made of: it is back at once, in the same process. */
import assert from "node:assert/strict";
import { mesh } from "../common/arrangements.ts";
import { assertClosed } from "../common/closed_leg.ts";
import { note } from "../common/notes.ts";
import { exec, ip, until } from "../common/process.ts";
import { suite } from "../common/suite.ts";
import { links } from "../common/links.ts";
import type { World } from "../common/world.ts";
import { backAfter, DATAPATHS, declareTests, hostWorld, withDatapath } from "./host_lab.ts";

/** Nobody waits for the look that is taken every minute; an idle machine takes less than a second. */
const LIMIT_MS = 10_000;

declareTests(...DATAPATHS.map((datapath) =>
  suite({
    name: `host kernel, meddling${withDatapath(datapath)}`,
    open: () => hostWorld({ hosts: 2, containers: 2, upOptions: ["--datapath", datapath] }),
    prepare: async (world) => {
      await mesh(world);
      await world.container(1).mustPing(world.container(2).address, "-c", "3", "-i", "0.05", "-W", "3");
    },
  }, {
    "the TAP is removed: it is made again": (world) => survives(world, "link del mesh-tap"),
    "the TAP is removed a second time": (world) => survives(world, "link del mesh-tap"),
    "the TAP is taken off its bridge": (world) => survives(world, "link set mesh-tap nomaster"),
    "the TAP is set down": (world) => survives(world, "link set mesh-tap down"),
    "the bridge is set down": (world) => survives(world, "link set meshnet down"),
    "the bridge is removed: it is made again, and its containers hang on it": (world) =>
      survives(world, "link del meshnet"),
    "a container's host end is taken off the bridge: it is back": async (world) => {
      await survives(world, `link set ${await hostEnd(world)} nomaster`);
    },
    "a container's host end is set down: it is up again": async (world) => {
      await survives(world, `link set ${await hostEnd(world)} down`);
    },
    "a container's host end is removed: its interface is made again": async (world) => {
      await survives(world, `link del ${await hostEnd(world)}`);
    },
    "a container's host end gets another MTU: it has the right one again": async (world) => {
      await survives(world, `link set ${await hostEnd(world)} mtu 68`);
    },
    "a container's host end is renamed and taken off: it has its name again": async (world) => {
      const name = await hostEnd(world);
      const { netns } = world.host(1);
      await ip([`link set ${name} down`, `link set ${name} name eth77`, "link set eth77 nomaster"], netns);
      note(`back after ${await backAfter(world.container(1), world.container(2).address, LIMIT_MS)} ms`);
      await until("all is in its place", () => isWhole(world), { ms: LIMIT_MS });
      assert.equal(await hostEnd(world), name);
    },
    "an address is removed inside a container: it is back": async (world) => {
      const { address, netns } = world.container(1);
      await ip([`addr del ${address}/24 dev ethmesh`], netns);
      note(`back after ${await backAfter(world.container(1), world.container(2).address, LIMIT_MS)} ms`);
    },
    "the host's own leg is opened: it is closed again": async (world) => {
      const { netns } = world.host(1);
      await exec(["ip", "link", "set", "dev", "meshnet", "xdpgeneric", "off"], { netns });
      await exec(["tc", "qdisc", "del", "dev", "meshnet", "root"], { netns });
      await until("it is closed", async () => {
        const [leg] = JSON.parse(await exec(["ip", "-j", "link", "show", "dev", "meshnet"], { netns }));
        return leg.qdisc === "blackhole" && leg.xdp !== undefined;
      }, { ms: LIMIT_MS });
      await assertClosed(world);
    },
    "somebody removes it over and over: the daemon goes on, and is quiet afterwards": async (world) => {
      const host = world.host(1);
      for (let i = 0; i < 20; i++) await ip(["link del mesh-tap"], host.netns).catch(() => {});
      await survives(world, "link del meshnet");
    },
  })
));

/** What `ip -j link` says of an interface that may be a port. */
interface SwitchLink {
  readonly ifname: string;
  readonly master?: string;
  readonly flags: readonly string[];
}

async function hostEnd(world: World): Promise<string> {
  return (await links(world.host(1).netns)).find(({ ifname }) => ifname.startsWith("vmn"))!.ifname;
}

/** Whether the switch is whole: its own interface is up, the TAP and the container hang on it and are up, too. */
async function isWhole(world: World): Promise<boolean> {
  const all: readonly SwitchLink[] = JSON.parse(
    await exec(["ip", "-j", "link"], { netns: world.host(1).netns }),
  );
  const up = all.filter(({ flags }) => flags.includes("UP"));
  const ports = up.filter(({ master }) => master === "meshnet").map(({ ifname }) => ifname);
  return up.some(({ ifname }) => ifname === "meshnet") && ports.includes("mesh-tap") &&
    ports.some((name) => name.startsWith("vmn"));
}

async function survives(world: World, meddling: string): Promise<void> {
  const host = world.host(1);
  const { pid } = host.daemon;
  await ip([meddling], host.netns);
  const started = performance.now();
  const ms = await backAfter(world.container(1), world.container(2).address, LIMIT_MS);
  // Tunnels carry the container's traffic without the TAP and its bridge.
  await until("all is in its place", () => isWhole(world), { ms: LIMIT_MS, everyMs: 10 });
  note(`${meddling}: back after ${ms} ms, whole after ${Math.round(performance.now() - started)} ms`);
  assert.equal((await host.status()).pid, pid, "the daemon was started again");
  await until("nothing is told any more", async () => {
    const { problems } = await host.status();
    if (problems.length > 0) throw new Error(JSON.stringify(problems));
    return true;
  }, { ms: LIMIT_MS });
  for (const name of ["meshnet", "mesh-tap"]) { // made again, they must be as silent as before
    assert.equal(await exec(["ip", "-6", "addr", "show", "dev", name], { netns: host.netns }), "", name);
  }
}
