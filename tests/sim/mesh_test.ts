import assert from "node:assert/strict";
import { loadSealer } from "../../mod/sys/sealer.ts";
import { createWorld, ROUGH, ROUGH_OVERLAY, simulate, type World } from "./world.ts";

const seeds = (count: number) => Array.from({ length: count }, (_, i) => i + 1);

Deno.test("RouterCore: peers that know one of them form a full mesh", () => {
  simulate("five peers", seeds(5), (seed) => {
    const world = createWorld({ seed, nodes: 5 });
    world.startAll(() => [0]);
    world.settle(5_000);
    world.agree();
  });
});

Deno.test("RouterCore: two hosts that dial each other at the same moment agree on one connection", () => {
  simulate("simultaneous dials", seeds(30), (seed) => {
    const world = createWorld({ seed, nodes: 2, faults: { delay: [0.2, 30], loss: 0, cut: 0.2 } });
    world.startAll(() => [0, 1]);
    world.settle(2_000);
    world.agree();
  });
});

Deno.test("RouterCore: twenty hosts started together are a full mesh within 5 s", () => {
  simulate("twenty hosts", seeds(3), (seed) => {
    const world = createWorld({ seed, nodes: 20 });
    world.startAll(() => [0, 1]);
    world.settle(5_000);
    world.agree();
  });
});

Deno.test("RouterCore: without discovery a chain stays a chain, and everybody knows everybody", () => {
  simulate("chain", seeds(3), (seed) => {
    const world = createWorld({ seed, nodes: 8, discovery: false });
    world.startAll((i) => i === 0 ? [] : [i - 1]);
    world.settle(10_000, { full: false });
    world.agree();
    assert.equal(world.nodes[3]!.core!.topology.own.links.length, 2);
  });
});

Deno.test("RouterCore: a link is called established when the data plane has been told, not before", () => {
  simulate("told", seeds(10), (seed) => {
    const world = createWorld({ seed, nodes: 3, discovery: false });
    world.startAll((i) => i === 0 ? [] : [i - 1]);
    let complete = false;
    for (let ms = 0; ms < 5_000; ms++) {
      world.run(1);
      const counts = world.nodes.map(({ core, view, name }) => {
        const { peers } = core!.snapshot(world.clock.now());
        const said = peers.flatMap((peer) =>
          peer.connections.filter((link) => link.established).map((link) => `${peer.name} ${link.peer}`)
        );
        const told = new Set<string>();
        const { names = [], edges = [] } = view ?? {};
        for (let i = 0; i < edges.length; i += 2) told.add(`${names[edges[i]!]} ${names[edges[i + 1]!]}`);
        for (const link of said) assert.ok(told.has(link), `${name} at ${ms} ms: ${link}`);
        return said.length;
      });
      complete ||= counts.every((count) => count === 4);
    }
    assert.ok(complete);
  });
});

Deno.test("RouterCore: five to twenty peers settle under loss, delay, resets, stalls, partition and restarts", () => {
  simulate("trouble", seeds(16), (seed) => {
    const nodes = 5 + (seed * 7) % 16;
    const world = createWorld({ seed, nodes, faults: ROUGH, overlay: ROUGH_OVERLAY });
    world.startAll((i) => [(i + 1) % nodes, world.random.below(nodes)]);
    for (let round = 0; round < 6; round++) {
      world.run(world.random.between(500, 40_000));
      trouble(world);
    }
    world.calm();
    for (const node of world.nodes) if (node.core === undefined) node.start();
    world.settle(600_000);
    world.agree();
  });
});

/** One misfortune, by chance. */
function trouble(world: World): void {
  const { random, network, nodes } = world;
  const node = random.pick(nodes);
  const ends = [...network.ends];
  switch (random.below(6)) {
    case 0: {
      const [some, others]: [string[], string[]] = [[], []];
      for (const each of nodes) (random.chance(0.5) ? some : others).push(each.address.ip);
      return world.split([some, others]);
    }
    case 1:
      return world.heal();
    case 2:
      if (node.core !== undefined) node.stop(random.chance(0.5));
      return;
    case 3:
      if (node.core !== undefined) node.stop(random.chance(0.5));
      return node.start();
    case 4:
      for (let i = 0; i < 5 && ends.length > 0; i++) network.reset(random.pick(ends));
      return;
    case 5:
      for (let i = 0; i < 5 && ends.length > 0; i++) {
        network.stall(random.pick(ends), random.between(100, 90_000));
      }
      return;
  }
}

