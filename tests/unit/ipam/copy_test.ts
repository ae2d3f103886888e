/** Copies of hosts: cloned machines that got a name of their own. */
import assert from "node:assert/strict";
import { recordsOfCopy } from "../../../mod/ipam/stored.ts";
import { Bench, peer, told } from "./bench.ts";
import { Cluster, type Host } from "./cluster.ts";

const SEEDS = Deno.env.get("MESHNET_SIM") === "full" ? 3_000 : 40;
const BY_TARGETS = { kind: "consensus", peers: undefined } as const;

/** Gives a host that has not run yet the disk of another one, as a cloned machine has it. */
function copyDisk(from: Host, to: Host): void {
  const disk = new Map(from.disk);
  for (const [key, value] of recordsOfCopy(from.disk, from.name)) {
    if (value === undefined) disk.delete(key);
    else disk.set(key, value);
  }
  to.disk.clear();
  for (const [key, value] of disk) to.disk.set(key, value);
}

Deno.test("recordsOfCopy() keeps nothing but whom to join", () => {
  const cluster = new Cluster({ seed: 1, hosts: 2, range: "10.32.0.0/24" });
  const [one, two] = cluster.hosts as [Host, Host];
  cluster.allocate(one, "a");
  cluster.clock.run(60_000);
  copyDisk(two, two);
  assert.deepEqual([...two.disk.keys()], ["ipam/joins"]);
  assert.deepEqual(JSON.parse(two.disk.get("ipam/joins")!), { form: 1, peers: [two.name, one.name] });
});

const ofCopy = () => new Map([["ipam/joins", JSON.stringify({ form: 1, peers: [peer(2), "db"] })]]);

Deno.test("a copy waits for those who share the range out, says for whom, and begins by itself after five minutes", () => {
  const bench = new Bench({ init: BY_TARGETS, disk: ofCopy() });
  bench.reach();
  const quick = bench.allocate("a", "10.32.0.0/22", { until: Infinity, noWait: true });
  assert.match(told(quick)!, /is a copy of another one, and has not heard yet .*: 00:00:00:00:00:02, db$/);
  const waiting = bench.allocate("b");
  bench.pass(290_000);
  assert.deepEqual([waiting, bench.disk.has("ipam/ring")], [undefined, false]);
  bench.pass(20_000);
  assert.deepEqual([bench.disk.has("ipam/ring"), bench.disk.has("ipam/joins")], [true, false]);
});

Deno.test("a copy begins by itself when a person says so, and where its number of hosts is given", () => {
  const asked = new Bench({ init: BY_TARGETS, disk: ofCopy() });
  asked.reach();
  asked.feed({ kind: "prime", id: 900, patience: { until: Infinity, noWait: true } });
  assert.equal(told(asked.allocate("a")), "10.32.0.1/22");
  const given = new Bench({ init: { kind: "consensus", peers: 1 }, disk: ofCopy() });
  assert.equal(told(given.allocate("a")), "10.32.0.1/22");
});

Deno.test(`a copy joins, and no address is in use twice: ${SEEDS} runs`, () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const cluster = new Cluster({ seed, hosts: 3, range: "10.32.0.0/22", init: BY_TARGETS });
    const [one, two, copy] = cluster.hosts as [Host, Host, Host];
    copy.kill();
    cluster.rewire();
    cluster.clock.run(1_000);
    for (let i = 0; i < 4; i++) {
      cluster.allocate(cluster.random.chance(0.5) ? one : two, `first${i}`);
      cluster.clock.run(cluster.random.below(400));
    }
    cluster.clock.run(20_000);
    copyDisk(cluster.random.chance(0.5) ? one : two, copy);
    cluster.expected = 1; // nobody names a target: a new host would begin by itself
    const isAlone = cluster.random.chance(0.7);
    if (isAlone) cluster.split((index) => index === 2 ? 1 : 0);
    copy.start();
    cluster.rewire();
    const ids = Array.from({ length: 6 }, (_, i) => {
      cluster.clock.run(cluster.random.below(3_000));
      return { host: copy, id: cluster.allocate(copy, `copy${i}`) };
    });
    for (let i = 0; i < 3; i++) cluster.allocate(one, `more${i}`);
    cluster.heal();
    cluster.clock.run(60_000);
    for (const { host, id } of ids) assert.equal(host.outcomes.get(id)?.kind, "address", `seed ${seed}`);
    assert.deepEqual(cluster.refusals, [], `seed ${seed}`);
    cluster.checkAgreed();
  }
});
