import assert from "node:assert/strict";
import { SeededRandom } from "../../sim/random.ts";
import { Cluster, type Host } from "./cluster.ts";

const SEEDS = Deno.env.get("MESHNET_SIM") === "full" ? 300 : 8;

function addressOf(host: Host, id: number): string | undefined {
  const outcome = host.outcomes.get(id);
  return outcome?.kind === "address" ? `${outcome.cidr.ip}/${outcome.cidr.prefix}` : undefined;
}

Deno.test("hosts agree when the first address is wanted, and share the range", () => {
  const cluster = new Cluster({ seed: 1, hosts: 3, range: "10.32.0.0/22" });
  cluster.clock.run(60_000);
  assert.equal(cluster.hosts[0]!.allocator.status().state, "idle");
  const ids = cluster.hosts.map((host) => cluster.allocate(host, `c-${host.name}`));
  cluster.clock.run(10_000);
  const got = cluster.hosts.map((host, i) => addressOf(host, ids[i]!));
  assert.equal(new Set(got).size, 3);
  assert.ok(got.every((address) => address?.endsWith("/22")), `${got}`);
  cluster.clock.run(60_000);
  cluster.checkAgreed();
  assert.deepEqual(cluster.refusals, []);
});

/** Random life of a cluster: everything that may happen to hosts and networks, then peace. */
function live(seed: number, hosts: number, removals: boolean): void {
  const cluster = new Cluster({ seed, hosts, range: "10.32.0.0/26" });
  const chance = new SeededRandom(seed ^ 0x5bd1e995);
  const alive = () => cluster.hosts.filter(({ process }) => process !== undefined);
  cluster.allocate(cluster.hosts[0]!, "first");
  cluster.clock.run(20_000);
  cluster.troubles = { loss: 0.1, late: 0.1, crash: 0.01 };
  let number = 0;
  for (let round = 0; round < 120; round++) {
    const up = alive();
    if (up.length === 0) {
      cluster.hosts.find(({ lost }) => !lost)!.start();
      cluster.rewire();
      continue;
    }
    const host = chance.pick(up);
    const what = chance.below(20);
    if (what < 9) cluster.allocate(host, `c${number++}`);
    else if (what < 11) {
      const held = host.allocator.status().held;
      if (held.length > 0) {
        host.feed({ kind: "release", id: cluster.nextId(), ident: chance.pick(held).ident, ip: undefined });
      }
    } else if (what < 13) cluster.claim(host, `p${number++}`, `10.32.0.${chance.below(64)}/26`);
    else if (what < 14) {
      host.kill();
      cluster.rewire();
    } else if (what < 16) {
      for (const down of cluster.hosts.filter(({ process, lost }) => process === undefined && !lost)) {
        down.start();
      }
      cluster.rewire();
    } else if (what < 17) cluster.split(() => chance.below(2));
    else if (what < 19) cluster.heal();
    else if (removals && cluster.hosts.filter(({ lost }) => !lost).length > 2) {
      host.kill();
      host.lost = true;
      cluster.rewire();
      cluster.clock.run(500);
      for (const other of alive()) if (chance.chance(0.6)) cluster.remove(other, [host]);
    }
    cluster.clock.run(chance.pick([10, 200, 2_000, 12_000]));
  }
  cluster.troubles = { loss: 0, late: 0, crash: 0 };
  for (const down of cluster.hosts.filter(({ process, lost }) => process === undefined && !lost)) {
    down.start();
  }
  cluster.heal();
  cluster.clock.run(100);
  const lost = cluster.hosts.filter((each) => each.lost);
  if (lost.length > 0) { for (const host of alive()) cluster.remove(host, lost); }
  cluster.clock.run(300_000);
  assert.deepEqual(cluster.refusals, []);
  cluster.checkAgreed();
  for (const host of alive()) assert.deepEqual(host.allocator.status().takeovers, [], "take-overs are done");
}

for (const [hosts, removals] of [[5, false], [5, true], [12, true]] as const) {
  Deno.test(`no address has two owners: ${hosts} hosts, ${removals ? "some lost for good" : "all come back"}`, () => {
    const count = hosts > 5 ? Math.ceil(SEEDS / 4) : SEEDS;
    for (let seed = 1; seed <= count; seed++) {
      try {
        live(seed, hosts, removals);
      } catch (error) {
        throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error });
      }
    }
  });
}
