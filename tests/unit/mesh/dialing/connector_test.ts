import assert from "node:assert/strict";
import { type Endpoint, formatEndpoint, type Ip } from "../../../../mod/core/addr.ts";
import type { PeerName, PeerUid } from "../../../../mod/core/names.ts";
import type { Millis } from "../../../../mod/core/time.ts";
import type { LinkRecord, PeerRecord } from "../../../../mod/core/topology_record.ts";
import { PATIENCE } from "../../../../mod/mesh/dialing/reach.ts";
import type { ConnectorEffect } from "../../../../mod/mesh/dialing/connector_types.ts";
import { DIRECT_RETRY_START, RETRY_CAP } from "../../../../mod/mesh/dialing/retry.ts";
import { targetsAfter } from "../../../../mod/mesh/dialing/target_change.ts";
import type { AttemptId } from "../../../../mod/mesh/mesh_ids.ts";
import { seededRandom } from "../../properties.ts";
import { Bench, peer, SELF } from "./bench.ts";

const dials = (effects: readonly ConnectorEffect[]) =>
  effects.map((each) => each.kind === "dial" ? formatEndpoint(each.address) : each.kind);

Deno.test("Connector dials a direct address at once, completed with our own port", () => {
  const bench = new Bench();
  assert.deepEqual(bench.connect("192.0.2.1", "192.0.2.2:7000"), []);
  assert.deepEqual(dials(bench.due()), ["192.0.2.1:6783", "192.0.2.2:7000"]);
  assert.deepEqual(bench.due(), []);
  assert.equal(bench.view("192.0.2.1")?.state, "connecting");
});

Deno.test("Connector returns what it refuses, and keeps the rest", () => {
  const bench = new Bench();
  assert.equal(bench.connect("a:b", "192.0.2.1").length, 1);
  assert.deepEqual(bench.connector.direct, ["192.0.2.1"]);
});

Deno.test("Connector waits between tries of a direct target for times that grow from 200 ms to 360 s", () => {
  const bench = new Bench({ discovery: false });
  bench.connect("192.0.2.1");
  let interval = DIRECT_RETRY_START;
  for (let i = 0; i < 20; i++) {
    const attempt = bench.dial("192.0.2.1:6783");
    const before = bench.now;
    bench.ended(attempt, { reason: "nobody there" });
    const view = bench.view("192.0.2.1")!;
    assert.deepEqual([view.state, view.info], ["failed", "nobody there"]);
    const wait = view.retryAt! - before;
    assert.ok(wait >= interval / 2 && wait < interval * 1.5, `${wait} for ${interval}`);
    interval = Math.min(interval * 1.5, RETRY_CAP);
  }
  assert.equal(interval, RETRY_CAP);
  bench.dial("192.0.2.1:6783");
  assert.equal(bench.view("192.0.2.1")?.state, "retrying");
});

Deno.test("Connector looks a name up at each try, and tries its addresses in turn", () => {
  const bench = new Bench();
  bench.connect("peer.example.com:7000");
  const [lookUp] = bench.next();
  assert.ok(lookUp?.kind === "resolve");
  assert.equal(lookUp.host, "peer.example.com");
  bench.connector.resolved(lookUp.attempt, ["192.0.2.1" as Ip, "2001:db8::1" as Ip], bench.time);
  bench.ended(bench.dial("192.0.2.1:7000"));
  bench.ended(bench.dial("[2001:db8::1]:7000"));
  assert.equal(bench.view("peer.example.com:7000")?.state, "failed");
  const [again] = bench.next();
  assert.equal(again?.kind, "resolve");
  assert.ok(again?.kind === "resolve");
  const host = "peer.example.com";
  const reason = "the name has no address";
  assert.deepEqual(bench.connector.resolved(again.attempt, reason, bench.time), { host, reason });
  assert.equal(bench.view("peer.example.com:7000")?.info, "the name has no address");
  const lookUpAgain = (answer: readonly Ip[] | string) => {
    const [effect] = bench.next();
    assert.ok(effect?.kind === "resolve");
    return bench.connector.resolved(effect.attempt, answer, bench.time);
  };
  assert.equal(lookUpAgain(reason), undefined, "it is no news");
  assert.deepEqual(lookUpAgain("no server answers"), { host, reason: "no server answers" });
  assert.deepEqual(lookUpAgain(["192.0.2.1" as Ip]), { host, reason: undefined });
});

