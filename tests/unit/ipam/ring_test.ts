import assert from "node:assert/strict";
import { parseCidr, parseIp } from "../../../mod/core/addr.ts";
import { type PeerName, peerNameFromNumber } from "../../../mod/core/names.ts";
import { distance, type Entry, Ring, sharedOut } from "../../../mod/ipam/ring.ts";
import { mergeRings, ringFault } from "../../../mod/ipam/ring_merge.ts";
import { ipv4Text, type Span, Universe } from "../../../mod/ipam/universe.ts";
import { check, fc } from "../properties.ts";
import { loadVectors } from "../vectors.ts";

interface EntryJson {
  readonly token: string;
  readonly peer: PeerName;
  readonly version: number;
  readonly free: number;
}
interface RingJson {
  readonly start: string;
  readonly endExclusive: string;
  readonly entries: readonly EntryJson[] | null;
  readonly seeds: readonly PeerName[];
}
interface Case extends RingJson {
  readonly op: "claimForPeers" | "grant" | "merge";
  readonly desc?: string;
  readonly me: PeerName;
  readonly to: PeerName;
  readonly before: readonly EntryJson[];
  readonly grantStart: string;
  readonly grantEndExclusive: string;
  readonly mine: RingJson;
  readonly theirs: RingJson;
  readonly iHaveAllocations: boolean;
  readonly error: string | null;
  readonly updated: boolean;
  readonly result: never;
}

const universe = (() => {
  const made = Universe.of(parseCidr("0.0.0.0/1")!);
  assert.ok(made.ok);
  return made.value;
})();
const at = (text: string) => universe.offsetOf(parseIp(text)!)!;
const peer = (n: number) => peerNameFromNumber(n)!;

/** Vectors have universes that are no subnets; what counts is where they start. */
function entriesOf(start: string, list: readonly EntryJson[] | null): Entry[] {
  return (list ?? []).map(({ token, peer, version, free }) => ({
    ...{ token: at(token) - at(start), owner: peer, version, free },
  }));
}

for (const each of loadVectors<{ cases: Case[] }>("ipam-ring").cases) {
  const { op, start, endExclusive } = each;
  if (op === "claimForPeers") {
    Deno.test(`Ring.seed() shares out ${start} to ${endExclusive} among ${each.seeds.length}`, () => {
      const ring = new Ring(at(endExclusive) - at(start), peer(1));
      ring.seed((each.seeds as unknown as number[]).map(peer));
      assert.deepEqual(ring.entries, entriesOf(start, each.result));
    });
  } else if (op === "grant") {
    Deno.test(`Ring.grant(): ${each.desc}`, () => {
      const ring = new Ring(at(endExclusive) - at(start), each.me, entriesOf(start, each.before));
      const [from, to] = [at(each.grantStart), at(each.grantEndExclusive)].map((x) => x - at(start));
      ring.grant({ start: from!, end: to! }, each.to);
      assert.deepEqual(ring.entries, entriesOf(start, each.result));
    });
  } else {
    Deno.test(`mergeRings(): ${each.desc}`, () => {
      const { mine, theirs } = each;
      const size = at(mine.endExclusive) - at(mine.start);
      const content = ({ start, entries, seeds }: RingJson) => ({
        entries: entriesOf(start, entries),
        seeds,
      });
      const textOf = (token: number) => ipv4Text(at(mine.start) + token);
      const options = {
        ...{ self: each.me, size, textOf, isLost: () => false, allFree: () => !each.iHaveAllocations },
        fromDisk: undefined,
      };
      const sameRange = mine.start === theirs.start && mine.endExclusive === theirs.endExclusive;
      const fault = sameRange ? ringFault(content(theirs).entries, options) : undefined;
      if (!sameRange) return assert.equal(each.error, "Received range differs from ours");
      const merged = mergeRings(content(mine), content(theirs), options);
      if (each.error === null) {
        assert.ok(merged.kind === "merged");
        const result = each.result as RingJson;
        assert.deepEqual(merged.ring, content(result));
        assert.equal(merged.changed, each.updated);
      } else if (/seeded differently/.test(each.error)) assert.equal(merged.kind, "different-seeds");
      else assert.equal(fault ?? (merged.kind === "refused" && merged.reason), each.error);
    });
  }
}

