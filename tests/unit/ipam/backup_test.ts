import assert from "node:assert/strict";
import { parseCidr } from "../../../mod/core/addr.ts";
import type { Outcome } from "../../../mod/ipam/allocator_types.ts";
import { type Backup, readBackup, writeBackup } from "../../../mod/ipam/backup.ts";
import type { PeerName } from "../../../mod/core/names.ts";
import { Universe } from "../../../mod/ipam/universe.ts";
import { Bench, peer, told } from "./bench.ts";
import { Cluster, type Host } from "./cluster.ts";

const made = Universe.of(parseCidr("10.32.0.0/22")!);
assert.ok(made.ok);
const universe = made.value;

function used(): Bench {
  const bench = new Bench();
  bench.reach(2);
  bench.pass(2_000);
  for (const ident of ["a", "b"]) bench.allocate(ident);
  bench.claim("netns:c", "192.168.7.1/24");
  return bench;
}

Deno.test("a backup is read as it was written", () => {
  const backup = used().allocator.backup("2026-11-27T12:00:00Z")!;
  const json = JSON.parse(JSON.stringify(writeBackup(backup, universe)));
  assert.deepEqual(readBackup(json, universe), { ok: true, value: backup });
  assert.deepEqual(json.held[0], { holder: "a", container: false, addresses: ["10.32.0.1/22"] });
  assert.equal(new Bench({ init: { kind: "consensus", peers: 2 } }).allocator.backup(""), undefined);
});

