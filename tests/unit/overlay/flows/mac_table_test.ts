import assert from "node:assert/strict";
import type { Mac } from "../../../../mod/core/addr.ts";
import type { ShortId } from "../../../../mod/core/names.ts";
import type { Millis } from "../../../../mod/core/time.ts";
import { LOOP_GUARD_MS, MAC_MAX_AGE_MS, MacTable } from "../../../../mod/overlay/flows/mac_table.ts";
import { isLocalPlace, localPlace, peerPlace, type Place } from "../../../../mod/overlay/flows/place.ts";
import type { PortNo } from "../../../../mod/wire/netlink/ovs_keys.ts";
import { seededRandom, withSeed } from "../../properties.ts";

const LIMITS = { total: 12, perPort: 3, perPeer: 5 };
const at = (ms: number) => ms as Millis;
const mac = (n: number) => n as Mac;
const port = (n: number) => localPlace(n as PortNo);
const peer = (n: number) => peerPlace(n as ShortId);

Deno.test("MacTable follows moves between local ports at once", () => {
  const table = new MacTable(LIMITS);
  assert.equal(table.learn(mac(1), port(2), at(0)), "new");
  assert.equal(table.learn(mac(1), port(2), at(1)), "same");
  assert.equal(table.learn(mac(1), port(3), at(2)), "moved");
  assert.equal(table.placeOf(mac(1)), port(3));
});

Deno.test("MacTable believes a local port over a peer only when the peer was silent for two seconds", () => {
  const table = new MacTable(LIMITS);
  table.learn(mac(1), peer(7), at(0));
  assert.equal(table.learn(mac(1), port(2), at(LOOP_GUARD_MS - 1)), "guarded");
  table.refresh(mac(1), peer(7), at(LOOP_GUARD_MS - 1));
  assert.equal(table.learn(mac(1), port(2), at(LOOP_GUARD_MS)), "moved", "what a sweep saw is no frame");
  assert.equal(table.learn(mac(1), peer(7), at(LOOP_GUARD_MS)), "moved", "peers are believed at once");
});

Deno.test("MacTable keeps within bounds: who has used up his share gives up his own, what is in use last", () => {
  const table = new MacTable(LIMITS);
  for (let n = 1; n <= 100; n++) table.learn(mac(n), port(1), at(n));
  assert.equal(table.size, LIMITS.perPort);
  assert.deepEqual(table.takeEvicted(), Array.from({ length: 97 }, (_, i) => i + 1));
  assert.deepEqual(table.takeEvicted(), []);
  table.learn(mac(98), port(1), at(101));
  for (let n = 101; n <= 102; n++) table.learn(mac(n), port(1), at(n));
  assert.deepEqual([...table.takeEvicted()], [99, 100], "98 is in use");
  assert.equal(table.learn(mac(500), port(2), at(200)), "new", "others are not concerned");
  assert.equal(table.learn(mac(500), port(1), at(200)), "full");
  assert.equal(table.placeOf(mac(500)), port(2));
  for (let n = 1000; n < 1100; n++) table.learn(mac(n), peer(n % 10), at(300));
  assert.equal(table.size, LIMITS.total);
  const crowded = new MacTable(LIMITS);
  for (let n = 1000; n < 1100; n++) crowded.learn(mac(n), peer(n % 10), at(0));
  assert.equal(crowded.size, LIMITS.total * 3 / 4, "peers leave a quarter to local ports");
  for (let n = 2000; n < 2100; n++) crowded.learn(mac(n), port(n % 10), at(0));
  assert.equal(crowded.size, LIMITS.total);
});

Deno.test("MacTable never lets a supposition override anything, and a frame overrides it", () => {
  const table = new MacTable(LIMITS);
  table.learn(mac(1), port(1), at(0));
  table.suppose(mac(1), peer(2), at(0));
  assert.equal(table.placeOf(mac(1)), port(1));
  table.suppose(mac(2), peer(2), at(0));
  table.suppose(mac(3), peer(2), at(0));
  table.suppose(mac(4), peer(2), at(0));
  assert.equal(table.learn(mac(2), port(3), at(0)), "moved");
  table.refresh(mac(3), peer(2), at(5));
  table.refresh(mac(4), peer(9), at(5));
  assert.deepEqual(table.forgetTentative(), [4]);
});