Deno.test("Connector retries at once a connection that lived long, and later one that did not", () => {
  const bench = new Bench();
  bench.connect("192.0.2.1");
  const attempt = bench.dial("192.0.2.1:6783");
  bench.connector.connected(attempt, peer(2), bench.time);
  assert.equal(bench.view("192.0.2.1")?.state, "connected");
  bench.now = 59_000;
  bench.ended(attempt, { peer: peer(2), used: true });
  assert.equal(bench.view("192.0.2.1")?.state, "failed");
  const second = bench.dial("192.0.2.1:6783");
  bench.connector.connected(second, peer(2), bench.time);
  const before = bench.now;
  bench.now += 70_000;
  bench.ended(second, { peer: peer(2), used: true });
  bench.dial("192.0.2.1:6783");
  assert.ok(bench.now - before < 71_000, "without a pause");
});

Deno.test("Connector gives up for good where it is told so, until the target is given again", () => {
  const bench = new Bench();
  bench.connect("192.0.2.1");
  bench.ended(bench.dial("192.0.2.1:6783"), { never: true, reason: "a clone" });
  const view = bench.view("192.0.2.1")!;
  assert.deepEqual([view.state, view.info, view.retryAt], ["failed", "a clone", Infinity]);
  assert.deepEqual(bench.next(), []);
  bench.connect("192.0.2.1");
  bench.dial("192.0.2.1:6783");
});

Deno.test("Connector says of its own address that it is this host, and dials it no more", () => {
  const bench = new Bench();
  bench.connect("192.0.2.1");
  bench.ended(bench.dial("192.0.2.1:6783"), { never: true, peer: SELF });
  bench.now += 100;
  bench.due();
  const view = bench.view("192.0.2.1")!;
  assert.equal(view.state, "itself");
  assert.match(view.info, /this host itself/);
  assert.deepEqual(bench.next(), []);
});

Deno.test("Connector does not dial a host that has dialled us, when no port was given", () => {
  const bench = new Bench();
  bench.connections = [{ peer: peer(2), address: "192.0.2.1:45678", outbound: false }];
  bench.connect("192.0.2.1");
  assert.deepEqual(bench.next(), []);
  assert.equal(bench.view("192.0.2.1")?.state, "satisfied");
  bench.connections = [];
  bench.connector.request(bench.time);
  bench.dial("192.0.2.1:6783");
});

Deno.test("Connector remembers who answered: while that peer is connected, no duplicate is made", () => {
  const bench = new Bench();
  bench.connect("192.0.2.1:6783");
  const attempt = bench.dial("192.0.2.1:6783");
  bench.connections = [{ peer: peer(2), address: "192.0.2.1:45678", outbound: false }];
  bench.ended(attempt, { peer: peer(2), reason: "already connected" });
  assert.deepEqual(bench.next(), []);
  assert.equal(bench.view("192.0.2.1:6783")?.state, "satisfied");
  bench.connect("192.0.2.1:6783");
  assert.deepEqual(bench.next(), [], "nor when it is given again");
});

Deno.test("Connector forgets targets by the text they were given as; replace forgets the others", () => {
  const bench = new Bench();
  bench.connect("192.0.2.1", "192.0.2.2", "192.0.2.3");
  bench.connector.forget(["192.0.2.1", "unknown"]);
  assert.deepEqual(bench.connector.direct, ["192.0.2.2", "192.0.2.3"]);
  bench.connector.connect(["192.0.2.3", "192.0.2.4"], { replace: true, now: bench.time });
  assert.deepEqual(bench.connector.direct, ["192.0.2.3", "192.0.2.4"]);
});

function record(name: PeerName, ...links: (readonly [PeerName, string, boolean])[]): PeerRecord {
  const list = links.map(([to, address, outbound]): LinkRecord => (
    { peer: to, address, outbound, established: true }
  ));
  return { name, nickname: "", uid: 1n as PeerUid, version: 1n, shortId: undefined, links: list };
}

/** We are connected to peer 2, which is connected to 3 (dialled) and 4 (accepted). */
function discovered(bench: Bench): void {
  bench.connections = [{ peer: peer(2), address: "192.0.2.2:6783", outbound: true }];
  bench.records = [
    record(SELF, [peer(2), "192.0.2.2:6783", true]),
    record(peer(2), [SELF, "192.0.2.1:4000", false], [peer(3), "192.0.2.3:7000", true], [
      peer(4),
      "192.0.2.4:4001",
      false,
    ]),
    record(peer(3), [peer(2), "192.0.2.2:4002", false]),
    record(peer(4), [peer(2), "192.0.2.2:6783", true]),
  ];
  bench.connector.request(bench.time);
}

Deno.test("Connector dials the addresses that other peers' records reveal", () => {
  const bench = new Bench();
  discovered(bench);
  const found: Endpoint[] = [];
  while (found.length < 2) {
    for (const effect of bench.next()) {
      assert.ok(effect.kind === "dial" && !effect.direct);
      found.push(effect.address);
    }
  }
  assert.deepEqual(found.map(formatEndpoint).sort(), ["192.0.2.3:7000", "192.0.2.4:6783"]);
  assert.ok(bench.now < 6_000, "one end may let the other dial first, but not for long");
});

