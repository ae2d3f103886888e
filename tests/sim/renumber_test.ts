/** A host gets another address: how soon the mesh is whole again, in virtual time. */
import assert from "node:assert/strict";
import type { Ip } from "../../mod/core/addr.ts";
import { PORT, type SimNode } from "./node.ts";
import { createWorld, simulate, type World } from "./world.ts";

const SEEDS = Array.from({ length: 12 }, (_, i) => i + 1);
const NEW = { ip: "10.9.9.9" as Ip, port: PORT };

/** A world of two settled hosts; the second has dialled the first. */
function pair(seed: number): World {
  const world = createWorld({ seed, nodes: 2 });
  world.startAll((index) => index === 1 ? [0] : []);
  world.settle(5_000);
  world.run(world.random.between(5_000, 25_000));
  return world;
}

/** Milliseconds until both are connected at the new address; fails after `limit`. */
function followed(world: World, moved: SimNode, limit: number): number {
  const other = world.nodes.find((node) => node !== moved)!;
  const start = world.clock.now();
  for (;;) {
    const { connections } = other.core!.snapshot(world.clock.now());
    const there = connections.some(({ address, state }) =>
      address.startsWith(`${NEW.ip}:`) && state === "established"
    );
    if (there && world.trouble(true) === undefined) return world.clock.now() - start;
    assert.ok(world.clock.now() - start < limit, `not followed after ${limit} ms: ${world.trouble(true)}`);
    world.run(100);
  }
}

for (const [title, index] of [["dialled", 0], ["dials", 1]] as const) {
  Deno.test(`RouterCore: a host that ${title} and gets another address dials back at once, and is followed`, () => {
    simulate(`renumbered, ${title}`, SEEDS, (seed) => {
      const world = pair(seed);
      const [moved, other] = [world.nodes[index]!, world.nodes[1 - index]!];
      moved.renumber(NEW, { heard: true });
      other.overlayMoved(moved.name, NEW.ip);
      const took = followed(world, moved, 10_000);
      assert.ok(took <= 3_000, `${took} ms`);
      world.run(120_000);
      world.agree();
      const ended = moved.core!.snapshot(world.clock.now()).terminations;
      assert.ok(ended <= 2, `${ended} connections ended`);
    });
  });

  Deno.test(`RouterCore: a host that ${title} and gets another address dials back, though nobody heard it move`, () => {
    simulate(`renumbered, ${title}, unseen`, SEEDS, (seed) => {
      const world = pair(seed);
      const moved = world.nodes[index]!;
      moved.renumber(NEW, { heard: true });
      followed(world, moved, 75_000);
      world.run(120_000);
      world.agree();
    });
  });

  Deno.test(`RouterCore: a host that ${title} and does not know that it has moved is dialled where it is heard`, () => {
    simulate(`renumbered, ${title}, unaware`, SEEDS, (seed) => {
      const world = pair(seed);
      const [moved, other] = [world.nodes[index]!, world.nodes[1 - index]!];
      moved.renumber(NEW, { heard: false });
      other.overlayMoved(moved.name, NEW.ip);
      followed(world, moved, 75_000);
      world.run(120_000);
      world.agree();
    });
  });
}

Deno.test("RouterCore: a host with two addresses is left in peace when its traffic comes from the other one", () => {
  simulate("two addresses", SEEDS, (seed) => {
    const world = pair(seed);
    const [one, two] = [world.nodes[0]!, world.nodes[1]!];
    one.overlayMoved(two.name, NEW.ip);
    world.run(300_000);
    assert.equal(one.core!.snapshot(world.clock.now()).terminations, 0);
    world.agree();
  });
});

Deno.test("RouterCore: an address that is back within a second costs no connection", () => {
  simulate("an interface set up anew", SEEDS, (seed) => {
    const world = pair(seed);
    const node = world.nodes[0]!;
    node.post({ kind: "network-changed", gone: [node.address.ip], come: [] });
    world.run(500);
    node.post({ kind: "network-changed", gone: [], come: [node.address.ip] });
    world.run(300_000);
    assert.equal(node.core!.snapshot(world.clock.now()).terminations, 0);
    world.agree();
  });
});
