/** How soon hosts that start together are a full mesh, in virtual time. */
import assert from "node:assert/strict";
import { addressOf } from "./node.ts";
import { createWorld, simulate } from "./world.ts";

/** Machines and orchestrators start hosts together, never at the same instant, milliseconds. */
const SPREAD = 200;
const SEEDS = Array.from({ length: 5 }, (_, i) => i + 1);

/** The longest time from the start of the last host to the full mesh, over all seeds, milliseconds. */
function slowest(title: string, nodes: number, targetsOf: (index: number) => readonly number[]): number {
  const times: number[] = [];
  simulate(title, SEEDS, (seed) => {
    const world = createWorld({ seed, nodes });
    for (const node of world.nodes) {
      const targets = targetsOf(node.index).filter((i) => i !== node.index).map((i) => addressOf(i).ip);
      world.clock.after(world.random.below(SPREAD), () => node.start({ targets }));
    }
    world.run(SPREAD);
    times.push(world.settle(60_000));
    world.agree();
  });
  times.sort((a, b) => a - b);
  const [median, last] = [times[times.length >> 1]!, times.at(-1)!];
  console.log(`${title}: full mesh after ${median.toFixed(0)} ms, at most ${last.toFixed(0)} ms`);
  return last;
}

for (const [nodes, bar] of [[2, 1_000], [10, 2_000], [20, 5_000]] as const) {
  const all = Array.from({ length: nodes }, (_, i) => i);
  Deno.test(`RouterCore: ${nodes} hosts started within 200 ms are a full mesh soon, told of one host`, () => {
    assert.ok(slowest(`${nodes} hosts, each told of the first`, nodes, () => [0]) <= bar);
  });
  Deno.test(`RouterCore: ${nodes} hosts started within 200 ms are a full mesh soon, told of all`, () => {
    assert.ok(slowest(`${nodes} hosts, each told of all`, nodes, () => all) <= bar);
  });
}

Deno.test("RouterCore: hosts on a slow network that discover each other hardly ever dial at the same time", () => {
  let [ended, links] = [0, 0];
  simulate("20 hosts on a slow network", SEEDS, (seed) => {
    const world = createWorld({ seed, nodes: 20, faults: { delay: [50, 300], loss: 0, cut: 0 } });
    world.startAll(() => [0]);
    world.settle(60_000);
    world.agree();
    for (const node of world.running) ended += node.core!.snapshot(world.clock.now()).terminations;
    links += 20 * 19 / 2;
  });
  console.log(`${ended} ends of connections closed for ${links} links`);
  assert.ok(ended <= links / 10, `${ended}`);
});

/** Ethernet, IP and TCP with timestamps of a segment, and the acknowledgement it causes. */
const SEGMENT_OCTETS = 66 * 2;

Deno.test("RouterCore: an idle mesh costs each link the same few octets however many hosts it has", () => {
  for (const nodes of [2, 10, 20, 40]) {
    simulate(`${nodes} idle hosts`, [1], (seed) => {
      const world = createWorld({ seed, nodes });
      world.startAll(() => [0]);
      world.settle(10_000);
      world.run(40_000);
      const { network } = world;
      const [bytes, messages] = [network.bytes, network.messages];
      world.run(120_000);
      const links = nodes * (nodes - 1) / 2;
      const octets = network.bytes - bytes + SEGMENT_OCTETS * (network.messages - messages);
      const rate = octets / links / 120;
      console.log(`${nodes} idle hosts: ${rate.toFixed(1)} octets a second on each link, in both directions`);
      assert.ok(rate < 40, `${rate} octets a second`);
      world.agree();
    });
  }
});
