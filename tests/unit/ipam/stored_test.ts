import assert from "node:assert/strict";
import type { IpamRing } from "../../../mod/wire/ipam/ipam_types.ts";
import { Bench, peer, told } from "./bench.ts";

/** A ring in which the first share is another peer's, at a version of the others' choice. */
function firstOf(ring: IpamRing, owner: number, by: number): IpamRing {
  const [first, ...others] = ring.entries;
  const given = { ...first!, owner: peer(owner), version: first!.version + by };
  return { ...ring, peer: peer(2), entries: [given, ...others] };
}

Deno.test("a disk is an old one after any number of starts: others are believed until an address is handed out", () => {
  const first = new Bench();
  first.allocate("a");
  const given = firstOf(first.ring(), 3, 1);
  for (const handsOut of [false, true]) {
    const disk = new Map(first.disk);
    for (let start = 0; start < 3; start++) {
      const bench = new Bench({ disk, seed: start });
      if (handsOut && start === 1) bench.allocate("b");
    }
    const last = new Bench({ disk, seed: 9 });
    last.state({ ring: given });
    // What was handed out after a start without others may be in use twice: that is told, and undone by a person.
    assert.equal(last.ring().entries[0]!.owner, handsOut ? peer(1) : peer(3));
  }
});

Deno.test("a ring that was stored without a count of starts is read", () => {
  const first = new Bench();
  first.disk.set("ipam/ring", first.disk.get("ipam/ring")!.replace(/,"sure":\d+/g, ""));
  const second = new Bench({ disk: first.disk });
  assert.deepEqual(owners(second), owners(first));
  second.state({ ring: firstOf(first.ring(), 3, 1) });
  assert.equal(second.ring().entries[0]!.owner, peer(3));
});

Deno.test("a restart finds ring, members and holders as they were", () => {
  const first = new Bench();
  first.reach(2);
  first.pass(2_000);
  for (const ident of ["a", "b", "c"]) first.allocate(ident);
  first.release("b");
  first.claim("weave:expose", "192.168.7.1/24");
  first.feed({ kind: "message", source: peer(3), message: { kind: "request", range: rangeOf(first) } });
  const second = new Bench({ disk: first.disk, seed: 8 });
  assert.deepEqual(owners(second), owners(first));
  assert.deepEqual(second.allocator.status().held, first.allocator.status().held);
  assert.equal(told(second.allocate("c")), "10.32.0.3/22");
  assert.equal(told(second.allocate("d")), "10.32.0.2/22");
  const [life] = second.allocator.state().members!.members.map((member) => member.life);
  assert.equal(life, 2);
});

function owners(bench: Bench) {
  return bench.ring().entries.map(({ token, owner }) => [token, owner]);
}

function rangeOf(bench: Bench): { start: number; end: number } {
  const { start, end } = bench.ring();
  return { start, end };
}

Deno.test("versions after a crash are above all that others may have heard", () => {
  const first = new Bench();
  const heard = () => first.ring().entries[0]!.version;
  for (let i = 0; i < 200; i++) {
    first.allocate(`c${i}`);
    const version = heard(); // told to others, and perhaps not stored
    const second = new Bench({ disk: new Map(first.disk), seed: 8 });
    assert.ok(second.ring().entries[0]!.version > version, `${i}`);
  }
});

Deno.test("what another host, range or hand has written is discarded with a reason, and nothing else", () => {
  const notes = (bench: Bench) =>
    bench.effects.flatMap((effect) => effect.kind === "note" ? [effect.about] : []);
  const disk = () => {
    const bench = new Bench();
    bench.allocate("a");
    return bench.disk;
  };
  const other = new Bench({ disk: disk(), range: "10.33.0.0/22" });
  assert.deepEqual(notes(other), ["the stored ring has the range 10.32.0.0/22, not 10.33.0.0/22"]);
  const clone = new Bench({ disk: disk(), self: peer(2) });
  assert.equal(
    notes(clone)[0],
    "the stored ring is of peer 00:00:00:00:00:01, and this is 00:00:00:00:00:02",
  );
  for (const text of ["", "{", "null", "[]", '{"form":2}', '{"form":1,"peer":"00:00:00:00:00:01"}']) {
    const broken = disk();
    for (const key of ["ipam/ring", "ipam/members", "ipam/owned/a"]) broken.set(key, text);
    const bench = new Bench({ disk: broken });
    assert.equal(notes(bench).length, 3, text);
    assert.deepEqual(bench.allocator.status().held, []);
  }
  const wrong = disk();
  wrong.set("ipam/ring", wrong.get("ipam/ring")!.replace('"free":512', '"free":99999'));
  assert.match(
    notes(new Bench({ disk: wrong }))[0]!,
    /^the stored ring is unreadable|reporting too much free space/,
  );
});

Deno.test("two holders of one address in the store: the first keeps it", () => {
  const bench = new Bench();
  bench.allocate("a");
  bench.disk.set("ipam/owned/b", bench.disk.get("ipam/owned/a")!);
  const second = new Bench({ disk: bench.disk });
  assert.deepEqual(second.allocator.status().held.map(({ ident }) => ident), ["a"]);
  assert.ok(!second.disk.has("ipam/owned/b"));
});

Deno.test("an address whose range is ours no more is asked for again, and not handed out meanwhile", () => {
  const bench = new Bench();
  bench.allocate("a");
  bench.disk.delete("ipam/ring");
  const second = new Bench({ disk: bench.disk, init: { kind: "consensus", peers: 2 } });
  assert.deepEqual(second.allocator.status().held, []);
  assert.deepEqual(second.allocator.status().pendingClaims, [{ ident: "a", address: "10.32.0.1/22" }]);
  second.state({ ring: bench.ring() });
  second.pass(5_000);
  assert.deepEqual(second.allocator.status().held.map(({ ident }) => ident), ["a"]);
});

Deno.test("an address that was set aside and whose range is ours no more is not asked for again", () => {
  const bench = new Bench();
  const a = bench.allocate("a");
  assert.ok(a?.kind === "address");
  bench.feed({ kind: "set-aside", id: 900, ident: "a", ip: a.cidr.ip, forMs: 600_000 });
  bench.disk.delete("ipam/ring");
  const second = new Bench({ disk: bench.disk, init: { kind: "consensus", peers: 2 } });
  assert.deepEqual(second.allocator.status().pendingClaims, []);
  assert.equal([...second.disk.keys()].some((key) => key.includes("aside")), false);
});