const NEVER_LOST = { isLost: () => false, textOf: String };

/** A history: grants among peers of one ring, of which each sees a part. Nobody has allocated anything. */
const history = fc.array(
  fc.tuple(fc.nat(4), fc.nat(4), fc.nat(63), fc.integer({ min: 1, max: 16 })),
  { maxLength: 12 },
);

/** Copies of a ring as they were at points of its history: always of the owner that granted, so none contradicts. */
function copies(steps: readonly (readonly [number, number, number, number])[]): Entry[][] {
  const size = 64;
  const peers = [1, 2, 3, 4, 5].map(peer);
  let entries: readonly Entry[] = sharedOut(size, peers);
  const out = [[...entries]];
  for (const [, to, start, length] of steps) {
    const owner = new Ring(size, peer(1), entries).ownerOf(start)!;
    const ring = new Ring(size, owner, entries);
    const mine = ring.rangesOf(owner).find((span) => span.start <= start && start < span.end)!;
    const end = Math.min(mine.end, start + length);
    if (owner === peers[to]) continue;
    ring.grant({ start, end }, peers[to]!);
    ring.report((span) => span.end - span.start);
    entries = ring.entries;
    out.push([...entries]);
  }
  return out;
}

Deno.test("mergeRings() is commutative, associative and idempotent on copies of one history", () => {
  check(fc.property(history, fc.nat(), fc.nat(), fc.nat(), (steps, a, b, c) => {
    const all = copies(steps);
    const pick = (n: number) => ({ entries: all[n % all.length]!, seeds: [] });
    const observer = { self: peer(99), size: 64, allFree: () => true, fromDisk: undefined, ...NEVER_LOST };
    const merge = (x: { entries: readonly Entry[] }, y: { entries: readonly Entry[] }) => {
      const merged = mergeRings(
        { entries: x.entries, seeds: [] },
        { entries: y.entries, seeds: [] },
        observer,
      );
      assert.ok(merged.kind === "merged");
      return { entries: merged.ring.entries };
    };
    const [x, y, z] = [pick(a), pick(b), pick(c)];
    assert.deepEqual(merge(x, y).entries, merge(y, x).entries, "commutative");
    assert.deepEqual(merge(merge(x, y), z).entries, merge(x, merge(y, z)).entries, "associative");
    assert.deepEqual(merge(x, x).entries, x.entries, "idempotent");
    assert.deepEqual(merge(merge(x, y), y).entries, merge(x, y).entries, "absorbs");
  }));
});

Deno.test("Ring.grant() gives each address to whom a plain table says, and nothing else changes hands", () => {
  check(fc.property(history, (steps) => {
    const size = 64;
    const peers = [1, 2, 3, 4, 5].map(peer);
    let ring = new Ring(size, peers[0]!, sharedOut(size, peers));
    const table = Array.from({ length: size }, (_, i) => ring.ownerOf(i)!);
    for (const [by, to, start, length] of steps) {
      ring = new Ring(size, peers[by]!, ring.entries);
      const mine = ring.rangesOf(peers[by]!).find((span) => span.start <= start && start < span.end);
      if (mine === undefined || by === to) continue;
      const end = Math.min(mine.end, start + length);
      ring.grant({ start, end }, peers[to]!);
      table.fill(peers[to]!, start, end);
      assert.deepEqual(Array.from({ length: size }, (_, i) => ring.ownerOf(i)), table);
      assert.equal(ringFault(ring.entries, { size, textOf: String }), undefined);
      for (const each of peers) assert.deepEqual(flat(ring.rangesOf(each)), indices(table, each));
    }
  }));
});

function flat(spans: readonly Span[]): number[] {
  return spans.flatMap(({ start, end }) => Array.from({ length: end - start }, (_, i) => start + i));
}

function indices(table: readonly PeerName[], owner: PeerName): number[] {
  return table.flatMap((each, i) => each === owner ? [i] : []);
}

