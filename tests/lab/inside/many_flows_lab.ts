/** A thousand conversations at once: every pair of 32 machines behind one container and 32 behind another. */
import assert from "node:assert/strict";
import { sendFrames } from "../../../ffi/packet_socket.ts";
import type { Mac } from "../../../mod/core/addr.ts";
import { hosts, mesh } from "../common/arrangements.ts";
import { Capture } from "../common/container.ts";
import type { DatapathCounters } from "../common/kernel_flows.ts";
import { note } from "../common/notes.ts";
import { frameBetween, PacedFrames } from "../common/paced_frames.ts";
import { until } from "../common/process.ts";
import { suite } from "../common/suite.ts";
import type { Host, World } from "../common/world.ts";

const SIDE = 32;
const PAIRS = SIDE * SIDE;
/** New conversations at once. */
const BATCH = 64;
const EVERYBODY = 0xffff_ffff_ffff as Mac;

export default suite({ name: "many flows", open: () => hosts(2), prepare: mesh }, {
  "1,024 conversations in both directions are all carried, each by a flow of its own": async (world) => {
    // Both sides make their addresses known first, as machines do when they ask for each other's.
    for (const side of [1, 2]) await paced(world, side, announcements(side));
    for (const side of [1, 2]) {
      const receiver = world.container(3 - side);
      await using capture = await Capture.start(
        receiver.netns,
        "ethmesh",
        "ether proto 0x88b5 and not ether broadcast",
        ...["-s", "64"],
      );
      await paced(world, side, conversations(side));
      await until("every frame arrives", () => pairsOf(capture).size >= PAIRS, { ms: 15_000 }).catch(
        async (error) => {
          // Only now: a tool that looks at a datapath has its misses directed anew.
          const counters = await Promise.all(world.hosts.map((host) => host.counters()));
          const arrived = `${pairsOf(capture).size} of ${PAIRS} from side ${side}`;
          throw new Error(`${arrived}; ${JSON.stringify(counters)}; ${await told(capture)}`, {
            cause: error,
          });
        },
      );
      const packets = await capture.stop();
      assert.equal(pairsOf(capture).size, PAIRS);
      assert.equal(packets.length, PAIRS, "some frames came twice");
    }
    for (const host of world.hosts) {
      assert.doesNotMatch(host.daemon.output(), /send-failed/);
      const flows = (await host.flows()).filter((flow) => /eth\(src=02:00:5e/.test(flow.key));
      note(`${host.netns}: ${flows.length} flows`);
      assert.ok(flows.length >= 2 * PAIRS, `only ${flows.length} flows`);
    }
  },
  "while they last, their frames stay in the kernel": async (world) => {
    for (const frames of [announcements, conversations]) { // where this runs alone, nobody is known yet
      for (const side of [1, 2]) await paced(world, side, frames(side));
    }
    const before = await Promise.all(world.hosts.map(counted));
    for (const side of [1, 2]) {
      sendFrames(`/run/netns/${world.container(side).netns}`, "ethmesh", conversations(side));
    }
    const after = await Promise.all(world.hosts.map(counted));
    for (const i of [0, 1]) {
      // Each heartbeat is a miss, and how many come depends on how long a busy machine takes.
      const beats = after[i]!.beats - before[i]!.beats;
      const missed = after[i]!.missed - before[i]!.missed - beats;
      assert.ok(
        missed < PAIRS / 50,
        `${missed} of ${2 * PAIRS} frames were misses, besides ${beats} heartbeats`,
      );
      assert.ok(after[i]!.hit - before[i]!.hit >= 2 * PAIRS);
      assert.equal(after[i]!.lost, 0);
    }
  },
});

/** Sends frames of a side's machines. This is about every frame, the bench is about how many a second. */
async function paced(world: World, side: number, frames: readonly Uint8Array<ArrayBuffer>[]): Promise<void> {
  await using sender = await PacedFrames.start(world.container(side), world.container(3 - side));
  for (let at = 0; at < frames.length; at += BATCH) await sender.send(frames.slice(at, at + BATCH));
}

/** A frame to everybody from each machine of a side. */
function announcements(side: number): readonly Uint8Array<ArrayBuffer>[] {
  return machines(side).map((source) => frameBetween(source, EVERYBODY));
}

/** A frame from each machine of a side to each of the other. */
function conversations(side: number): readonly Uint8Array<ArrayBuffer>[] {
  return machines(side).flatMap((source) =>
    machines(3 - side).map((destination) => frameBetween(source, destination))
  );
}

function machines(side: number): readonly Mac[] {
  return Array.from({ length: SIDE }, (_, i) => 0x02_00_5e_00_00_00 + side * 256 + i as Mac);
}

/** The kernel's counters, and how many heartbeats came. */
async function counted(host: Host): Promise<DatapathCounters & { readonly beats: number }> {
  // A daemon whose threads a busy machine holds up says that it cannot tell now.
  const { details } = await until(`${host.netns} reports`, () => host.report());
  const [beats] = /(?<="heartbeatsReceived":)[0-9]+/.exec(JSON.stringify(details))!;
  return { ...await host.counters(), beats: Number(beats) };
}

/** What a capture itself has lost, in its own words. */
async function told(capture: Capture): Promise<string> {
  await capture.stop();
  return capture.program.output().trim().split("\n").slice(-3).join(", ");
}

/** The pairs of addresses that a capture has seen. */
function pairsOf(capture: Capture): ReadonlySet<string> {
  return new Set(capture.packets.map((line) => /([0-9a-f:]{17}) > ([0-9a-f:]{17})/.exec(line)?.[0] ?? line));
}
