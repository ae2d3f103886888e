import assert from "node:assert/strict";
import { spreadNames } from "./names.ts";
import { createWorld, simulate, type World } from "./world.ts";

/** MESHNET_SIM: "quick" for a mesh that costs a tenth of the time, "full" for a large restart, too. */
const SIZE = Deno.env.get("MESHNET_SIM");
const PEERS = SIZE === "quick" ? 80 : 200;
/** Peers of the restart, which needs a whole mesh to begin with. */
const RESTARTED = SIZE === "full" ? PEERS : 60;

/** What one phase cost, for people. */
function figures(world: World, what: string, run: () => number): void {
  const { network, options: { nodes } } = world;
  const [messages, bytes, began] = [network.messages, network.bytes, performance.now()];
  const took = run();
  const heap = Deno.memoryUsage().heapUsed;
  console.log(
    `${nodes} peers, ${what}: settled after ${(took / 1000).toFixed(1)} s of virtual time, ` +
      `${network.messages - messages} writes, ${kib((network.bytes - bytes) / nodes)} sent by each peer, ` +
      `heap ${kib(heap)}, real time ${((performance.now() - began) / 1000).toFixed(1)} s`,
  );
}

function kib(bytes: number): string {
  return bytes < 2 ** 23 ? `${Math.round(bytes / 1024)} KiB` : `${Math.round(bytes / 2 ** 20)} MiB`;
}

Deno.test("RouterCore: many peers started together form a full mesh, and stay quiet in it", () => {
  simulate(`${PEERS} peers`, [1], (seed) => {
    const world = createWorld({ seed, nodes: PEERS });
    figures(world, "started together", () => {
      world.startAll(() => [0, 1, 2]);
      return world.settle(30_000);
    });
    world.agree(5);
    const before = world.network.bytes;
    world.run(60_000);
    const bits = (world.network.bytes - before) * 8 / 60 / PEERS;
    console.log(
      `${PEERS} peers, idle: ${(bits / 1000).toFixed(1)} kbit/s sent by each peer to all its neighbours`,
    );
    // Half of what the design allows for each neighbour; heartbeats alone are 0.2 kbit/s in sum.
    assert.ok(bits < 5_000 * (PEERS - 1), `${bits} bit/s`);
    assert.equal(world.trouble(true), undefined);
    const delays = spreadNames(world, 50);
    const p99 = delays[Math.floor(delays.length * 0.99)]!;
    console.log(
      `${PEERS} peers, a new name: p99 ${p99.toFixed(1)} ms, all after ${delays.at(-1)!.toFixed(1)} ms`,
    );
    assert.ok(p99 <= 2_000, `p99 is ${p99} ms`);
  });
});

Deno.test("RouterCore: a large mesh whose peers all restart within two seconds heals within 30 s", () => {
  simulate("mass restart", [2], (seed) => {
    const world = createWorld({ seed, nodes: RESTARTED });
    world.startAll(() => [0, 1, 2]);
    world.settle(30_000);
    figures(world, "all restarted", () => {
      for (const node of world.nodes) {
        world.clock.after(world.random.between(0, 2_000), () => {
          node.stop();
          world.clock.after(500, () => node.start());
        });
      }
      world.run(2_500);
      return 2_500 + world.settle(27_500);
    });
    world.agree(5);
  });
});
