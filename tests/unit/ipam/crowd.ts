/** Very many hosts that share one range: how long they take, and what that costs each of them. */
import assert from "node:assert/strict";
import { Cluster, type Host } from "./cluster.ts";

const RANGE = "10.32.0.0/12";
const SIZE = 2 ** 20;
/** Hosts that one exchanges everything with when it meets others: a mesh is sparse. */
const NEIGHBOURS = 3;
const LONGEST_MS = 600_000;
const AFTER_MS = 2_000;

/** What something cost. */
export interface CrowdCost {
  readonly what: string;
  /** Virtual time until all was done. */
  readonly ms: number;
  /** Messages for each host. */
  readonly messages: number;
  /** Octets that each host received. */
  readonly bytes: number;
}

/** So many hosts agree on shares; one of them needs something of everybody; they are cut in two halves and meet again. */
export function crowd(count: number): readonly CrowdCost[] {
  const cluster = new Cluster({ seed: 1, hosts: count, range: RANGE, neighbours: NEIGHBOURS });
  cluster.allowConflicts();
  const hosts = cluster.hosts as [Host, ...Host[]];
  cluster.clock.run(1_000);
  const costs: CrowdCost[] = [];
  const measure = (what: string, lookMs: number, done: () => boolean) => {
    const started = cluster.clock.now();
    while (!done()) {
      assert.ok(cluster.clock.now() - started < LONGEST_MS, `${count} hosts: ${what} takes too long`);
      cluster.clock.run(lookMs);
    }
    const ms = cluster.clock.now() - started;
    cluster.clock.run(AFTER_MS); // what is told later belongs to it
    costs.push({ what, ms, messages: cluster.messages / count, bytes: cluster.bytes / count });
  };
  const reset = () => void (cluster.messages = cluster.bytes = 0);

  reset();
  const first = cluster.allocate(hosts[0], "first");
  measure(
    "first agreement",
    50,
    () => hosts[0].outcomes.has(first) && hosts.every(({ allocator }) => allocator.hasRing),
  );

  cluster.clock.run(2_000);
  reset();
  const [needy] = hosts;
  const owners = hosts.slice(1).filter(({ allocator }) => allocator.ownedRanges().length > 0);
  const asked = owners.map(({ allocator, universe }, i) => {
    const { start } = allocator.ownedRanges()[0]!;
    const subnet = `${universe.ipAt(Math.ceil(start / 256) * 256)}/24`;
    return cluster.allocate(needy, `need${i}`, { subnet });
  });
  measure("one host needs of all", 10, () => asked.every((id) => needy.outcomes.has(id)));
  for (const id of asked) assert.equal(needy.outcomes.get(id)?.kind, "address");

  cluster.clock.run(4_000);
  cluster.split((index) => index % 2);
  cluster.clock.run(1_000);
  for (const half of [0, 1]) {
    const mine = hosts.filter((_, index) => index % 2 === half);
    const [asker, ...givers] = mine.filter(({ allocator }) => allocator.ownedRanges().length > 0) as [
      Host,
      ...Host[],
    ];
    for (const [i, giver] of givers.slice(0, 10).entries()) {
      const { start } = giver.allocator.ownedRanges().at(-1)!;
      cluster.allocate(asker, `apart${i}`, {
        subnet: `${giver.universe.ipAt(Math.ceil(start / 64) * 64)}/26`,
      });
    }
  }
  cluster.clock.run(4_000);
  reset();
  cluster.heal();
  const view = (host: Host) => host.allocator.ringPrint();
  measure("halves meet again", 1_000, () => {
    const one = view(hosts[0]);
    return hosts.every((host) => view(host) === one);
  });
  const owned = hosts.flatMap(({ allocator }) => allocator.ownedRanges()).reduce(
    (sum, { end, start }) => sum + end - start,
    0,
  );
  assert.equal(owned, SIZE, "each address has one owner");
  assert.deepEqual(cluster.refusals, []);
  return costs;
}

/** Throws when something costs each host more than in proportion to their number. */
export function checkLinear(few: readonly CrowdCost[], many: readonly CrowdCost[], factor: number): void {
  for (const [i, { bytes, messages, ms, what }] of many.entries()) {
    const before = few[i]!;
    const bound = factor * 1.5; // how many speak at the same moment is chance
    const limits = [
      ["ms", ms, bound * before.ms + 50],
      ["messages", messages, 1.5 * before.messages], // their number does not grow
      ["bytes", bytes, bound * before.bytes],
    ] as const;
    for (const [name, now, limit] of limits) {
      assert.ok(now <= limit, `${what}: ${now} ${name} for each host, at most ${limit} expected`);
    }
  }
}
