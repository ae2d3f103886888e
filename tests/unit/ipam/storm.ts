/** The life of a cluster with everything that may happen to hosts and networks, at random from a seed; then peace. */
import assert from "node:assert/strict";
import { SeededRandom } from "../../sim/random.ts";
import { CALM, Cluster, type Host } from "./cluster.ts";

/** How such a life is. */
export interface StormOptions {
  readonly seed: number;
  readonly hosts: number;
  /** Whether hosts are lost for good, and removed by others. */
  readonly removals: boolean;
  /** Whether hosts start with the disk that they had some time ago. What such a host has handed out since is forgotten:
   * then no two hosts may have one address in use, though both may believe for a moment that they own it. */
  readonly oldDisks: boolean;
}

const ROUNDS = 120;
const RANGE = "10.32.0.0/26";
/** Lets everything settle that waits for other hosts. */
const PEACE_MS = 300_000;
/** Everybody has heard of everybody. */
const HEARD_MS = 2_000;

/** A host starts with an old disk while all others are there, and hears of them before it hands anything out: alone it
 * cannot know better. */
function setBack(cluster: Cluster, host: Host, disk: ReadonlyMap<string, string>): void {
  const { troubles } = cluster;
  cluster.troubles = CALM;
  cluster.heal();
  cluster.clock.run(HEARD_MS);
  host.restore(disk);
  host.start();
  cluster.rewire();
  cluster.clock.run(HEARD_MS);
  cluster.troubles = troubles;
}

/** Lives it, and returns how many steps the allocators took. Throws when an address has two owners, when what was
 * answered is not so, or when the hosts do not agree in the end. */
export function storm({ hosts, oldDisks, removals, seed }: StormOptions): number {
  const cluster = new Cluster({ seed, hosts, range: RANGE });
  const chance = new SeededRandom(seed ^ 0x5bd1e995);
  const alive = () => cluster.hosts.filter(({ process }) => process !== undefined);
  const down = () => cluster.hosts.filter(({ process, lost }) => process === undefined && !lost);
  const old = new Map<Host, ReadonlyMap<string, string>>();
  if (oldDisks) cluster.allowConflicts({ inUse: true });
  cluster.allocate(cluster.hosts[0]!, "first");
  cluster.clock.run(20_000);
  const troubles = { loss: 0.1, late: 0.1, twice: 0.1, crash: 0.01 };
  cluster.troubles = troubles;
  let number = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const up = alive();
    if (up.length === 0) {
      down()[0]!.start();
      cluster.rewire();
      continue;
    }
    const host = chance.pick(up);
    if (chance.chance(0.1)) old.set(host, new Map(host.disk));
    const what = chance.below(22);
    if (what < 9) cluster.allocate(host, `c${number++}`);
    else if (what < 11) {
      const { held } = host.allocator.status();
      if (held.length > 0) {
        host.feed({ kind: "release", id: cluster.nextId(), ident: chance.pick(held).ident, ip: undefined });
      }
    } else if (what < 13) cluster.claim(host, `p${number++}`, `10.32.0.${chance.below(64)}/26`);
    else if (what < 14) {
      host.kill();
      cluster.rewire();
    } else if (what < 16) {
      const all = down();
      const [back] = oldDisks && chance.chance(0.3) ? all.filter((one) => old.has(one)) : [];
      for (const one of all) if (one !== back) one.start();
      cluster.rewire();
      if (back !== undefined) setBack(cluster, back, old.get(back)!);
    } else if (what < 17) {
      cluster.split(() => chance.below(2));
    } else if (what < 19) cluster.heal();
    else if (what < 20) {
      host.jump({ aheadMs: chance.below(3_600_000), wallSeconds: chance.below(7_200) - 3_600 });
    } else if (what < 21) {
      const { held } = host.allocator.status();
      const [cidr] = held.length > 0 ? chance.pick(held).cidrs : [];
      const ident = held.find(({ cidrs }) => cidrs[0] === cidr)?.ident;
      if (cidr !== undefined && ident !== undefined) {
        host.feed({ kind: "set-aside", id: cluster.nextId(), ident, ip: cidr.ip, forMs: 60_000 });
      }
    } else if (removals && cluster.hosts.filter(({ lost }) => !lost).length > 2) {
      host.kill();
      host.lost = true;
      cluster.rewire();
      cluster.clock.run(500);
      for (const other of alive()) if (chance.chance(0.6)) cluster.remove(other, [host]);
    }
    cluster.clock.run(chance.pick([10, 200, 2_000, 12_000]));
  }
  cluster.troubles = { loss: 0, late: 0, crash: 0 };
  for (const one of down()) one.start();
  cluster.heal();
  cluster.clock.run(100);
  const lost = cluster.hosts.filter((each) => each.lost);
  if (lost.length > 0) { for (const host of alive()) cluster.remove(host, lost); }
  cluster.clock.run(PEACE_MS);
  assert.deepEqual(cluster.refusals, []);
  cluster.checkAgreed();
  for (const host of alive()) assert.deepEqual(host.allocator.status().takeovers, [], "take-overs are done");
  return cluster.steps;
}
