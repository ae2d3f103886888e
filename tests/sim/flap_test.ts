/** How soon hosts are connected again when the network between them returns, in virtual time. */
import assert from "node:assert/strict";
import { createWorld, simulate, type World } from "./world.ts";

const SEEDS = Array.from({ length: 4 }, (_, i) => i + 1);
const FLAPS = 60;

/** The network between one host and the others fails for 3 s; connections over it break meanwhile. */
function flap(world: World, index: number): void {
  const alone = world.nodes[index]!.address.ip;
  world.split([[alone], world.nodes.map((node) => node.address.ip).filter((ip) => ip !== alone)]);
  world.run(1_500);
  for (const end of [...world.network.ends]) if (end.local.ip === alone) world.network.reset(end);
  world.run(1_500);
  world.heal();
}

for (
  const [title, peersOf] of [
    ["one dials the other", (index: number) => index === 1 ? [0] : []],
    ["both dial", () => [0, 1]],
  ] as const
) {
  Deno.test(`RouterCore: a link that flaps is back within ten seconds, the sixtieth time too: ${title}`, () => {
    simulate(`flapping, ${title}`, SEEDS, (seed) => {
      const world = createWorld({ seed, nodes: 2 });
      world.startAll(peersOf);
      world.settle(5_000);
      for (let i = 0; i < FLAPS; i++) {
        flap(world, 1);
        world.settle(10_000);
        world.run(world.random.between(500, 4_000));
      }
      world.agree();
      const ended = world.nodes[0]!.core!.snapshot(world.clock.now()).terminations;
      assert.ok(ended <= 2 * FLAPS, `${ended} connections ended for ${FLAPS} flaps`);
    });
  });
}

Deno.test("RouterCore: a host whose link flaps is back in the full mesh within ten seconds, by discovered addresses", () => {
  simulate("flapping, discovered", SEEDS, (seed) => {
    const world = createWorld({ seed, nodes: 5 });
    world.startAll((index) => index === 0 ? [] : [0]);
    world.settle(10_000);
    for (let i = 0; i < FLAPS / 2; i++) {
      flap(world, 4);
      world.settle(10_000);
      world.run(world.random.between(500, 4_000));
    }
    world.agree();
  });
});

Deno.test("RouterCore: a host dials at once when its network returns after a long time", () => {
  simulate("network returns", SEEDS, (seed) => {
    const world = createWorld({ seed, nodes: 3 });
    world.startAll((index) => index === 0 ? [] : [0]);
    world.settle(5_000);
    const node = world.nodes[2]!;
    world.split([[node.address.ip], [world.nodes[0]!.address.ip, world.nodes[1]!.address.ip]]);
    world.run(world.random.between(600_000, 900_000));
    assert.equal(node.core!.topology.size, 1, "it is alone");
    world.heal();
    node.post({ kind: "network-changed", gone: [], come: [] });
    world.run(2_000);
    assert.ok(node.core!.topology.own.links.some((link) => link.established), "connected within two seconds");
    world.settle(5_000);
    world.agree();
  });
});
