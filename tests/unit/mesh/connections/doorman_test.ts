import assert from "node:assert/strict";
import { type Ip, isIpv4 } from "../../../../mod/core/addr.ts";
import type { Millis } from "../../../../mod/core/time.ts";
import type { Connection } from "../../../../mod/mesh/connections/connection.ts";
import {
  Doorman,
  MAX_SOURCES,
  MAX_WAITING,
  neighbourhoodOf,
  PER_SOURCE,
  SOURCE_RATE,
  sourceOf,
  STRANGER_RATE,
} from "../../../../mod/mesh/connections/doorman.ts";

const at = (ms: number) => ms as Millis;
const GREEDY = "192.0.2.66" as Ip;
const PEER = "192.0.2.2" as Ip;
const NEWCOMER = "192.0.2.3" as Ip;
/** Each of another network than the one before. */
const stranger = (i: number) => `10.${i & 255}.${(i >> 8) & 255}.${i >> 16}` as Ip;

/** Connections by who let them in. */
class Door {
  readonly doorman = new Doorman(at(0));
  readonly inside = new Set<Connection>();
  now = 0;

  /** Somebody connects and says nothing; whether it was let in. */
  call(ip: Ip, given = false): Connection | undefined {
    if (!this.doorman.mayEnter(ip, given, at(this.now))) return undefined;
    const connection = { origin: { remote: { ip, port: 1 } } } as unknown as Connection;
    const victim = this.doorman.begin(connection, at(this.now));
    if (victim !== undefined) this.leave(victim);
    this.inside.add(connection);
    return connection;
  }
  leave(connection: Connection): void {
    this.inside.delete(connection);
    this.doorman.over(connection);
  }
}

Deno.test("sourceOf() takes the /64 network of an IPv6 address for one source", () => {
  assert.equal(sourceOf("192.0.2.1" as Ip), "192.0.2.1");
  assert.equal(sourceOf("2001:db8::1" as Ip), sourceOf("2001:db8::ffff:2" as Ip));
  assert.notEqual(sourceOf("2001:db8::1" as Ip), sourceOf("2001:db8:0:1::1" as Ip));
});

Deno.test("neighbourhoodOf() takes what one customer may have for one network", () => {
  assert.equal(neighbourhoodOf("192.0.2.1" as Ip), neighbourhoodOf("192.0.2.255" as Ip));
  assert.notEqual(neighbourhoodOf("192.0.2.1" as Ip), neighbourhoodOf("192.0.3.1" as Ip));
  assert.equal(neighbourhoodOf("2001:db8::1" as Ip), neighbourhoodOf("2001:db8:0:ffff::2" as Ip));
  assert.notEqual(neighbourhoodOf("2001:db8::1" as Ip), neighbourhoodOf("2001:db8:1::1" as Ip));
});

Deno.test("Doorman lets peers and newcomers in while one stranger opens connections without end", () => {
  const door = new Door();
  door.doorman.befriend(PEER);
  for (; door.now < 10_000; door.now++) {
    door.call(GREEDY);
    assert.ok(door.inside.size <= PER_SOURCE + 2);
    if (door.now % 1_000 !== 500) continue;
    for (const ip of [PEER, NEWCOMER]) {
      const connection = door.call(ip);
      assert.ok(connection !== undefined, `${ip} at ${door.now}`);
      for (let i = 0; i < 200; i++) door.call(GREEDY); // while it is introduced
      assert.ok(door.inside.has(connection), `${ip} is put out at ${door.now}`);
      door.leave(connection);
    }
  }
  const most = SOURCE_RATE.burst + 10_000 / SOURCE_RATE.refill;
  assert.ok(door.doorman.turnedAway >= 10_000 - most);
});

Deno.test("Doorman lets peers and given targets in while thousands of strangers hold all their room", () => {
  const door = new Door();
  door.doorman.befriend(PEER);
  for (let i = 0; i < 3 * MAX_SOURCES; i++) {
    door.now += 1;
    door.call(stranger(i));
  }
  assert.equal(door.inside.size, MAX_WAITING.stranger);
  assert.equal(door.call(NEWCOMER), undefined, "strangers have a rate together");
  const [peer, given] = [door.call(PEER), door.call("192.0.2.9" as Ip, true)];
  for (let i = 0; i < 1_000; i++) door.call(stranger(i));
  assert.ok(door.inside.has(peer!) && door.inside.has(given!));
  door.now += STRANGER_RATE.refill;
  const newcomer = door.call(NEWCOMER);
  assert.ok(newcomer !== undefined, "it has the chance of any other stranger");
  assert.ok(door.inside.size <= MAX_WAITING.stranger + 2);
});

Deno.test("Doorman lets a newcomer in although somebody calls from every address of a large network", () => {
  for (const [greedy, newcomer] of [["2001:db8:1:", "2001:db8:2::1"], ["198.51.100.", NEWCOMER]] as const) {
    const door = new Door();
    for (let i = 0; door.now < 20_000; i++, door.now++) {
      door.call(
        (isIpv4(newcomer as Ip) ? `${greedy}${i % 256}` : `${greedy}${(i + 1).toString(16)}::1`) as Ip,
      );
      if (door.now % 500 !== 499) continue;
      const connection = door.call(newcomer as Ip);
      assert.ok(connection !== undefined, `${newcomer} at ${door.now}`);
      door.leave(connection);
    }
  }
});

Deno.test("Doorman makes the source leave that has most, its oldest connection first", () => {
  const door = new Door();
  for (let i = 0; i < MAX_WAITING.stranger - 3; i++) {
    door.now += STRANGER_RATE.refill;
    door.call(stranger(i));
  }
  const [oldest, second, third] = [door.call(GREEDY), door.call(GREEDY), door.call(GREEDY)];
  door.now += 10 * STRANGER_RATE.refill;
  door.call(NEWCOMER);
  assert.deepEqual([oldest, second, third].map((each) => door.inside.has(each!)), [false, true, true]);
});

Deno.test("Doorman counts right when a stranger becomes a friend", () => {
  const door = new Door();
  const connections = [door.call(PEER)!, door.call(PEER)!];
  door.doorman.befriend(PEER);
  door.call(PEER);
  for (const connection of connections) door.leave(connection);
  for (let i = 0; i < MAX_WAITING.stranger; i++) {
    door.now += STRANGER_RATE.refill;
    assert.ok(door.call(stranger(i)) !== undefined);
  }
  assert.equal(door.inside.size, MAX_WAITING.stranger + 1, "no place was lost");
});
