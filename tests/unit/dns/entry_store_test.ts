import assert from "node:assert/strict";
import { EntryStore } from "../../../mod/dns/records/entry_store.ts";
import { compareOnWire, type DnsEntry, entryIdentity } from "../../../mod/wire/dns/dns_gossip.ts";
import { check, fc } from "../properties.ts";
import { a, entry, peer } from "./bench.ts";

/** Few identities, so that many entries meet. */
const entries: fc.Arbitrary<DnsEntry[]> = fc.array(
  fc.record({
    origin: fc.integer({ min: 1, max: 3 }),
    hostname: fc.constantFrom("a.b.", "A.b.", "c.b."),
    container: fc.constantFrom("c1", "c2"),
    version: fc.integer({ min: 0, max: 3 }),
    tombstone: fc.constantFrom(0, 0, 7, 8),
    unhealthy: fc.boolean(),
  }).map(({ origin, ...rest }) =>
    entry({ ...rest, origin: peer(origin), unhealthy: rest.unhealthy && rest.tombstone > 0 })
  ),
  { maxLength: 30 },
);

function storeOf(...lists: readonly (readonly DnsEntry[])[]): EntryStore {
  const store = new EntryStore(() => {});
  for (const list of lists) for (const each of list) store.merge(each);
  return store;
}

function contents(store: EntryStore): DnsEntry[] {
  return store.origins().flatMap((origin) => [...store.of(origin)]).sort(compareOnWire);
}

Deno.test("EntryStore merges in any order, in any grouping, and any number of times", () => {
  check(fc.property(entries, entries, entries, (x, y, z) => {
    const all = contents(storeOf(x, y, z));
    assert.deepEqual(contents(storeOf(z, y, x)), all);
    assert.deepEqual(contents(storeOf(contents(storeOf(x, y)), z)), all);
    assert.deepEqual(contents(storeOf(x, contents(storeOf(y, z)))), all);
    assert.deepEqual(contents(storeOf(x, y, z, y, x)), all);
  }));
});

Deno.test("EntryStore says what was news, and its sums are equal exactly where contents are", () => {
  check(fc.property(entries, entries, (x, y) => {
    const [store, other] = [storeOf(x), storeOf(x, y)];
    const before = contents(store);
    let news = false;
    for (const each of y) news = store.merge(each) || news;
    assert.equal(news, JSON.stringify(before) !== JSON.stringify(contents(store)));
    assert.equal(store.total, other.total);
    assert.equal(store.size, contents(store).length);
    assert.equal(storeOf(x).total === store.total, !news);
    const sums = new Map(store.digests().map(({ origin, sum }) => [origin, sum]));
    for (const { origin, sum } of other.digests()) assert.equal(sums.get(origin), sum);
  }));
});

Deno.test("EntryStore is empty, and so is its sum, when all is dropped", () => {
  check(fc.property(entries, (x) => {
    const store = storeOf(x);
    for (const each of x) store.drop(each);
    assert.deepEqual([store.size, store.total, store.digests()], [0, 0, []]);
  }));
});

Deno.test("EntryStore tells of each change what was and what is", () => {
  check(fc.property(entries, (x) => {
    const mirror = new Map<string, DnsEntry>();
    const key = (one: DnsEntry) => `${one.origin} ${entryIdentity(one)}`;
    const store = new EntryStore((before, after) => {
      assert.deepEqual(before, mirror.get(key((after ?? before)!)));
      if (after === undefined) mirror.delete(key(before!));
      else mirror.set(key(after), after);
    }, { together: 5, origin: 3 });
    for (const each of x) store.merge(each);
    assert.deepEqual([...mirror.values()].sort(compareOnWire), contents(store));
  }));
});

Deno.test("EntryStore keeps shares: nobody crowds others out", () => {
  const store = new EntryStore(() => {}, { together: 100, origin: 80 });
  const of = (origin: number, i: number, change: Partial<DnsEntry> = {}) =>
    entry({ origin: peer(origin), ...a(`10.0.${origin}.${i}`), ...change });
  let taken = 0;
  for (let i = 0; i < 200; i++) if (store.merge(of(1, i))) taken++;
  assert.equal(taken, 80, "one origin has its bound");
  for (let i = 0; i < 200; i++) store.merge(of(2, i));
  for (let i = 0; i < 200; i++) store.merge(of(3, i));
  assert.equal(store.size, 100);
  for (const origin of [1, 2, 3]) {
    assert.ok(store.sizeOf(peer(origin)) >= 33, `${store.sizeOf(peer(origin))}`);
  }
});

Deno.test("EntryStore lets deleted entries of an origin make way for its living ones", () => {
  const store = new EntryStore(() => {}, { together: 100, origin: 3 });
  for (let i = 0; i < 3; i++) store.merge(entry({ ...a(`10.0.0.${i}`), tombstone: i === 1 ? 5 : 0 }));
  assert.equal(store.merge(entry(a("10.0.0.9"))), true);
  assert.equal(store.merge(entry(a("10.0.0.10"))), false);
  assert.deepEqual(contents(store).map(({ addr }) => addr & 0xff), [0, 2, 9]);
});

Deno.test("EntryStore: this host's own entries make no way for those of others, however many it has", () => {
  const store = new EntryStore(() => {}, { together: 10, origin: 8 }, peer(1));
  const put = (origin: number, n: number) => store.put(entry({ origin: peer(origin), hostname: `n${n}.b.` }));
  for (let n = 0; n < 8; n++) assert.ok(put(1, n));
  for (let n = 0; n < 2; n++) assert.ok(put(2, n));
  assert.ok(put(3, 0), "one of another's makes way");
  assert.equal(store.sizeOf(peer(1)), 8);
  assert.equal(store.sizeOf(peer(2)), 1);
});