Deno.test("RouterCore: a partition heals, and both halves had agreed meanwhile", () => {
  simulate("partition", seeds(6), (seed) => {
    const world = createWorld({ seed, nodes: 10 });
    world.startAll(() => [0, 5]);
    world.settle(10_000);
    const half = world.nodes.map((node) => node.address.ip);
    world.split([half.slice(0, 4), half.slice(4)]);
    world.run(70_000);
    for (const node of world.nodes) {
      const size = node.index < 4 ? 4 : 6;
      assert.equal(node.core!.topology.size, size, `${node.label} knows its half alone`);
    }
    world.heal();
    world.settle(400_000);
    world.agree();
  });
});

Deno.test("RouterCore: a host that vanished and comes back is taken in at once, its old connections notwithstanding", () => {
  simulate("power cut", seeds(6), (seed) => {
    const world = createWorld({ seed, nodes: 6 });
    world.startAll(() => [0]);
    world.settle(5_000);
    world.run(40_000);
    world.nodes[3]!.stop(true);
    world.run(20_000);
    world.nodes[3]!.start();
    const took = world.settle(30_000);
    assert.ok(took < 15_000, `took ${took} ms`);
    world.agree();
    assert.deepEqual(world.nodes.flatMap((node) => node.warnings), [], "nobody takes it for a clone");
  });
});

Deno.test("RouterCore: a restarted host is back within seconds", () => {
  simulate("restart", seeds(6), (seed) => {
    const world = createWorld({ seed, nodes: 8 });
    world.startAll(() => [0, 1]);
    world.settle(5_000);
    world.run(100_000);
    world.nodes[2]!.stop();
    world.run(300);
    world.nodes[2]!.start();
    const took = world.settle(30_000);
    assert.ok(took < 5_000, `took ${took} ms`);
    world.agree();
  });
});

Deno.test("RouterCore: two machines of one name are told apart and reported on both", () => {
  simulate("clones", seeds(5), (seed) => {
    const world = createWorld({ seed, nodes: 4, clone: true });
    world.startAll((i) => i === 0 ? [] : [0]);
    world.run(180_000);
    const clones = [world.nodes[2]!, world.nodes[3]!];
    assert.equal(clones[0]!.name, clones[1]!.name);
    const words =
      /another host announces the same peer name .* \(cloned machine\?\); give one of them another --name/;
    const told = world.nodes.filter((node) => node.warnings.some((text) => words.test(text)));
    assert.ok(told.length > 0, "somebody says it");
    // The others keep one of the two for good instead of going back and forth.
    const before = world.nodes[0]!.core!.snapshot(world.clock.now()).terminations;
    world.run(120_000);
    const kept = world.nodes[0]!.core!.snapshot(world.clock.now());
    assert.ok(kept.connections.some((each) => each.peer === clones[0]!.name && each.state === "established"));
    assert.ok(
      kept.terminations - before < 10,
      `${kept.terminations - before} connections ended in two minutes`,
    );
  });
});

Deno.test("RouterCore: the connection limit holds", () => {
  simulate("limit", seeds(4), (seed) => {
    const world = createWorld({ seed, nodes: 12, connLimit: 4 });
    world.startAll((i) => [(i + 1) % 12]);
    world.run(120_000);
    for (const node of world.nodes) {
      assert.ok(node.core!.topology.own.links.length <= 4, `${node.label} has too many connections`);
      assert.equal(node.core!.topology.size, 12, `${node.label} knows all`);
    }
  });
});

Deno.test("RouterCore: the same seed gives the same run", () => {
  const run = () => {
    const world = createWorld({ seed: 7, nodes: 6, faults: ROUGH, overlay: ROUGH_OVERLAY });
    world.startAll(() => [0]);
    world.run(60_000);
    return [world.clock.events, world.network.messages, world.network.bytes, world.trace.diagram()];
  };
  assert.deepEqual(run(), run());
});

Deno.test("RouterCore: a mesh with a password, its real ciphers and a rough network", async () => {
  const sealer = await loadSealer();
  simulate("password", seeds(2), (seed) => {
    const password = "correct horse battery staple";
    const world = createWorld({ seed, nodes: 5, sealer, password, faults: ROUGH, overlay: ROUGH_OVERLAY });
    world.startAll(() => [0]);
    world.run(20_000);
    world.calm();
    world.settle(120_000);
    world.agree();
    const { connections } = world.nodes[1]!.core!.snapshot(world.clock.now());
    assert.deepEqual(connections.map((each) => each.encrypted), [true, true, true, true]);
  });
});
