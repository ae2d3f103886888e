import assert from "node:assert/strict";
import { SeededRandom } from "../../sim/random.ts";
import { CALM, Cluster, tellOf } from "./cluster.ts";

const SEEDS = Deno.env.get("MESHNET_SIM") === "full" ? 300 : 3;

Deno.test("a name is known everywhere as soon as messages arrive, and gone as soon", () => {
  const cluster = new Cluster({ seed: 1, hosts: 20 });
  cluster.clock.run(5_000);
  const [host] = cluster.hosts;
  host!.register("c1", "web.mesh.internal", 1);
  cluster.clock.run(25);
  cluster.checkTrue();
  host!.setHealth("c1", false);
  cluster.clock.run(25);
  cluster.checkTrue();
  host!.end("c1");
  cluster.clock.run(25);
  assert.deepEqual(cluster.truth(), []);
  cluster.checkTrue();
  assert.deepEqual(cluster.refusals, []);
});

/** Everything that may happen to containers, hosts and networks; then peace. */
function live(seed: number, others: number): Cluster {
  const cluster = new Cluster({ seed, hosts: 7, others });
  const chance = new SeededRandom(seed ^ 0x5bd1e995);
  cluster.clock.run(5_000);
  cluster.troubles = { loss: 0.15, twice: 0.15, late: 0.15 };
  let number = 0;
  for (let round = 0; round < 100; round++) {
    const up = cluster.hosts.filter(({ process }) => process !== undefined);
    if (up.length === 0) {
      cluster.hosts[0]!.start();
      cluster.rewire();
      continue;
    }
    const host = chance.pick(up);
    const containers = [...host.containers.keys()];
    const what = chance.below(24);
    if (what < 8) {
      const container = containers.length > 0 && chance.chance(0.3)
        ? chance.pick(containers)
        : `c${number++}`;
      host.register(container, `n${chance.below(9)}.mesh.internal`, chance.below(5));
    } else if (what < 12) {
      if (containers.length > 0) host.end(chance.pick(containers));
    } else if (what < 16) {
      if (containers.length > 0) host.setHealth(chance.pick(containers), chance.chance(0.5));
    } else if (what < 17) {
      host.kill();
      cluster.rewire();
    } else if (what < 19) {
      for (const down of cluster.hosts.filter(({ process }) => process === undefined)) down.start();
      cluster.rewire();
    } else if (what < 21) cluster.split(() => chance.below(3));
    else cluster.split(() => 0);
    cluster.clock.run(chance.pick([10, 200, 2_000, 12_000, 120_000]));
  }
  cluster.troubles = CALM;
  for (const down of cluster.hosts.filter(({ process }) => process === undefined)) down.start();
  cluster.split(() => 0);
  cluster.clock.run(300_000);
  return cluster;
}

for (const others of [0, 3]) {
  const which = others === 0 ? "hosts of our make" : "hosts of our make and others";
  Deno.test(`names come to the truth whatever happened before: ${which}`, () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const cluster = live(seed, others);
      try {
        cluster.checkTrue();
        assert.deepEqual(cluster.refusals, []);
        cluster.clock.run(3_700_000);
        cluster.checkTrue();
        for (const { directory } of cluster.hosts) {
          const { store } = directory;
          assert.equal(store.size, tellOf(directory).length, "tombstones are gone an hour later");
        }
      } catch (error) {
        throw new Error(`seed ${seed}: ${error}`, { cause: error });
      }
    }
  });
}

Deno.test("a host that restarts takes back what it no longer has, and its names of before return with it", () => {
  const cluster = new Cluster({ seed: 3, hosts: 3 });
  cluster.clock.run(5_000);
  const [host] = cluster.hosts;
  host!.register("old", "old.mesh.internal", 1);
  host!.register("web", "web.mesh.internal", 2);
  cluster.clock.run(1_000);
  host!.kill();
  host!.start(); // so quickly that nobody missed it
  host!.register("web", "web.mesh.internal", 2);
  cluster.rewire();
  cluster.clock.run(5_000);
  cluster.checkTrue();
});

Deno.test("what hosts cost each other when nothing happens does not grow with the names", () => {
  const idle = (names: number) => {
    const cluster = new Cluster({ seed: 5, hosts: 10 });
    for (const host of cluster.hosts) {
      for (let i = 0; i < names; i++) host.register(`c${i}`, `n${i}.mesh.internal`, i);
    }
    cluster.clock.run(120_000);
    cluster.checkTrue();
    cluster.octets = 0;
    cluster.clock.run(600_000);
    return cluster.octets / cluster.hosts.length / 600;
  };
  const [few, many] = [idle(1), idle(100)];
  assert.ok(many <= few * 1.1 && many < 10, `${few} and ${many} octets a second from each host`);
});