Deno.test("Connector does not dial a discovered address while a connection from there is being introduced", () => {
  const bench = new Bench();
  bench.introducing = ["192.0.2.3" as Ip, "192.0.2.4" as Ip];
  discovered(bench);
  const dials = new Map<string, number>();
  while (dials.size < 2) {
    for (const effect of bench.next()) {
      assert.ok(effect.kind === "dial");
      dials.set(formatEndpoint(effect.address), bench.now);
    }
  }
  for (const at of dials.values()) assert.ok(at >= PATIENCE && at < 8_000, `${at}: not for ever either`);
  const quick = new Bench();
  quick.introducing = ["192.0.2.3" as Ip];
  discovered(quick);
  while (quick.now < 1_500) {
    for (const effect of quick.due()) {
      assert.ok(effect.kind === "dial" && effect.address.ip !== "192.0.2.3", "others are dialled as ever");
    }
    quick.now = Math.max(quick.now + 1, Math.min(quick.connector.nextWake(), 1_500));
  }
  quick.connections.push({ peer: peer(3), address: "192.0.2.3:40000", outbound: false });
  quick.introducing = [];
  quick.connector.request(quick.time);
  for (const effect of quick.next()) {
    assert.ok(effect.kind === "dial" && effect.address.ip !== "192.0.2.3", "it was reached meanwhile");
  }
});

Deno.test("Connector without discovery dials what it was given and no more", () => {
  const bench = new Bench({ discovery: false });
  discovered(bench);
  assert.deepEqual(bench.next(), []);
});

Deno.test("Connector drops discovered addresses of peers that are reached or gone", () => {
  const bench = new Bench();
  discovered(bench);
  bench.due();
  const waiting = bench.connector.views().filter((each) => each.state === "waiting");
  bench.records = bench.records.slice(0, 1);
  bench.now += 10_000;
  bench.connector.request(bench.time);
  bench.due();
  for (const { target } of waiting) assert.equal(bench.view(target), undefined);
});

Deno.test("Connector ignores published addresses that are none", () => {
  const bench = new Bench();
  bench.records = [
    record(peer(2), [peer(3), "nonsense", true], [peer(4), ":1", true], [peer(5), "192.0.2.5:0", true]),
  ];
  bench.connector.request(bench.time);
  assert.deepEqual(bench.next(), []);
  assert.deepEqual(bench.connector.views(), []);
});

Deno.test("Connector does not dial beyond the connection limit, and says so", () => {
  const bench = new Bench();
  bench.full = true;
  bench.connect("192.0.2.1");
  assert.deepEqual(bench.due(), []);
  assert.match(bench.view("192.0.2.1")!.info, /connection limit/);
  bench.full = false;
  bench.dial("192.0.2.1:6783");
});

Deno.test("Connector tries a bounded number of discovered addresses at a time", () => {
  const bench = new Bench();
  const links = Array.from(
    { length: 300 },
    (_, i) => [peer(100 + i), `198.51.100.${i % 250}:${7000 + i}`, true] as const,
  );
  bench.records = [record(peer(2), ...links), ...links.map(([name]) => record(name))];
  bench.connector.request(bench.time);
  let count = 0;
  for (let i = 0; i < 20; i++) {
    count += bench.due().length;
    bench.now += 1_000;
    bench.connector.request(bench.time);
  }
  assert.equal(count, 32);
});

Deno.test("Connector ignores fates of attempts that it does not know", () => {
  const bench = new Bench();
  bench.ended(99 as AttemptId);
  bench.connector.connected(99 as AttemptId, peer(2), bench.time);
  bench.connector.resolved(99 as AttemptId, "no", bench.time);
  assert.deepEqual(bench.connector.views(), []);
});

Deno.test("targetsAfter() says what connect() and forget() will leave", () => {
  const random = seededRandom(7);
  const texts = ["a", "b:1", "192.0.2.1", "c", "not a target:", "d"];
  const some = () => texts.filter(() => random.below(3) === 0);
  for (let round = 0; round < 300; round++) {
    const { connector } = new Bench();
    for (let i = 0; i < 4; i++) {
      const change = { forget: some(), connect: some(), replace: random.below(3) === 0 };
      const expected = targetsAfter(connector.direct, change);
      connector.forget(change.forget);
      connector.connect(change.connect, { replace: change.replace, now: 0 as Millis });
      assert.deepEqual(connector.direct, expected, JSON.stringify(change));
    }
  }
});
