/** Names of hosts whose daemon is away: how long they stay, and what ends that. */
import assert from "node:assert/strict";
import type { Ip } from "../../../mod/core/addr.ts";
import type { Parting } from "../../../mod/core/ports.ts";
import type { Millis } from "../../../mod/core/time.ts";
import {
  ABSENCE_MS,
  AbsentNames,
  FIRST_KNOCK_MS,
  KNOCK_MS,
  MAX_ABSENT_NAMES,
  RETURNED_MS,
} from "../../../mod/dns/records/absent_names.ts";
import { bestOf } from "../../../mod/dns/records/name_index.ts";
import type { DnsEntry } from "../../../mod/wire/dns/dns_gossip.ts";
import { a, Bench, entry, peer } from "./bench.ts";

const ADDRESS = { ip: "192.0.2.2" as Ip, port: 6783 };

/** A bench on which peer 2 has said a name, and what its watcher has of it now. */
class Watched {
  readonly names: DnsEntry[] = [];
  readonly bench = new Bench((before, after) => {
    if (before !== undefined) this.names.splice(this.names.indexOf(before), 1);
    if (after !== undefined) this.names.push(after);
  });

  constructor() {
    this.bench.hear([entry(), entry({ container: "c2", ...a("10.32.0.2") })]);
  }

  /** Peer 2 is away. */
  part(carried = true): void {
    const parting: Parting = { at: this.bench.now as Millis, address: ADDRESS, carried };
    this.bench.known.delete(peer(2));
    this.bench.effects = [];
    this.bench.channel.onPeersRemoved([peer(2)], new Map([[peer(2), parting]]));
  }

  /** Time passes; the effects. */
  after(ms: number): Bench["effects"] {
    this.bench.now += ms;
    return [...this.bench.feed({ kind: "wake" })];
  }

  get kept(): number {
    return this.names.filter(({ away }) => away === true).length;
  }
}

Deno.test("Directory: names of a peer whose host is there stay for a minute, and nobody else hears of them", () => {
  const watched = new Watched();
  const total = watched.bench.directory.store.total;
  watched.part();
  assert.deepEqual([watched.names.length, watched.kept], [2, 2]);
  assert.notEqual(watched.bench.directory.store.total, total, "they do not count when neighbours compare");
  assert.equal(watched.bench.directory.store.size, 0);
  watched.after(ABSENCE_MS.carried - 1);
  assert.equal(watched.names.length, 2);
  watched.after(1);
  assert.equal(watched.names.length, 0);
  assert.equal(watched.bench.directory.nextWake(), Infinity);
});

Deno.test("Directory: where only the daemon carried traffic they stay for ten seconds", () => {
  const watched = new Watched();
  watched.part(false);
  watched.after(ABSENCE_MS.cut - 1);
  assert.equal(watched.names.length, 2);
  watched.after(1);
  assert.equal(watched.names.length, 0);
});

Deno.test("Directory: a peer that left without such a word takes its names along, also those that were kept", () => {
  const watched = new Watched();
  watched.part();
  watched.bench.channel.onPeersRemoved([peer(2)]);
  assert.equal(watched.names.length, 0);
});

Deno.test("Directory: deleted names are not kept", () => {
  const watched = new Watched();
  watched.bench.hear([entry({ version: 1, tombstone: watched.bench.wall })]);
  watched.part();
  assert.equal(watched.kept, 1);
});

Deno.test("Directory: the host of an absent peer is knocked at; after two knocks without an answer its names go", () => {
  const watched = new Watched();
  const { bench } = watched;
  watched.part();
  assert.equal(bench.directory.nextWake(), bench.now + FIRST_KNOCK_MS);
  const knock = { kind: "knock", peer: peer(2), address: ADDRESS };
  assert.deepEqual(watched.after(FIRST_KNOCK_MS), [knock]);
  assert.deepEqual(watched.after(500), [], "one at a time");
  bench.feed({ kind: "knocked", peer: peer(2), result: "refused" });
  assert.equal(bench.directory.nextWake(), bench.now + KNOCK_MS.refused);
  assert.deepEqual(watched.after(KNOCK_MS.refused), [knock]);
  bench.feed({ kind: "knocked", peer: peer(2), result: "nothing" });
  assert.equal(watched.names.length, 2, "one may be lost");
  assert.deepEqual(watched.after(0), [knock]);
  bench.feed({ kind: "knocked", peer: peer(2), result: "nothing" });
  assert.equal(watched.names.length, 0);
  bench.feed({ kind: "knocked", peer: peer(2), result: "refused" });
  assert.equal(bench.directory.nextWake(), Infinity, "a late answer changes nothing");
});

Deno.test("Directory: who is back tells its names anew without a gap; what it does not tell goes after ten seconds", () => {
  const watched = new Watched();
  const { bench } = watched;
  watched.part();
  watched.after(5_000);
  bench.known.add(peer(2));
  bench.channel.onNeighbour(peer(2), bench.now as Millis);
  assert.equal(watched.kept, 2);
  bench.hear([entry()]);
  assert.deepEqual([watched.names.length, watched.kept], [2, 1]);
  watched.after(RETURNED_MS - 1);
  assert.equal(watched.names.length, 2);
  watched.after(1);
  assert.deepEqual(watched.names, [entry()]);
});

Deno.test("Directory: what a peer that is back says to be deleted is", () => {
  const watched = new Watched();
  const { bench } = watched;
  watched.part();
  bench.known.add(peer(2));
  bench.hear([entry({ version: 3, tombstone: bench.wall })]);
  assert.equal(watched.names.filter(({ tombstone }) => tombstone === 0).length, 1);
  assert.equal(watched.kept, 1);
});

Deno.test("AbsentNames keeps a bounded number of names", () => {
  let all = 0;
  const absent = new AbsentNames((before, after) =>
    all += Number(after !== undefined) - Number(before !== undefined)
  );
  absent.begin(peer(2), { at: 0 as Millis, address: ADDRESS, carried: true });
  for (let i = 0; i <= MAX_ABSENT_NAMES; i++) absent.add(entry({ container: `c${i}` }));
  assert.deepEqual([absent.size, all], [MAX_ABSENT_NAMES, MAX_ABSENT_NAMES]);
  absent.drop(peer(2));
  assert.deepEqual([absent.size, all], [0, 0]);
});

Deno.test("bestOf() takes targets of connected hosts first, then those of absent ones, then those that do not answer", () => {
  const [here, away, ill] = [entry(), entry({ away: true }), entry({ unhealthy: true })];
  assert.deepEqual(bestOf([here, away, ill]), [here]);
  assert.deepEqual(bestOf([away, ill]), [away]);
  assert.deepEqual(bestOf([ill]), [ill]);
  assert.deepEqual(bestOf([]), []);
});
