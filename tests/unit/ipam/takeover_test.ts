import assert from "node:assert/strict";
import { Cluster, type Host } from "./cluster.ts";
import { Bench, PATIENT, peer, told } from "./bench.ts";

const everybody = (hosts: number) => Array.from({ length: hosts }, (_, i) => peer(i + 1));

/** Hosts that have a share each. */
function settled(seed: number, hosts: number): Cluster {
  const init = { kind: "seed", peers: everybody(hosts) } as const;
  const cluster = new Cluster({ seed, hosts, range: "10.32.0.0/24", init });
  cluster.clock.run(20_000);
  return cluster;
}

/** A cluster whose hosts have a share each; the last one is gone for good. */
function bereaved(seed: number, hosts: number): { cluster: Cluster; heirs: Host[]; lost: Host } {
  const cluster = settled(seed, hosts);
  const lost = cluster.hosts.at(-1)!;
  lost.kill();
  lost.lost = true;
  cluster.rewire();
  cluster.clock.run(1_000);
  return { cluster, heirs: cluster.hosts.slice(0, -1), lost };
}

const taken = (host: Host, id: number) => told(host.outcomes.get(id));

Deno.test("rmpeer on every host at once: one of them takes over, all are answered, again is nothing", () => {
  for (let seed = 1; seed <= 30; seed++) {
    const { cluster, heirs, lost } = bereaved(seed, 4);
    const ids = heirs.map((host) => cluster.remove(host, [lost]));
    cluster.clock.run(60_000);
    const answers = heirs.map((host, i) => taken(host, ids[i]!));
    assert.deepEqual(answers.toSorted(), ["0 taken", "0 taken", "64 taken"], `seed ${seed}`);
    cluster.checkAgreed();
    const again = heirs.map((host) => cluster.remove(host, [lost]));
    cluster.clock.run(1_000);
    assert.deepEqual(heirs.map((host, i) => taken(host, again[i]!)), Array(3).fill("0 taken"));
    assert.deepEqual(cluster.refusals, []);
  }
});

Deno.test("in a partition nobody takes over; when it ends one does, without anybody's doing", () => {
  const { cluster, heirs, lost } = bereaved(3, 5);
  cluster.split((index) => index % 2);
  cluster.clock.run(1_000);
  const ids = heirs.map((host) => cluster.remove(host, [lost], cluster.clock.now() + 10_000));
  cluster.clock.run(15_000);
  for (const [i, host] of heirs.entries()) {
    assert.match(
      taken(host, ids[i]!)!,
      /^Cannot take over from h5 \(00:00:00:00:00:05\) yet: no consent of h/,
    );
  }
  const outcome = heirs[0]!.outcomes.get(ids[0]!)!;
  assert.ok(outcome.kind === "refused");
  assert.match(outcome.hint!, /^Start h2 \(.*\), h4 \(.*\), or remove them too; it goes on by itself/);
  assert.deepEqual(heirs[0]!.allocator.status().takeovers, [
    { victim: lost.name, claimant: peer(1), missing: [peer(2), peer(4)] },
  ]);
  cluster.heal();
  cluster.clock.run(60_000);
  cluster.checkAgreed();
});

Deno.test("a host that has claimed and is lost itself keeps nobody from taking over from both", () => {
  const { cluster, heirs, lost } = bereaved(4, 4);
  cluster.split((index) => index === 0 ? 1 : 0);
  cluster.clock.run(1_000);
  cluster.remove(heirs[0]!, [lost]);
  cluster.heal();
  cluster.clock.run(230); // its claim is out, and may be promised
  heirs[0]!.kill();
  heirs[0]!.lost = true;
  cluster.rewire();
  cluster.clock.run(1_000);
  const id = cluster.remove(heirs[1]!, [lost, heirs[0]!]);
  cluster.clock.run(60_000);
  assert.equal(taken(heirs[1]!, id), "128 taken");
  cluster.checkAgreed();
});

Deno.test("a claim outlives a restart of the claimant", () => {
  const { cluster, heirs, lost } = bereaved(5, 3);
  heirs[1]!.kill();
  cluster.rewire();
  cluster.clock.run(500);
  cluster.remove(heirs[0]!, [lost]);
  heirs[0]!.kill();
  heirs[0]!.start();
  heirs[1]!.start();
  cluster.rewire();
  cluster.clock.run(70_000);
  cluster.checkAgreed();
});

Deno.test("a host that others can still reach is not taken over", () => {
  const cluster = settled(6, 3);
  const [one, two, three] = cluster.hosts as [Host, Host, Host];
  const id = cluster.remove(one, [two]);
  assert.equal(taken(one, id), "Cannot remove h2 (00:00:00:00:00:02): it is connected");
  // Only the third host sees the second one: it withholds its promise.
  one.feed({ kind: "mesh", peers: [three.name], expected: 3 });
  const later = cluster.remove(one, [two], cluster.clock.now() + 20_000);
  cluster.clock.run(25_000);
  assert.match(taken(one, later)!, /no consent of h3/);
  assert.equal(three.allocator.status().owners.length, 3);
  // The second one has heard that it was declared lost, and hands nothing out until it starts anew.
  const refused = cluster.allocate(two, "x");
  assert.match(told(two.outcomes.get(refused))!, /other hosts have removed 00:00:00:00:00:02/);
  two.kill();
  two.start();
  cluster.rewire();
  cluster.clock.run(40_000);
  const got = cluster.allocate(two, "x");
  assert.match(told(two.outcomes.get(got))!, /^10.32.0./);
  assert.deepEqual(one.allocator.status().takeovers, []);
  assert.deepEqual(cluster.refusals, []);
});