Deno.test("MacTable carries the addresses of a renamed peer over", () => {
  const table = new MacTable(LIMITS);
  table.learn(mac(1), peer(2), at(0));
  table.learn(mac(2), peer(2), at(0));
  assert.deepEqual(table.renamePlace(peer(2), peer(3)), [1, 2]);
  assert.equal(table.placeOf(mac(1)), peer(3));
  assert.deepEqual(table.forgetPlace(peer(3)), [1, 2]);
  assert.equal(table.size, 0);
});

interface Row {
  mac: Mac;
  place: Place;
  seen: number;
  shown: number;
  used: boolean;
}

/** The same table, slow and obvious. Rows of one place are in the order in which they may be given up. */
class Model {
  rows: Row[] = [];
  row(mac: Mac) {
    return this.rows.find((row) => row.mac === mac);
  }
  room(place: Place) {
    const limit = isLocalPlace(place) ? LIMITS.perPort : LIMITS.perPeer;
    return this.rows.filter((row) => row.place === place).length < limit;
  }
  full(place: Place) {
    const remote = this.rows.filter((row) => !isLocalPlace(row.place)).length;
    return this.rows.length >= LIMITS.total || !this.room(place) ||
      !isLocalPlace(place) && remote >= LIMITS.total * 3 / 4;
  }
  /** Puts a row behind all others. */
  last(row: Row) {
    this.rows = [...this.rows.filter((other) => other !== row), row];
  }
  evict(place: Place): boolean {
    for (;;) {
      const first = this.rows.find((row) => row.place === place);
      if (first === undefined) return false;
      this.last(first);
      if (first.used) first.used = false;
      else return this.rows.pop() !== undefined;
    }
  }
  learn(mac: Mac, place: Place, now: number): string {
    const row = this.row(mac);
    if (row === undefined) {
      if (this.full(place) && !this.evict(place)) return "full";
      this.rows.push({ mac, place, seen: now, shown: now, used: false });
      return "new";
    }
    const moves = row.place !== place;
    const fromPeer = !isLocalPlace(row.place);
    if (moves && isLocalPlace(place) && fromPeer && now - row.shown < LOOP_GUARD_MS) return "guarded";
    if (moves && !this.room(place)) return "full";
    Object.assign(row, { place, seen: now, shown: now, used: !moves });
    if (moves) this.last(row);
    return moves ? "moved" : "same";
  }
}

Deno.test("MacTable behaves like a slow model", () => {
  withSeed(() => {
    const random = seededRandom();
    const table = new MacTable(LIMITS);
    const model = new Model();
    let now = 0;
    for (let step = 0; step < 20_000; step++) {
      now += random.below(3) === 0 ? random.below(2_000) : 1;
      const m = mac(1 + random.below(20));
      const place = random.below(2) === 0 ? port(random.below(4)) : peer(random.below(3));
      const what = random.below(100);
      if (what < 70) assert.equal(table.learn(m, place, at(now)), model.learn(m, place, now));
      else if (what < 90) {
        table.refresh(m, place, at(now));
        const row = model.row(m);
        if (row?.place === place) Object.assign(row, { seen: now, used: true });
      } else if (what < 93) {
        table.forgetPlace(place);
        model.rows = model.rows.filter((row) => row.place !== place);
      } else if (what < 94) now += random.below(MAC_MAX_AGE_MS);
      else {
        table.age(at(now));
        model.rows = model.rows.filter((row) => now - row.seen < MAC_MAX_AGE_MS);
      }
      assert.equal(table.size, model.rows.length);
      assert.equal(table.localSize, model.rows.filter((row) => isLocalPlace(row.place)).length);
      for (const row of model.rows) assert.equal(table.placeOf(row.mac), row.place);
    }
  });
});
