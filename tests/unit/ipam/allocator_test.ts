import assert from "node:assert/strict";
import { parseCidr } from "../../../mod/core/addr.ts";
import type { Init } from "../../../mod/ipam/allocator_types.ts";
import { Bench, HASTY, PATIENT, peer, told } from "./bench.ts";

const FULL = { start: (10 << 24) + (32 << 16), end: (10 << 24) + (32 << 16) + 1024 };

Deno.test("addresses come from our half, lowest first, the same one for the same holder", () => {
  const bench = new Bench();
  assert.equal(told(bench.allocate("a")), "10.32.0.1/22");
  assert.equal(told(bench.allocate("b")), "10.32.0.2/22");
  assert.equal(told(bench.allocate("a")), "10.32.0.1/22");
  assert.equal(told(bench.allocate("a", "10.32.1.0/24")), "10.32.1.1/24");
  assert.equal(told(bench.allocate("_")), "10.32.0.3/22");
  assert.equal(told(bench.release("_", "10.32.0.3")), "10.32.0.3");
  assert.equal(told(bench.release("a")), "10.32.0.1 10.32.1.1");
  assert.equal(told(bench.release("a")), "cannot release addresses of a: it has none");
  assert.equal(
    told(bench.release("b", "10.32.0.9")),
    "cannot release 10.32.0.9 of b: it does not have this address",
  );
  assert.equal(told(bench.allocate("c")), "10.32.0.1/22");
  assert.deepEqual(bench.allocator.lookup("c").map(({ ip }) => ip), ["10.32.0.1"]);
  assert.deepEqual(bench.allocator.lookup("c", parseCidr("10.32.1.0/24")!), []);
});

Deno.test("neither the first nor the last address of a subnet is handed out", () => {
  const bench = new Bench({ init: { kind: "seed", peers: [peer(1)] } });
  const got = Array.from({ length: 3 }, (_, i) => told(bench.allocate(`c${i}`, "10.32.0.8/30", HASTY)));
  assert.deepEqual(got.slice(0, 2), ["10.32.0.9/30", "10.32.0.10/30"]);
  assert.match(got[2]!, /^Cannot allocate an address: 10.32.0.8\/30 has none free, owners: this host 4/);
});

Deno.test("bad subnets are refused with their name", () => {
  const bench = new Bench();
  assert.equal(
    told(bench.allocate("a", "10.99.0.0/24")),
    "cannot allocate an address of 10.99.0.0/24: it is outside 10.32.0.0/22, the range of this network",
  );
  assert.match(
    told(bench.allocate("a", "10.32.0.1/24"))!,
    /an address of 10.32.0.1\/24: the subnet of that length begins at 10.32.0.0/,
  );
  assert.match(
    told(bench.allocate("a", "10.32.0.0/31"))!,
    /an address of 10.32.0.0\/31: it has fewer than 4/,
  );
});

Deno.test("claims follow the owner and the holder of an address", () => {
  const bench = new Bench();
  assert.equal(told(bench.claim("a", "10.32.0.7/24")), "10.32.0.7/24");
  assert.equal(told(bench.claim("a", "10.32.0.7/24")), "10.32.0.7/24");
  assert.equal(told(bench.claim("_", "10.32.0.7/24")), "10.32.0.7/24");
  assert.equal(told(bench.claim("b", "10.32.0.7/24")), "address 10.32.0.7/24 is already owned by a");
  assert.equal(told(bench.claim("_", "10.32.0.8/24")), "10.32.0.8/24");
  assert.equal(told(bench.claim("b", "10.32.0.8/24")), "address 10.32.0.8/24 already in use");
  assert.equal(told(bench.claim("a", "192.168.0.1/24")), "192.168.0.1/24", "outside nobody minds");
  assert.equal(told(bench.claim("b", "192.168.0.1/24")), "address 192.168.0.1/24 already in use by a");
  assert.equal(told(bench.allocate("c", "10.32.0.0/24")), "10.32.0.1/24");
});

Deno.test("a claim of another's address asks the owner, and fails when the owner denies", () => {
  const bench = new Bench();
  bench.reach(2);
  bench.pass(1_000);
  assert.equal(bench.claim("a", "10.32.2.5/22"), undefined);
  const range = { start: FULL.start + 517, end: FULL.start + 518 };
  assert.deepEqual(bench.sent(), [{ to: peer(2), message: { kind: "request", range } }]);
  bench.feed({ kind: "message", source: peer(2), message: { kind: "denied", range } });
  assert.match(
    told(bench.outcomes.get(bench.lastId))!,
    /^cannot claim 10.32.2.5\/22: (\w+ \()?00:00:00:00:00:02\)? owns it$/,
  );
});