Deno.test("mergeRings() does not believe what a lost peer says against us, and tells the others so", () => {
  const mine = [{ token: 0, owner: peer(1), version: 105, free: 60 }];
  const theirs = [
    { token: 0, owner: peer(2), version: 155, free: 0 },
    { token: 32, owner: peer(2), version: 3, free: 0 },
  ];
  const options = { self: peer(1), size: 64, allFree: () => false, fromDisk: undefined, textOf: String };
  const content = (entries: Entry[]) => ({ entries, seeds: [] });
  const merged = mergeRings(content(mine), content(theirs), { ...options, isLost: (p) => p === peer(2) });
  assert.ok(merged.kind === "merged" && merged.changed);
  assert.deepEqual(merged.ring.entries, [{ token: 0, owner: peer(1), version: 156, free: 60 }]);
  assert.equal(
    mergeRings(content(mine), content(theirs), { ...options, isLost: () => false }).kind,
    "refused",
  );
});

Deno.test("a ring whose first token is not its first address wraps", () => {
  const entries = [
    { token: 8, owner: peer(2), version: 0, free: 24 },
    { token: 32, owner: peer(1), version: 0, free: 40 },
  ];
  const ring = new Ring(64, peer(1), entries);
  assert.deepEqual(ring.rangesOf(peer(1)), [{ start: 0, end: 8 }, { start: 32, end: 64 }]);
  assert.equal(ring.ownerOf(3), peer(1));
  assert.equal(distance(32, 8, 64), 40);
  assert.equal(ring.report((span) => span.end - span.start - 1), true);
  assert.equal(ring.entries[1]!.free, 38);
  ring.grant({ start: 2, end: 5 }, peer(3));
  assert.deepEqual(ring.rangesOf(peer(3)), [{ start: 2, end: 5 }]);
  assert.deepEqual(ring.rangesOf(peer(1)), [{ start: 0, end: 2 }, { start: 5, end: 8 }, {
    start: 32,
    end: 64,
  }]);
  assert.equal(ringFault(ring.entries, { size: 64, textOf: String }), undefined);
});

Deno.test("mergeRings() believes others about what we gave away, while all that we know comes from the disk", () => {
  const entry = (token: number, owner: number, version: number, free = 16) => ({
    ...{ token, owner: peer(owner), version, free },
  });
  const mine = { entries: [entry(0, 1, 70, 32), entry(32, 1, 66, 32)], seeds: [] };
  const theirs = { entries: [entry(0, 1, 7), entry(16, 2, 0), entry(32, 2, 3, 32)], seeds: [] };
  const options = { self: peer(1), size: 64, allFree: () => false, isLost: () => false, textOf: String };
  assert.equal(mergeRings(mine, theirs, { ...options, fromDisk: undefined }).kind, "refused");
  const fromDisk = new Map([[0, 6], [32, 2]]);
  const merged = mergeRings(mine, theirs, { ...options, fromDisk });
  assert.ok(merged.kind === "merged");
  assert.deepEqual(merged.ring.entries, [entry(0, 1, 70), entry(16, 2, 0), entry(32, 2, 3, 32)]);
  const older = { entries: [entry(0, 2, 6, 32), entry(32, 2, 2, 32)], seeds: [] };
  const kept = mergeRings(mine, older, { ...options, fromDisk });
  assert.ok(kept.kind === "merged", "they say what was before we got it");
  assert.deepEqual(kept.ring.entries, mine.entries);
});

Deno.test("mergeRings() bounds a free count of another owner's that is older than the next token", () => {
  const entry = (token: number, owner: number, version: number, free: number) => ({
    ...{ token, owner: peer(owner), version, free },
  });
  const mine = { entries: [entry(0, 2, 1, 16), entry(16, 3, 0, 48)], seeds: [] };
  const theirs = { entries: [entry(0, 2, 9, 60)], seeds: [] };
  const options = { self: peer(1), size: 64, allFree: () => true, isLost: () => false, textOf: String };
  const merged = mergeRings(mine, theirs, { ...options, fromDisk: undefined });
  assert.ok(merged.kind === "merged");
  assert.deepEqual(merged.ring.entries, [entry(0, 2, 9, 16), entry(16, 3, 0, 48)]);
});
