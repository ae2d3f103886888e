import { createWorld, simulate } from "./world.ts";

Deno.test("RouterCore: five peers that know one of them form a full mesh", () => {
  simulate("five peers", [1, 2, 3], (seed) => {
    const world = createWorld({ seed, nodes: 5 });
    world.startAll(() => [0]);
    const took = world.settle(10_000);
    console.log(took);
    world.agree();
    return world;
  });
});