Deno.test("a removed host that comes back with addresses in use is told what has happened", () => {
  const cluster = settled(7, 3);
  const [one, , three] = cluster.hosts as [Host, Host, Host];
  cluster.allocate(three, "old");
  cluster.clock.run(20_000);
  three.kill();
  cluster.rewire();
  cluster.clock.run(1_000);
  cluster.allowConflicts();
  cluster.remove(one, [three]);
  cluster.clock.run(1_000);
  three.start();
  cluster.rewire();
  cluster.clock.run(5_000);
  assert.ok(cluster.refusals.length > 0);
  assert.deepEqual([...new Set(cluster.refusals)], [
    "00:00:00:00:00:03: other hosts removed this one while it was away and own addresses now that are in use " +
    'here: run "meshnet reset" here and start it again',
  ]);
});

Deno.test("a removed host that was reset joins again", () => {
  const { cluster, heirs, lost } = bereaved(8, 3);
  cluster.remove(heirs[0]!, [lost]);
  cluster.clock.run(5_000);
  lost.disk.clear();
  lost.init = { kind: "consensus", peers: 3 }; // with its seeds it would begin the same ring anew
  lost.lost = false;
  lost.start();
  cluster.rewire();
  cluster.clock.run(2_000);
  const id = cluster.allocate(lost, "new");
  cluster.clock.run(10_000);
  assert.match(told(lost.outcomes.get(id))!, /^10.32.0./);
  lost.kill();
  lost.lost = true;
  cluster.rewire();
  cluster.clock.run(1_000);
  cluster.remove(heirs[1]!, [lost]);
  cluster.clock.run(60_000);
  cluster.checkAgreed();
});

Deno.test("a host that leaves hands over what it owns, and nobody waits for it", () => {
  const cluster = settled(9, 4);
  const [one, two, three, four] = cluster.hosts as [Host, Host, Host, Host];
  four.feed({ kind: "shutdown", id: 900 });
  assert.deepEqual(four.outcomes.get(900), { kind: "done" });
  const late = cluster.allocate(four, "late");
  assert.equal(told(four.outcomes.get(late)), "This host has left");
  cluster.clock.run(100);
  four.kill();
  three.kill();
  three.lost = four.lost = true;
  cluster.rewire();
  cluster.clock.run(1_000);
  cluster.remove(two, [three]);
  cluster.clock.run(40_000);
  cluster.checkAgreed();
  assert.deepEqual(one.allocator.status().takeovers, []);
});

Deno.test("peers of another make are taken over from, and are not asked", () => {
  const bench = new Bench({ init: { kind: "seed", peers: [peer(1), peer(2), peer(3)] } });
  bench.reach(2);
  bench.pass(61_000); // by now a peer of our make would have told so
  assert.equal(told(bench.remove([3])), "256 taken");
  const entry = bench.ring().entries[2]!;
  assert.deepEqual([entry.owner, entry.version >= 100], [peer(1), true]);
});

Deno.test("a take-over waits until it is known of what make those are that are here", () => {
  const bench = new Bench({ init: { kind: "seed", peers: [peer(1), peer(2), peer(3)] } });
  bench.reach(2);
  assert.equal(bench.remove([3], PATIENT), undefined);
  assert.deepEqual(bench.allocator.status().takeovers[0]!.missing, [peer(2)]);
  bench.pass(61_000);
  bench.pass(5_000);
  assert.equal(told(bench.outcomes.get(bench.lastId)), "256 taken");
});

Deno.test("nobody is removed who is not known, and not this host", () => {
  const bench = new Bench();
  assert.equal(told(bench.remove([9])), "0 taken");
  assert.equal(told(bench.remove([1])), "0 taken");
  const young = new Bench({ init: { kind: "consensus", peers: 3 } });
  assert.equal(told(young.remove([2])), "0 taken", "there is nothing to take before there is a ring");
});

Deno.test("a host that learns of its removal and owns nothing says at once that it is back", () => {
  const other = new Bench({ init: { kind: "seed", peers: [peer(1)] } }).allocator.state();
  const back = new Bench({ self: peer(4), init: { kind: "observer" } });
  const lost = [{ peer: peer(4), life: 1 }];
  const state = { ...other, members: { members: other.members!.members, lost } };
  const effects = back.feed({ kind: "state", state, source: peer(1) });
  assert.ok(
    effects.some(({ kind }) => kind === "broadcast"),
    "else its requests are ignored until the next gossip",
  );
});
