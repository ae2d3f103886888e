import assert from "node:assert/strict";
import { Cluster, type Host } from "./cluster.ts";
import { storm, type StormOptions } from "./storm.ts";

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

const KINDS: readonly Omit<StormOptions, "seed">[] = [
  { hosts: 3, removals: false, oldDisks: false },
  { hosts: 5, removals: true, oldDisks: false },
  { hosts: 12, removals: true, oldDisks: false },
  { hosts: 5, removals: false, oldDisks: true },
  { hosts: 3, removals: false, oldDisks: true },
];

for (const kind of KINDS) {
  const { hosts, oldDisks, removals } = kind;
  const what = [removals ? "some lost for good" : "all come back", ...oldDisks ? ["with old disks"] : []];
  Deno.test(`no address has two owners: ${hosts} hosts, ${what.join(", ")}`, () => {
    const count = hosts > 5 ? Math.ceil(SEEDS / 8) : SEEDS;
    let steps = 0;
    for (let seed = 1; seed <= count; seed++) {
      try {
        steps += storm({ ...kind, seed });
      } catch (error) {
        throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error });
      }
    }
    if (SEEDS > 8) console.log(`${hosts} hosts, ${what.join(", ")}: ${steps} steps`);
  });
}
