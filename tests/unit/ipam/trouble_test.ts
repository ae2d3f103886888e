import assert from "node:assert/strict";
import type { Ip } from "../../../mod/core/addr.ts";
import type { IpamMember, IpamRing } from "../../../mod/wire/ipam/ipam_types.ts";
import { Cluster, type Host } from "./cluster.ts";
import { Bench, HASTY, peer, told } from "./bench.ts";

const START = (10 << 24) + (32 << 16);

function ringOf(n: number, options: { used?: number; size?: number } = {}): IpamRing {
  const { used = 0, size = 1024 } = options;
  const entries = [{ token: START, owner: peer(n), version: used, free: size - used }];
  return { start: START, end: START + size, peer: peer(n), entries, seeds: [peer(n)] };
}

const alone = () => new Bench({ init: { kind: "consensus", peers: 1 }, self: peer(5) });

Deno.test("two rings that began apart are told of in one sentence, with both seeds and the command", () => {
  const bench = alone();
  bench.allocate("a");
  bench.state({ ring: ringOf(2, { used: 3 }), nicknames: new Map([[peer(2), "host2"]]) });
  assert.equal(
    bench.refused(),
    "IP allocation was seeded by different peers (received: [host2 (00:00:00:00:00:02)], ours: " +
      '[host1 (00:00:00:00:00:05)]), to join the two run "meshnet reset" on this host, host1 (00:00:00:00:00:05), and ' +
      "start it again",
  );
  assert.equal(told(bench.allocate("b")), "10.32.0.2/22", "life goes on");
});

Deno.test("of two rings that began apart that of fewer hosts is to be given up, by the names of these", () => {
  const bench = alone();
  for (const ident of ["a", "b"]) bench.allocate(ident);
  const half = { owner: peer(2), version: 3, free: 500 };
  const two = {
    ...ringOf(2),
    entries: [{ ...half, token: START }, { ...half, token: START + 512, owner: peer(3) }],
  };
  bench.state({ ring: two, nicknames: new Map([[peer(2), "host2"]]) });
  assert.match(bench.refused()!, /"meshnet reset" on this host, host1 \(00:.*:05\), and start it again$/);
  const other = new Bench({ init: { kind: "seed", peers: [peer(5), peer(6)] }, self: peer(5) });
  other.allocate("a");
  other.state({ ring: ringOf(2, { used: 3 }), nicknames: new Map([[peer(2), "host2"]]) });
  assert.match(other.refused()!, /"meshnet reset" on host2 \(00:00:00:00:00:02\), and start it again$/);
});

Deno.test("of two rings that began apart the one that nobody uses is forgotten, else that of the higher seeds", () => {
  const give = (n: number, used: number) => {
    const bench = alone();
    bench.feed({ kind: "prime", id: 1, patience: HASTY });
    bench.state({ ring: ringOf(n, { used }) }, n);
    return bench.refused() === undefined;
  };
  assert.equal(give(9, 1), true, "theirs is in use");
  assert.equal(give(9, 0), false, "neither is, and we are the lower");
  assert.equal(give(2, 0), true, "neither is, and they are the lower");
  const used = alone();
  used.allocate("a");
  used.release("a");
  used.state({ ring: ringOf(9, { used: 1 }) }, 9);
  assert.equal(used.refused(), undefined, "all was given back");
});

Deno.test("rings that began apart become one, whichever way the news goes", () => {
  for (let seed = 1; seed <= 20; seed++) {
    const cluster = new Cluster({
      seed,
      hosts: 4,
      range: "10.32.0.0/24",
      init: { kind: "consensus", peers: 1 },
    });
    cluster.allowConflicts(); // the rings know nothing of each other
    cluster.split((index) => index);
    cluster.clock.run(1_000);
    const ids = cluster.hosts.slice(0, 2).map((host) => cluster.allocate(host, "x"));
    cluster.hosts[1]!.feed({ kind: "release", id: 900, ident: "x", ip: undefined });
    assert.equal(ids.length, 2);
    cluster.clock.run(1_000);
    cluster.heal();
    cluster.clock.run(120_000);
    cluster.checkAgreed();
    assert.deepEqual(cluster.hosts[3]!.allocator.state().ring!.seeds, [peer(1)]);
  }
});

Deno.test("another range is told of in one sentence, with both and the command", () => {
  const bench = alone();
  bench.allocate("a");
  bench.state({ ring: { ...ringOf(5), end: START + 2048, entries: [], seeds: [] } });
  assert.equal(
    bench.refused(),
    "Incompatible IP allocation ranges (received: 10.32.0.0/21, ours: 10.32.0.0/22), " +
      'to join theirs run "meshnet reset" and "meshnet up --ip-range 10.32.0.0/21"',
  );
});

Deno.test("a ring that is none is refused, and changes nothing", () => {
  const bench = new Bench();
  const before = bench.ring();
  const entries = [before.entries[1]!, before.entries[0]!];
  bench.state({ ring: { ...before, entries } });
  assert.equal(bench.refused(), "Ring not sorted");
  bench.state({ ring: { ...before, start: START + 4, entries: [{ ...entries[1]!, token: START }] } });
  assert.equal(bench.refused(), "Token is out of range");
  assert.deepEqual(bench.ring(), before);
});

const twin = (life: number): IpamMember => ({ peer: peer(1), life, tag: 99, seq: 0, promises: [] });

