/** Whole meshes under faults: whatever happened, once it is over all peers agree. */
import assert from "node:assert/strict";
import { loadSealer } from "../../mod/sys/sealer.ts";
import { CALM, createWorld, ROUGH, ROUGH_OVERLAY, simulate, type World } from "./world.ts";

/** Longest time to agree again after the last fault, virtual milliseconds. Dead connections are found after 60 s of
 * silence and retry intervals grow up to 6 min, so a partition that lasted minutes heals in minutes. */
const HEALS = 15 * 60_000;
const SEEDS = [1, 2, 3, 4];

/** Waits until all agree, and that nothing is left that only seems to live: silence is noticed after 60 s. */
function settle(world: World, options: { readonly full: boolean } = { full: true }): void {
  world.settle(HEALS, options);
  world.run(70_000);
  world.settle(HEALS, options);
  world.agree();
}

function ring(nodes: number): (index: number) => readonly number[] {
  return (index) => [(index + 1) % nodes];
}

/** Lets `rounds` random mishaps happen, then waits until all is well. */
function mistreat(world: World, rounds: number): void {
  const { random, network, nodes, clock, trace } = world;
  for (let round = 0; round < rounds; round++) {
    world.run(random.below(20_000));
    const node = nodes[random.below(nodes.length)]!;
    switch (random.below(5)) {
      case 0: { // a process ends and comes back
        if (node.core === undefined) break;
        node.stop();
        clock.run(random.below(5_000));
        node.start();
        break;
      }
      case 1: { // a host vanishes and comes back
        if (node.core === undefined) break;
        node.stop(true);
        clock.run(random.below(90_000));
        node.start();
        break;
      }
      case 2: { // a connection breaks
        const end = [...network.ends][random.below([...network.ends].length || 1)];
        if (end !== undefined) network.reset(end);
        break;
      }
      case 3: { // a connection goes silent for a while
        const end = [...network.ends][random.below([...network.ends].length || 1)];
        if (end !== undefined) network.stall(end, random.below(90_000));
        break;
      }
      default: { // the network splits in two
        const cut = 1 + random.below(nodes.length - 1);
        const ips = nodes.map((each) => each.address.ip);
        trace.note(clock.now(), "*", `splits after n${cut - 1}`);
        network.partition([ips.slice(0, cut), ips.slice(cut)]);
        clock.run(random.below(120_000));
        network.heal();
        trace.note(clock.now(), "*", "heals");
      }
    }
  }
}

for (const nodes of [5, 9, 14, 20]) {
  Deno.test(`RouterCore: ${nodes} peers agree after restarts, resets, stalls and partitions`, () => {
    simulate(`${nodes} mistreated peers`, nodes > 10 ? SEEDS.slice(0, 2) : SEEDS, (seed) => {
      const world = createWorld({ seed, nodes, faults: ROUGH, overlay: { ...ROUGH_OVERLAY, fails: 0.005 } });
      world.startAll(ring(nodes));
      mistreat(world, 12);
      settle(world);
      return world;
    });
  });
}

Deno.test("RouterCore: a mesh without discovery keeps its shape, and relays", () => {
  simulate("line without discovery", SEEDS, (seed) => {
    const world = createWorld({ seed, nodes: 8, faults: ROUGH, overlay: ROUGH_OVERLAY, discovery: false });
    world.startAll((index) => index === 0 ? [] : [index - 1]);
    mistreat(world, 6);
    settle(world, { full: false });
    for (const node of world.running) {
      const { length } = node.core!.topology.own.links;
      assert.equal(length, node.index === 0 || node.index === 7 ? 1 : 2, `${node.label} has ${length} links`);
    }
    return world;
  });
});

Deno.test("RouterCore: peers that all dial each other at the same moment connect without waiting", () => {
  simulate("simultaneous dials", SEEDS, (seed) => {
    const world = createWorld({ seed, nodes: 12, faults: CALM });
    world.startAll(() => Array.from({ length: 12 }, (_, i) => i));
    const took = world.settle(5_000);
    world.agree();
    assert.ok(took <= 2_000, `full mesh after ${took} ms`);
    return world;
  });
});

Deno.test("RouterCore: with a password and the real ciphers, peers agree under faults", async () => {
  const sealer = await loadSealer();
  simulate("encrypted", [1], (seed) => {
    const world = createWorld({ seed, nodes: 4, faults: ROUGH, sealer, password: "correct horse" });
    world.startAll(() => [0]);
    mistreat(world, 4);
    settle(world);
    return world;
  });
});
