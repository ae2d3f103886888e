/** Three hosts in a line, each end with a way of its own of moving frames: the middle relays between them. */
import assert from "node:assert/strict";
import { sendFrames as sendOnce } from "../../../ffi/packet_socket.ts";
import type { Mac } from "../../../mod/core/addr.ts";
import { hosts, line } from "../common/arrangements.ts";
import { Capture, type Container } from "../common/container.ts";
import { note } from "../common/notes.ts";
import { frameBetween, PacedFrames } from "../common/paced_frames.ts";
import { exec, ip, until } from "../common/process.ts";
import { type Suite, suite } from "../common/suite.ts";
import { transfer } from "../common/transfer.ts";
import type { World } from "../common/world.ts";

/** How a host moves frames. */
type Way = "fast" | "ebpf" | "slow" | "bridge";
const OPTIONS: Readonly<Record<Way, readonly string[]>> = {
  fast: [],
  ebpf: ["--datapath", "ebpf"],
  slow: ["--no-fastdp"],
  bridge: ["--datapath", "bridge"],
};
/** Those that have tunnels of the kernel. */
const FAST: readonly Way[] = ["fast", "ebpf"];
const ETHERTYPE = [0x88, 0xb5];
/** New conversations at once: so few that a busy machine decides them before a link would be missed. */
const BATCH = 32;

function mixed(
  ways: readonly [Way, Way, Way],
  more: Readonly<Record<string, (world: World) => Promise<void>>> = {},
): Suite {
  return suite({
    name: `line of ${ways.join(", ")}`,
    open: () => hosts(3),
    prepare: async (world) => {
      ways.forEach((way, i) => world.host(i + 1).upOptions = OPTIONS[way]);
      await line(world);
    },
  }, {
    "everybody reaches everybody, broadcasts once": async (world) => {
      const { connections } = await world.host(2).status();
      const expected = [ways[0], ways[2]].map((way) =>
        FAST.includes(way) && FAST.includes(ways[1]) ? "fastdp" : "sleeve"
      );
      await until("the overlays are as expected", async () => {
        const status = await world.host(2).status();
        const overlays = status.connections.map((c) => c.overlay);
        return overlays.toSorted().join() === expected.toSorted().join();
      });
      note(connections.map((c) => `${c.nickname} ${c.overlay}`).join(", "));
      for (const [from, to] of [[1, 3], [3, 1], [1, 2], [3, 2], [2, 1]] as const) {
        await reaches(world.container(from), world.container(to).address);
      }
      await once(world);
      await world.container(1).mustArping(world.container(3).address);
      for (const size of [1500, 30_000]) {
        await reaches(world.container(1), world.container(3).address, "-s", String(size));
      }
      const { bytes, gbitPerSecond } = await transfer(world.container(1), world.container(3), {
        megabytes: 4,
      });
      note(`${bytes} bytes through the middle, unchanged, at ${(gbitPerSecond * 1000).toFixed(0)} Mbit/s`);
    },
    ...more,
  });
}

/** What happens to a host of a line in the middle of its life. */
const LIFE = {
  "each daemon is killed and comes back: everybody reaches everybody again": async (world: World) => {
    for (const [i, host] of world.hosts.entries()) {
      host.daemon.kill("SIGKILL");
      await host.daemon.ended();
      await host.up("--no-discovery", ...i === 0 ? [] : ["--peers", world.host(i).address]);
      await host.established(i === 1 ? 2 : 1);
      note(`${host.netns}: back ${await backThere(world)} ms after its links`);
    }
    await once(world);
  },
  "what others remove in the middle is back, and traffic with it": async (world: World) => {
    const { daemon: { pid }, netns } = world.host(2);
    for (const what of ["link del vxlan-6784", "link del mesh-tap", "link set vxlan-6784 nomaster"]) {
      await ip([what], netns);
      note(`${what}: back after ${await backThere(world)} ms`);
    }
    await exec(["tc", "qdisc", "del", "dev", "vxlan-6784", "clsact"], { netns });
    note(`its hooks: back after ${await backThere(world)} ms`);
    assert.equal((await world.host(2).fine()).pid, pid);
  },
  "a container that begins conversations without end cuts nobody off": async (world: World) => {
    const [one, two, three] = [world.container(1), world.container(2), world.container(3)];
    await using flood = await PacedFrames.start(one, three);
    let [asking, sent] = [true, 0];
    const pinged = two.patientPing(three.address, "-c", "20", "-i", "0.2").finally(() => asking = false);
    pinged.catch(() => {}); // it is told of below
    while (asking) {
      await flood.send(Array.from({ length: BATCH }, () => {
        sent++;
        return frameBetween(0x02_00_5e_20_00_00 + sent as Mac, 0x02_00_5e_30_00_00 + sent as Mac);
      }));
    }
    const { answered, text } = await pinged;
    const lost = Array.from({ length: 20 }, (_, i) => i + 1).filter((number) => !answered.has(number));
    note(`${lost.length} of 20 not answered while ${sent} conversations began: ${lost}`);
    assert.ok(lost.length <= 2, text);
    await backThere(world);
    for (const host of world.hosts) {
      assert.ok((await host.status()).connections.every(({ state }) => state === "established"));
    }
  },
};

/** Milliseconds until both ends reach each other and the middle. */
async function backThere(world: World): Promise<number> {
  const begun = performance.now();
  for (const [from, to] of [[1, 3], [3, 1], [2, 1], [2, 3]] as const) {
    await world.container(from).reaches(world.container(to).address);
  }
  return Math.round(performance.now() - begun);
}

export default [
  mixed(["fast", "fast", "bridge"]),
  mixed(["bridge", "fast", "bridge"]),
  mixed(["fast", "bridge", "fast"]),
  mixed(["fast", "slow", "slow"]),
  mixed(["fast", "ebpf", "bridge"], LIFE),
  mixed(["ebpf", "fast", "ebpf"]),
  mixed(["ebpf", "ebpf", "fast"]),
];

/** Five requests are answered, once each. */
async function reaches(from: Container, to: string, ...options: readonly string[]): Promise<void> {
  await from.mustPing(to, "-c", "5", "-i", "0.1", "-W", "3", ...options);
}

/** A broadcast of each end reaches both other containers exactly once. */
async function once(world: World): Promise<void> {
  for (const n of [1, 3]) {
    const from = world.container(n);
    const others = world.containers.filter((container) => container !== from);
    await using stack = new AsyncDisposableStack();
    const captures: Capture[] = [];
    for (const { netns } of others) {
      captures.push(stack.use(await Capture.start(netns, "ethmesh", "ether proto 0x88b5")));
    }
    for (let i = 0; i < 5; i++) {
      const frame = new Uint8Array(60);
      frame.set([255, 255, 255, 255, 255, 255, 2, 0, 0x5e, 0x10, 0, n, ...ETHERTYPE, i]);
      sendOnce(`/run/netns/${from.netns}`, "ethmesh", [frame]);
    }
    await until("all arrived", () => captures.every((capture) => capture.packets.length >= 5));
    // Behind them: a copy would be there by now.
    await reaches(from, others.at(-1)!.address);
    for (const capture of captures) assert.equal((await capture.stop()).length, 5);
  }
}