Deno.test("a claim whose owner is away fails at the sixth try, a lenient one is answered at once", () => {
  const bench = new Bench();
  assert.equal(bench.claim("a", "10.32.2.5/22"), undefined);
  bench.pass(24_000);
  assert.equal(bench.outcomes.get(bench.lastId), undefined);
  bench.pass(2_000);
  assert.match(told(bench.outcomes.get(bench.lastId))!, /unknown relay destination: 00:00:00:00:00:02$/);
  assert.equal(told(bench.claim("b", "10.32.2.6/22", true)), "10.32.2.6/22");
  assert.equal(bench.allocator.status().pendingClaims.length, 1, "it goes on trying");
});

Deno.test("a request without free addresses asks a peer that has some, and uses what that gives", () => {
  const bench = new Bench();
  bench.reach(2);
  bench.pass(1_000);
  for (let i = 0; i < 511; i++) assert.ok(bench.allocate(`c${i}`));
  assert.equal(bench.allocate("more"), undefined);
  assert.deepEqual(bench.sent(), [{ to: peer(2), message: { kind: "request", range: FULL } }]);
  bench.allocate("and more");
  assert.deepEqual(bench.sent(), [], "one question at a time");
  const ring = bench.ring();
  const half = ring.entries[1]!;
  const entries = [
    ring.entries[0]!,
    { ...half, version: 1, free: 256 },
    { token: half.token + 256, owner: peer(1), version: 0, free: 256 },
  ];
  const state = {
    now: 0,
    nicknames: new Map(),
    paxos: undefined,
    ring: { ...ring, entries },
    members: undefined,
  };
  bench.feed({ kind: "message", source: peer(2), message: { kind: "update", state } });
  assert.equal(told(bench.outcomes.get(bench.lastId - 1)), "10.32.3.0/22");
  assert.equal(told(bench.outcomes.get(bench.lastId)), "10.32.3.1/22");
});

Deno.test("a peer that gives nothing and knows nothing new is not asked again at once", () => {
  const bench = new Bench();
  bench.reach(2);
  bench.pass(1_000);
  for (let i = 0; i < 511; i++) assert.ok(bench.allocate(`c${i}`));
  assert.equal(bench.allocate("more"), undefined);
  assert.equal(bench.sent().length, 1);
  const state = { now: 0, nicknames: new Map(), paxos: undefined, ring: bench.ring(), members: undefined };
  bench.feed({ kind: "message", source: peer(2), message: { kind: "update", state } });
  assert.deepEqual(bench.sent(), []);
  bench.pass(10_000);
  assert.equal(bench.outcomes.get(bench.lastId), undefined, "it goes on waiting");
});

Deno.test("who does not want to wait is told who holds what as soon as nobody is left to ask", () => {
  const bench = new Bench({ range: "10.32.0.0/29" });
  bench.state({ nicknames: new Map([[peer(2), "host2"]]) });
  bench.pass(1_000);
  for (const ident of ["a", "b", "c"]) bench.allocate(ident, "10.32.0.0/29");
  const outcome = bench.allocate("d", "10.32.0.0/29", HASTY);
  assert.equal(
    told(outcome),
    "Cannot allocate an address: 10.32.0.0/29 has none free, owners: this host 4 (0 free); host2 4 (4 free, unreachable)",
  );
  assert.ok(outcome?.kind === "refused");
  assert.match(outcome.hint!, /Start host2 \(00:00:00:00:00:02\), or run "meshnet rmpeer"/);
  bench.reach(2);
  assert.equal(bench.allocate("d", "10.32.0.0/29", HASTY), undefined, "host2 is asked first");
  const range = { start: FULL.start, end: FULL.start + 8 };
  bench.feed({ kind: "message", source: peer(2), message: { kind: "denied", range } });
  assert.match(told(bench.outcomes.get(bench.lastId))!, /none free/);
});

Deno.test("a request fails at its time, and can be cancelled", () => {
  const bench = new Bench({ range: "10.32.0.0/29" });
  for (const ident of ["a", "b", "c"]) bench.allocate(ident, "10.32.0.0/29");
  assert.equal(bench.allocate("d", "10.32.0.0/29", { until: bench.now + 3_000, noWait: false }), undefined);
  bench.pass(2_999);
  assert.equal(bench.outcomes.get(bench.lastId), undefined);
  bench.pass(1);
  assert.match(told(bench.outcomes.get(bench.lastId))!, /none free/);
  assert.equal(bench.allocate("e", "10.32.0.0/29"), undefined);
  bench.feed({ kind: "cancel", id: bench.lastId });
  assert.equal(told(bench.outcomes.get(bench.lastId)), "Allocate request for e cancelled");
  assert.equal(bench.allocator.nextWake(), Infinity, "idle stays idle");
});