Deno.test("a backup that is wrong is refused with the value that is wrong, and what to do", () => {
  type Json = Record<string, unknown>;
  const good = () => JSON.parse(JSON.stringify(writeBackup(used().allocator.backup("")!, universe))) as Json;
  const entry = { from: "10.32.0.0", owner: peer(1), version: 0, free: 3 };
  const holder = { holder: "x", container: false, addresses: ["10.32.0.9/22"] };
  const cases: readonly (readonly [change: Json, reason: RegExp])[] = [
    [{ format: "else" }, /^"format" is not "meshnet addresses"$/],
    [{ form: 2 }, /^"form" is 2, and this version reads 1: use the version that wrote it$/],
    [
      { range: "10.33.0.0/22" },
      /^its "range" is "10.33.0.0\/22", and this host runs with 10.32.0.0\/22: start it/,
    ],
    [{ peer: "host1" }, /^"peer" is no peer name: "host1"$/],
    [{ peer: undefined }, /^"peer" is no peer name: missing$/],
    [{ nicknames: [] }, /^"nicknames" is no object: \[\]$/],
    [{ nicknames: { here: "x" } }, /^"nicknames" has no name for a peer: "here": "x"$/],
    [{ seeds: "all" }, /^"seeds" is no list: "all"$/],
    [{ seeds: [peer(1), "x"] }, /^"seeds" has a peer name that is none: "x"$/],
    [{ entries: [] }, /^"entries" is no list of 1 to \d+ ranges: \[\]$/],
    [
      { entries: [{ ...entry, from: "10.40.0.0" }] },
      /^"entries" has a range that is none: \{"from":"10.40.0.0"/,
    ],
    [{ entries: [{ ...entry, version: -1 }] }, /^"entries" has a range that is none/],
    [{ entries: [{ ...entry, free: 1.5 }] }, /^"entries" has a range that is none/],
    [{ entries: [entry, entry] }, /^"entries" are wrong: Token appears twice in ring$/],
    [
      { entries: [entry, { ...entry, from: "10.32.0.2", free: 0 }] },
      /^"entries" are wrong: Entry .* too much free/,
    ],
    [{ held: {} }, /^"held" is no list: \{\}$/],
    [
      { held: [{ ...holder, addresses: ["10.32.0.9"] }] },
      /^"held" has an entry that is none: \{"holder":"x"/,
    ],
    [{ held: [{ ...holder, container: 1 }] }, /^"held" has an entry that is none/],
    [{ held: [holder, { ...holder, holder: "y" }] }, /^"held" has 10.32.0.9 twice: for x and for y$/],
  ];
  for (const [change, reason] of cases) {
    const read = readBackup({ ...good(), ...change }, universe);
    assert.ok(!read.ok, JSON.stringify(change));
    assert.match(read.reason, reason);
  }
  for (const json of [undefined, null, 7, "x", [], {}]) assert.ok(!readBackup(json, universe).ok);
});

/** A disaster: every host loses its disk, or those that are named. */
function disaster(cluster: Cluster, hosts: readonly Host[] = cluster.hosts): void {
  for (const host of hosts) host.kill();
  for (const host of hosts) {
    host.disk.clear();
    host.start();
  }
  cluster.rewire();
}

function settled(hosts: number): { cluster: Cluster; backups: Backup[] } {
  const cluster = new Cluster({ seed: hosts, hosts, range: "10.32.0.0/22" });
  for (const host of cluster.hosts) cluster.allocate(host, `first-${host.name}`);
  cluster.clock.run(20_000);
  for (let i = 0; i < 40; i++) cluster.allocate(cluster.hosts[i % hosts]!, `c${i}`);
  cluster.clock.run(60_000);
  return { cluster, backups: cluster.hosts.map((host) => host.allocator.backup("before")!) };
}

function importAt(
  cluster: Cluster,
  host: Host,
  backup: Backup,
  gone: readonly Host[] = [],
): Outcome | undefined {
  const id = cluster.nextId();
  host.feed({ kind: "import", id, backup, gone: gone.map(({ name }) => name) });
  cluster.clock.run(2_000);
  return host.outcomes.get(id);
}

const heldBy = (host: Host) =>
  new Map(host.allocator.status().held.map((one) => [one.ident, `${one.cidrs[0]!.ip}`]));

Deno.test("import after a disaster: all own and hold again what they did, and nothing is given out twice", () => {
  const { backups, cluster } = settled(4);
  const before = cluster.hosts.map(heldBy);
  disaster(cluster);
  cluster.clock.run(5_000);
  const first = importAt(cluster, cluster.hosts[0]!, backups[0]!);
  assert.deepEqual(first, { kind: "imported", ring: true, restored: before[0]!.size, left: [] });
  cluster.checkAgreed();
  const again = cluster.hosts.map((host, i) => importAt(cluster, host, backups[i]!));
  assert.deepEqual(
    again,
    before.map(({ size }) => ({ kind: "imported", ring: false, restored: size, left: [] })),
  );
  assert.deepEqual(cluster.hosts.map(heldBy), before);
  for (let i = 0; i < 40; i++) cluster.allocate(cluster.hosts[i % 4]!, `d${i}`);
  cluster.clock.run(60_000);
  const all = cluster.hosts.flatMap((host) => [...heldBy(host).values()]);
  assert.equal(all.length, 84);
  assert.equal(new Set(all).size, all.length);
  assert.deepEqual(cluster.refusals, []);
});

Deno.test("import refuses while an owner is away that may have given addresses away, unless that is gone for good", () => {
  const { backups, cluster } = settled(3);
  const [one, two, three] = cluster.hosts as [Host, Host, Host];
  disaster(cluster, [one, two]);
  cluster.split((i) => i === 2 ? 1 : 0); // it has its disk still, and goes on
  cluster.clock.run(3_000);
  const refused = importAt(cluster, one, backups[0]!);
  assert.ok(refused?.kind === "refused" && refused.code === "owners-missing");
  assert.match(
    refused.message,
    /^Cannot import: h3 \(00:00:00:00:00:03\) owns addresses in the backup, and may have given some of them/,
  );
  assert.match(refused.hint!, /--gone 00:00:00:00:00:03$/);
  assert.equal(one.allocator.hasRing, false, "nothing has changed");
  three.kill();
  three.lost = true;
  assert.equal(importAt(cluster, one, backups[0]!, [three])?.kind, "imported");
  const id = cluster.remove(one, [three]);
  cluster.clock.run(120_000);
  assert.equal(told(one.outcomes.get(id)), "256 taken");
  cluster.checkAgreed();
});

Deno.test("import names owners that are here under other names, and both ways out", () => {
  const made = used().allocator.backup("before")!;
  const [self, two, three] = [peer(1), peer(2), peer(3)];
  const was = (name: PeerName) => `aa${name.slice(2)}` as PeerName;
  const entries = made.ring.entries.map((entry, i) => ({
    ...entry,
    owner: was([self, two, three][i % 3]!),
  }));
  const nicknames = new Map([[was(self), "host1"], [was(two), "h2"], [was(three), "h3"]]);
  const backup = { ...made, nicknames, peer: was(self), ring: { ...made.ring, entries } };
  const bench = new Bench({ init: { kind: "consensus", peers: 3 } });
  bench.reach(2);
  bench.state({ nicknames: new Map([[two, "h2"]]) }, 2);
  bench.pass(2_000);
  bench.feed({ kind: "import", id: 1_000, backup, gone: [] });
  const refused = bench.outcomes.get(1_000);
  assert.ok(refused?.kind === "refused" && refused.code === "owners-missing");
  assert.match(
    refused.message,
    /^Cannot import: .*host1 \(aa:00:00:00:00:01\).* own addresses in the backup/,
  );
  assert.match(refused.message, /; this host is host1, but under another name, 00:00:00:00:00:01/);
  assert.match(refused.message, /; h2 is connected, but under another name, 00:00:00:00:00:02/);
  assert.match(refused.hint!, /`meshnet up --name aa:00:00:00:00:0[12]`, and the others likewise/);
  const gone = [...new Set(entries.map(({ owner }) => owner))];
  assert.ok(refused.hint!.endsWith(`import with --gone ${gone.join(",")}`), refused.hint);
  bench.feed({ kind: "import", id: 1_001, backup, gone });
  assert.equal(bench.outcomes.get(1_001)?.kind, "imported");
});

Deno.test("import where the hosts know who owns what changes nothing of that, and leaves out what others have", () => {
  const { backups, cluster } = settled(3);
  const [one, two] = cluster.hosts as [Host, Host];
  const ring = JSON.stringify(one.allocator.state().ring);
  const other = importAt(cluster, one, backups[1]!);
  assert.ok(other?.kind === "refused" && other.code === "ring-exists");
  assert.match(other.message, /the backup has what h2 \(.*\) held$/);
  assert.equal(JSON.stringify(one.allocator.state().ring), ring);

  // The host's addresses are another one's now, and one of its names got another address.
  const [[moved, address]] = [...heldBy(one)] as [[string, string]];
  one.feed({ kind: "release", id: cluster.nextId(), ident: moved, ip: undefined });
  const claim = cluster.claim(two, "thief", `${address}/22`);
  cluster.clock.run(2_000);
  assert.equal(told(two.outcomes.get(claim)), `${address}/22`);
  const back = importAt(cluster, one, backups[0]!);
  assert.ok(back?.kind === "imported" && !back.ring);
  assert.deepEqual(back.left, [
    { ident: moved, address: `${address}/22`, why: "it belongs to h2 (00:00:00:00:00:02) now" },
  ]);
  assert.equal(heldBy(two).get("thief"), address);
});

Deno.test("import waits until hosts that were just met had time to say what they know", () => {
  const backup = used().allocator.backup("before")!;
  for (const knows of [false, true]) {
    const bench = new Bench({ init: { kind: "consensus", peers: 2 } });
    bench.reach(2);
    bench.feed({ kind: "import", id: 1_000, backup, gone: [] });
    bench.pass(500);
    assert.equal(bench.outcomes.get(1_000), undefined, "the other may know better");
    if (knows) bench.state({ ring: used().ring() });
    bench.pass(1_000);
    const outcome = bench.outcomes.get(1_000);
    assert.ok(outcome?.kind === "imported");
    assert.deepEqual([outcome.ring, outcome.restored], [!knows, 3]);
  }
});

Deno.test("import waits for an owner that was just met, though others were met long ago", () => {
  const backup = used().allocator.backup("before")!;
  const newer = used();
  const range = { start: newer.ring().start, end: newer.ring().end };
  newer.feed({ kind: "message", source: peer(3), message: { kind: "request", range } });
  const bench = new Bench({ init: { kind: "consensus", peers: 2 } });
  bench.reach(3);
  bench.pass(20_000);
  bench.reach(2, 3);
  bench.feed({ kind: "import", id: 1_000, backup, gone: [] });
  bench.pass(500);
  assert.equal(bench.outcomes.get(1_000), undefined, "it may know better");
  bench.state({ ring: newer.ring() }, 2);
  bench.pass(500);
  const outcome = bench.outcomes.get(1_000);
  assert.ok(outcome?.kind === "imported" && !outcome.ring);
  assert.ok(bench.ring().entries.some(({ owner }) => owner === peer(3)));
});

Deno.test("import: a host that the backup does not know is believed about what it was given, until an address is handed out", () => {
  const backup = used().allocator.backup("before")!;
  const [first, ...others] = used().ring().entries;
  const given = [{ ...first!, owner: peer(3), version: first!.version + 1 }, ...others];
  for (const handsOut of [false, true]) {
    const bench = new Bench({ init: { kind: "consensus", peers: 2 } });
    bench.reach(2);
    bench.pass(2_000);
    bench.feed({ kind: "import", id: 1_000, backup, gone: [] });
    assert.equal(bench.outcomes.get(1_000)?.kind, "imported");
    if (handsOut) bench.allocate("new");
    bench.state({ ring: { ...bench.ring(), peer: peer(3), entries: given } }, 3);
    assert.equal(bench.ring().entries[0]!.owner, handsOut ? peer(1) : peer(3));
  }
});