Deno.test("a clone shows up before an address is handed out: at a restart nothing is, for a second after first contact", () => {
  const first = new Bench();
  first.allocate("a");
  const second = new Bench({ disk: first.disk, seed: 8 });
  second.reach(2);
  assert.equal(second.allocate("b"), undefined);
  assert.equal(told(second.allocate("a")), "10.32.0.1/22", "what was handed out before is no question");
  second.feed({ kind: "message", source: peer(3), message: { kind: "request", range: ringOf(1) } });
  assert.deepEqual(second.sent(), []);
  second.pass(999);
  assert.equal(second.outcomes.size, 1);
  second.pass(1);
  assert.equal(second.outcomes.size, 2);
  assert.equal(
    second.ring().entries.some(({ owner }) => owner === peer(3)),
    true,
    "who asked meanwhile is served",
  );
});

Deno.test("a clone is told from our own past by its coming back", () => {
  const bench = new Bench();
  bench.state({ members: { members: [twin(4)], lost: [] } });
  assert.ok(bench.effects.some(({ kind }) => kind === "broadcast"), "so that the other one sees us");
  assert.equal(bench.allocator.state().members!.members[0]!.life, 5);
  assert.equal(bench.allocate("a"), undefined);
  bench.state({ members: { members: [twin(4)], lost: [] } });
  bench.pass(1_000);
  assert.equal(told(bench.outcomes.get(bench.lastId)), "10.32.0.1/22", "it was our past");
  bench.state({ members: { members: [twin(6)], lost: [] } });
  assert.match(
    told(bench.allocate("b"))!,
    /^Cannot hand out addresses: another host runs as host1 \(00:00:00:00:00:01\), it is a clone of this one$/,
  );
  assert.equal(bench.allocator.status().state, "blocked");
  bench.feed({ kind: "message", source: peer(3), message: { kind: "request", range: ringOf(1) } });
  assert.deepEqual(bench.sent(), [], "nothing is given away either");
});

Deno.test("clones that meet over others both stop handing out addresses, before they have handed out any", () => {
  for (let seed = 1; seed <= 20; seed++) {
    const cluster = new Cluster({ seed, hosts: 3, range: "10.32.0.0/24" });
    const [one, two, three] = cluster.hosts as [Host, Host, Host];
    for (const host of cluster.hosts) cluster.allocate(host, `c-${host.name}`);
    cluster.clock.run(60_000);
    cluster.allowConflicts();
    // The third host's disk was copied: a fourth machine runs as the third. Messages to the name reach one of both.
    const bench = new Bench({
      range: "10.32.0.0/24",
      disk: new Map(three.disk),
      self: three.name,
      seed: seed + 7,
    });
    bench.reach(1, 2);
    assert.equal(bench.allocate("evil", "10.32.0.0/24"), undefined, "it waits");
    for (let round = 0; round < 4; round++) {
      const theirs = bench.allocator.state();
      one.feed({ kind: "state", state: theirs, source: undefined });
      cluster.clock.run(100);
      one.gossipTo(three);
      two.gossipTo(three);
      cluster.clock.run(100);
      three.gossipTo(one);
      cluster.clock.run(100);
      bench.feed({ kind: "state", state: one.allocator.state(), source: undefined });
    }
    assert.equal(bench.allocator.status().trouble?.code, "clone");
    assert.equal(three.allocator.status().trouble?.code, "clone");
    bench.pass(10_000);
    assert.match(told(bench.outcomes.get(bench.lastId))!, /it is a clone of this one/);
  }
});

Deno.test("what is empty, foreign or absurd in a state changes nothing", () => {
  const bench = new Bench();
  const before = bench.ring();
  bench.state({});
  assert.deepEqual(
    bench.sent().map(({ message }) => message.kind),
    ["update"],
    "who has no ring is told of ours",
  );
  bench.state({}, null);
  assert.deepEqual(bench.sent(), []);
  bench.feed({ kind: "message", source: peer(1), message: { kind: "request", range: ringOf(1) } });
  bench.feed({ kind: "message", source: peer(2), message: { kind: "request", range: { start: 1, end: 2 } } });
  bench.feed({ kind: "message", source: peer(2), message: { kind: "denied", range: { start: 1, end: 2 } } });
  assert.deepEqual(bench.ring(), before);
});

Deno.test("an address that is set aside is given to who claims it knowing that, and to nobody else", () => {
  const bench = alone();
  bench.allocate("a");
  bench.feed({ kind: "set-aside", id: 900, ident: "a", ip: "10.32.0.1" as Ip, forMs: 600_000 });
  assert.equal(
    told(bench.claim("user", "10.32.0.1/22")),
    "address 10.32.0.1/22 is set aside: somebody uses it who was not given it",
  );
  const cidr = { ip: "10.32.0.1" as Ip, prefix: 22 };
  const common = { ident: "user", cidr, isContainer: true, lenient: true, patience: HASTY };
  bench.feed({ kind: "claim", id: 901, evenAside: true, ...common });
  assert.equal(told(bench.outcomes.get(901)), "10.32.0.1/22");
  assert.deepEqual(bench.allocator.status().aside, []);
  bench.pass(700_000);
  assert.deepEqual(bench.allocator.lookup("user"), [cidr], "it does not go back when that time is over");
});