Deno.test("a request waits for the election, and says so when its time is up", () => {
  const bench = new Bench({ init: { kind: "consensus", peers: 3 } });
  assert.equal(bench.allocator.nextWake(), Infinity);
  assert.equal(bench.allocate("a", undefined, { until: bench.now + 12_000, noWait: false }), undefined);
  assert.ok(bench.effects.some(({ kind }) => kind === "broadcast"));
  assert.equal(bench.allocator.status().state, "awaiting-consensus");
  assert.deepEqual(bench.allocator.status().election, { quorum: 2, known: 1 });
  bench.pass(12_000);
  assert.match(told(bench.outcomes.get(bench.lastId))!, /2 peers must agree on the first owners, 1 are here/);
});

Deno.test("a host that is alone needs nobody's consent", () => {
  const bench = new Bench({ init: { kind: "consensus", peers: undefined } });
  assert.equal(told(bench.allocate("a")), "10.32.0.1/22");
  assert.deepEqual(bench.ring().seeds, [peer(1)]);
});

Deno.test("an observer asks others to begin, and never does itself", () => {
  const bench = new Bench({ init: { kind: "observer" } });
  assert.equal(bench.allocate("a"), undefined);
  assert.deepEqual(bench.effects.map(({ kind }) => kind), ["broadcast"]);
  assert.equal(bench.allocator.state().paxos, undefined);
  assert.equal(bench.allocator.status().state, "priming");
  bench.pass(60_000);
  assert.equal(bench.outcomes.size, 0);
});

Deno.test("space that others ask for is halved, granted, stored and only then told", () => {
  const bench = new Bench();
  bench.reach(2, 3);
  bench.pass(1_000);
  bench.feed({ kind: "message", source: peer(3), message: { kind: "request", range: FULL } });
  const kinds = bench.effects.map(({ kind }) => kind);
  assert.ok(
    kinds.indexOf("store") < kinds.indexOf("broadcast") &&
      kinds.indexOf("broadcast") < kinds.indexOf("unicast"),
  );
  const owners = bench.ring().entries.map(({ token, owner }) => [token - FULL.start, owner]);
  assert.deepEqual(owners, [[0, peer(1)], [256, peer(3)], [512, peer(2)]]);
  const range = { start: FULL.start + 256, end: FULL.start + 260 };
  bench.feed({ kind: "message", source: peer(3), message: { kind: "request", range } });
  assert.deepEqual(bench.sent().map(({ message }) => message.kind), ["denied", "update"]);
});

/** Host 2 of the same make, which host 1 reaches. */
function second(init: Init): Bench {
  const bench = new Bench({ self: peer(2), seed: 9, init });
  bench.reach(1);
  return bench;
}

Deno.test("who promises or accepts tells the proposer alone, and only of itself", () => {
  const init: Init = { kind: "consensus", peers: 3 };
  const [one, two] = [new Bench({ init }), second(init)];
  one.reach(2);
  two.allocate("x");
  one.feed({ kind: "state", state: two.allocator.state(), source: peer(2) });
  assert.deepEqual(one.effects.map(({ kind }) => kind).filter((kind) => kind !== "store"), ["unicast"]);
  const [{ message, to }] = one.sent() as [ReturnType<Bench["sent"]>[0]];
  assert.equal(to, peer(2));
  assert.ok(message.kind === "update");
  assert.equal(message.state.paxos?.size, 1);
  assert.deepEqual([...message.state.nicknames.keys()], [peer(1)]);
  two.feed({ kind: "message", source: peer(1), message });
  one.feed({ kind: "state", state: two.allocator.state(), source: peer(2) });
  const [accepted] = one.sent().map((sent) => sent.message);
  two.feed({ kind: "message", source: peer(1), message: accepted! });
  assert.deepEqual(two.ring().seeds, [peer(1), peer(2)]);
});

