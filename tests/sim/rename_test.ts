/** Machines of one name, as clones of one disk are: the new one takes another name by itself, in virtual time. */
import assert from "node:assert/strict";
import { addressOf } from "./node.ts";
import { createWorld, simulate, type World } from "./world.ts";

const SEEDS = Array.from({ length: 8 }, (_, i) => i + 1);

/** Names of nodes, which must all differ. */
function names(world: World): string[] {
  const all = world.nodes.map((node) => node.name);
  assert.equal(new Set(all).size, all.length, `${all}`);
  return all;
}

Deno.test("RouterCore: of two clones that meet at their first start one takes another name, and keeps it", () => {
  simulate("clones meet", SEEDS, (seed) => {
    const world = createWorld({ seed, nodes: 2, clone: true, canRename: true });
    const before = world.nodes[0]!.name;
    world.startAll((index) => index === 0 ? [] : [0]);
    world.settle(10_000);
    const after = names(world);
    assert.equal(after.filter((name) => name === before).length, 1, "one keeps it");
    world.run(120_000);
    assert.deepEqual(names(world), after);
    world.agree();
  });
});

Deno.test("RouterCore: two clones that dial each other at the same time end with one new name", () => {
  simulate("clones dial each other", SEEDS, (seed) => {
    const world = createWorld({ seed, nodes: 2, clone: true, canRename: true });
    const before = world.nodes[0]!.name;
    world.startAll(() => [0, 1]);
    world.settle(20_000);
    assert.equal(names(world).filter((name) => name === before).length, 1);
    world.agree();
  });
});

Deno.test("RouterCore: a clone that joins through a third host gives way to the one that is there", () => {
  simulate("clone joins", SEEDS, (seed) => {
    const world = createWorld({ seed, nodes: 4, clone: true, canRename: true });
    const targets = [addressOf(0).ip];
    for (const node of world.nodes.slice(0, 3)) node.start({ targets: node.index === 0 ? [] : targets });
    world.run(5_000);
    const kept = world.nodes[2]!.name;
    world.nodes[3]!.start({ targets });
    world.settle(90_000); // the one that is there must be heard first
    names(world);
    assert.equal(world.nodes[2]!.name, kept, "who was there first keeps its name");
    world.agree();
  });
});

Deno.test("RouterCore: a host that was in a mesh never changes its name, whoever says it has it", () => {
  simulate("settled", SEEDS, (seed) => {
    const world = createWorld({ seed, nodes: 3, canRename: true });
    world.startAll((index) => index === 0 ? [] : [0]);
    world.settle(5_000);
    const before = names(world);
    const stranger = world.nodes[2]!;
    stranger.stop();
    stranger.name = world.nodes[0]!.name;
    stranger.settled = true; // it says that it cannot give way
    stranger.start({ targets: [addressOf(0).ip, addressOf(1).ip] });
    world.run(60_000);
    assert.deepEqual(world.nodes.slice(0, 2).map((node) => node.name), before.slice(0, 2));
  });
});