Deno.test("space for a host of our make is told to that one alone, which tells all others a second later", () => {
  const [one, two] = [new Bench(), second({ kind: "observer" })];
  one.reach(2);
  one.feed({ kind: "state", state: two.allocator.state(), source: peer(2) });
  one.pass(2_000);
  two.feed({ kind: "state", state: one.allocator.state(), source: peer(1) });
  two.pass(2_000);
  assert.equal(two.allocate("x", "10.32.0.0/24"), undefined);
  one.feed({ kind: "message", source: peer(2), message: two.sent()[0]!.message });
  assert.ok(one.effects.every(({ kind }) => kind !== "broadcast"));
  two.feed({ kind: "message", source: peer(1), message: one.sent().at(-1)!.message });
  assert.ok(two.effects.every(({ kind }) => kind !== "broadcast"));
  let told = 0;
  for (let at = two.allocator.nextWake(); at <= two.now + 1_000; at = two.allocator.nextWake()) {
    two.now = at;
    told += two.feed({ kind: "wake" }).filter(({ kind }) => kind === "broadcast").length;
  }
  assert.equal(told, 1);
  assert.equal(two.allocator.nextWake(), Infinity, "idle stays idle");
});

Deno.test("what a neighbour alone has told is passed on within seconds, unless another one does so before", () => {
  for (const another of [false, true]) {
    const bench = new Bench();
    bench.reach(2, 3);
    bench.pass(2_000);
    const donor = new Bench({ self: peer(2), seed: 9 });
    donor.reach(3);
    donor.pass(2_000);
    donor.feed({ kind: "message", source: peer(3), message: { kind: "request", range: rangeOf(donor) } });
    bench.state({ ring: donor.ring() }, null);
    if (another) bench.state({ ring: donor.ring() }, 3);
    let told = 0;
    for (let at = bench.allocator.nextWake(); at <= bench.now + 5_000; at = bench.allocator.nextWake()) {
      bench.now = at;
      told += bench.feed({ kind: "wake" }).filter(({ kind }) => kind === "broadcast").length;
    }
    assert.equal(told, another ? 0 : 1);
  }
});

function rangeOf(bench: Bench): { start: number; end: number } {
  const { start, end } = bench.ring();
  return { start, end };
}

Deno.test("addresses of a container go back half a minute after its death, unless it starts again", () => {
  const bench = new Bench();
  const allocate = (ident: string) =>
    bench.feed({
      ...{ kind: "allocate", id: 900, ident, subnet: parseCidr("10.32.0.0/22")!, isContainer: true },
      patience: PATIENT,
    });
  for (const ident of ["a", "b", "c"]) allocate(ident);
  bench.feed({ kind: "container", ident: "a", what: "died" });
  bench.feed({ kind: "container", ident: "b", what: "died" });
  bench.feed({ kind: "container", ident: "c", what: "destroyed" });
  bench.pass(20_000);
  bench.feed({ kind: "container", ident: "b", what: "started" });
  bench.pass(10_001);
  assert.deepEqual(bench.allocator.status().held.map(({ ident }) => ident), ["b"]);
  bench.feed({ kind: "running", idents: new Set(["x"]) });
  assert.deepEqual(bench.allocator.status().held, []);
});

Deno.test("10,000 addresses of a million are allocated one by one", () => {
  const bench = new Bench({ range: "10.32.0.0/12", init: { kind: "seed", peers: [peer(1)] } });
  for (let i = 0; i < 10_000; i++) assert.ok(bench.allocate(`c${i}`, "10.32.0.0/12"));
  assert.equal(bench.allocator.status().active, 10_000);
  assert.equal(bench.ring().entries[0]!.free, (1 << 20) - 10_000);
});

Deno.test("a prime is answered as soon as there is a ring", () => {
  const bench = new Bench({ init: { kind: "consensus", peers: 2 } });
  bench.feed({ kind: "prime", id: 77, patience: PATIENT });
  assert.equal(bench.outcomes.get(77), undefined);
  const entries = [{ token: FULL.start, owner: peer(2), version: 0, free: 1024 }];
  bench.state({ ring: { ...FULL, peer: peer(2), entries, seeds: [peer(2)] } });
  assert.deepEqual(bench.outcomes.get(77), { kind: "done" });
});

Deno.test("a quiet claim shares nothing out, and comes before whatever does", () => {
  const bench = new Bench({ init: { kind: "consensus", peers: 1 } });
  const cidr = parseCidr("10.32.0.1/22")!;
  const wish = { ident: "a", cidr, isContainer: false, lenient: false, quiet: true, patience: PATIENT };
  bench.feed({ kind: "claim", id: 1_000, ...wish });
  bench.pass(60_000);
  assert(!bench.allocator.hasRing);
  assert.equal(told(bench.allocate("b")), "10.32.0.2/22");
  assert.deepEqual(bench.allocator.lookup("a").map(({ ip }) => ip), ["10.32.0.1"]);
});
