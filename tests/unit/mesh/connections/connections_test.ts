import assert from "node:assert/strict";
import type { Endpoint, Ip } from "../../../../mod/core/addr.ts";
import type { PeerName } from "../../../../mod/core/names.ts";
import { DAEMON_HANGS, type LinkId, type OverlayEvent } from "../../../../mod/core/overlay_port.ts";
import { BUSY, FLOODED, HEARTBEAT, SILENCE } from "../../../../mod/mesh/connections/connection.ts";
import { PER_SOURCE } from "../../../../mod/mesh/connections/doorman.ts";
import type { AttemptId } from "../../../../mod/mesh/mesh_ids.ts";
import { TAG } from "../../../../mod/wire/mesh/mesh_message.ts";
import { at, gossip, record, RouterParts, US } from "../router_parts.ts";

const B = "02:00:00:00:00:02" as PeerName;
const C = "02:00:00:00:00:03" as PeerName;
const NOW = at(1_000);
const address: Endpoint = { ip: "192.0.2.7" as Ip, port: 6783 };

/** A router with one connection, to B; what led to it is forgotten. */
function one() {
  const parts = new RouterParts();
  const made = parts.connected({ name: B, shortId: 2 }, NOW);
  const link = made.connection.origin.id;
  const tell = (event: { kind: OverlayEvent["kind"]; [field: string]: unknown }, now = NOW) =>
    parts.connections.overlay({ link, ...event } as OverlayEvent, now);
  const send = (...messages: readonly Uint8Array[]) => {
    for (const message of messages) parts.connections.bytes(made.socket, made.codec.encode(message), NOW);
  };
  parts.taken();
  return { parts, link, tell, send, ...made };
}

Deno.test("Connections lets a peer in, and has the data plane prepare for it", () => {
  const parts = new RouterParts();
  parts.taken();
  const socket = parts.open(NOW);
  assert.equal(parts.written(socket).length, 1, "a greeting goes out before anything comes");
  parts.introduce(socket, { name: B, shortId: 2, extensions: ["x"] }, NOW);
  const effects = parts.taken();
  const [prepare, confirm] = RouterParts.requests(effects);
  assert.ok(prepare?.kind === "prepare" && confirm?.kind === "confirm" && confirm.link === prepare.link);
  assert.deepEqual([
    prepare.peer,
    prepare.outbound,
    prepare.protection,
    prepare.theirOverlays,
    prepare.extensions,
  ], [
    ...[B, false, { kind: "clear" }, ["fastdp", "sleeve"], ["x"]],
  ]);
  assert.deepEqual(RouterParts.logs(effects), ["debug mesh/accepted", "info mesh/connected"]);
  assert.equal(parts.connections.table.byPeer(B)?.origin.id, prepare.link);
  assert.ok(parts.membership.topology.own.links.some(({ peer }) => peer === B));
});

Deno.test("Connections closes what is no mesh peer, and says why once", () => {
  const parts = new RouterParts();
  for (const level of ["info", "debug"]) {
    const socket = parts.open(NOW);
    parts.connections.bytes(socket, new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n"), NOW);
    const effects = parts.taken();
    assert.ok(effects.some((effect) => effect.kind === "close" && effect.socket === socket));
    assert.match(
      RouterParts.logs(effects).at(-1)!,
      new RegExp(`^${level} mesh/introduction-failed .*not a mesh peer`),
    );
    assert.equal(parts.connections.table.bySocket(socket), undefined);
  }
  assert.equal(parts.connections.terminations, 2);
});

Deno.test("Connections knows ourselves from a clone of us", () => {
  const parts = new RouterParts();
  parts.introduce(parts.open(NOW), { name: US, uid: 77n }, NOW);
  assert.deepEqual(RouterParts.logs(parts.taken()), ["debug mesh/accepted"], "nobody needs to hear of it");
  assert.equal(parts.connections.terminations, 0);
  parts.introduce(parts.open(NOW), { name: US, uid: 78n }, NOW);
  assert.match(
    RouterParts.logs(parts.taken()).at(-1)!,
    /^warn mesh\/introduction-failed another host announces the same/,
  );
  assert.equal(parts.connections.terminations, 1);
});

Deno.test("Connections keeps one connection for each peer: the one with the lower number", () => {
  const parts = new RouterParts();
  const { connection } = parts.connected({ name: B, shortId: 2 }, NOW);
  const { connUid } = connection.introduced!;
  const seen = new Set<string>();
  for (let i = 0; i < 12; i++) {
    const kept = parts.connections.table.byPeer(B)!;
    parts.taken();
    parts.introduce(parts.open(NOW), { name: B, shortId: 2, connId: BigInt(i) << 33n }, NOW);
    const now = parts.connections.table.byPeer(B)!;
    const stops = RouterParts.requests(parts.taken()).filter(({ kind }) => kind === "stop");
    assert.equal(stops.length, now === kept ? 0 : 1);
    assert.ok(now === kept || now.introduced!.connUid < kept.introduced!.connUid);
    seen.add(now === kept ? "kept" : "replaced");
  }
  assert.ok(parts.connections.table.byPeer(B)!.introduced!.connUid <= connUid);
  assert.deepEqual([...seen].sort(), ["kept", "replaced"]);
});

Deno.test("Connections writes to a connection whose peer comes again, to learn whether it still stands", () => {
  const { parts, socket } = one();
  const again = () => parts.introduce(parts.open(NOW), { name: B, uid: 6n, shortId: 2 }, NOW);
  again();
  assert.equal(parts.written(socket).length, 1);
  again();
  assert.equal(parts.written(socket).length, 1, "once a second at most");
  assert.match(RouterParts.logs(parts.taken()).at(-1)!, /seems to have restarted/);
});

Deno.test("Connections lets strangers who say nothing keep nobody out: the oldest goes", () => {
  const parts = new RouterParts();
  const first = parts.open(NOW);
  for (let i = 1; i < PER_SOURCE; i++) parts.open(NOW);
  assert.ok(parts.connections.table.bySocket(first) !== undefined);
  parts.open(NOW);
  assert.equal(parts.connections.table.bySocket(first), undefined);
  assert.ok(parts.taken().some((effect) => effect.kind === "close" && effect.socket === first));
});

Deno.test("Connections hands messages to whom they are for, and ignores what it does not know", () => {
  const { connection, link, parts, send } = one();
  send(
    Uint8Array.of(TAG.overlayControl, 0, 1, 9),
    new Uint8Array(0),
    Uint8Array.of(99, 1),
    Uint8Array.of(TAG.bareMtu, 1, 2),
  );
  assert.deepEqual(RouterParts.requests(parts.taken()), [
    { kind: "control", link, message: Uint8Array.of(TAG.overlayControl, 0, 1, 9) },
  ]);
  send(Uint8Array.of(TAG.gossip, 1, 2));
  assert.equal(connection.stage, "gone");
  assert.match(
    RouterParts.logs(parts.taken()).at(-1)!,
    /^info mesh\/disconnected it sent what cannot be used: /,
  );
});

Deno.test("Connections passes on a bounded number of control messages", () => {
  const { parts, send } = one();
  for (let i = 0; i < 1_000; i++) send(Uint8Array.of(TAG.overlayControl, 0, 1));
  assert.equal(RouterParts.requests(parts.taken()).length, 256);
});

Deno.test("Connections does what the data plane says of a connection", () => {
  const { connection, link, parts, socket, tell } = one();
  tell({ kind: "established" });
  tell({ kind: "established" });
  assert.deepEqual(RouterParts.logs(parts.taken()), ["info mesh/established"]);
  assert.equal(parts.membership.topology.own.links[0]!.established, true);
  const status = { overlay: "sleeve" };
  tell({ kind: "status", status });
  assert.equal(connection.status, status);
  tell({ kind: "send", message: Uint8Array.of(7, 0, 1) });
  assert.equal(parts.written(socket).length, 1);
  tell({ kind: "failed", reason: "no overlay works" });
  const effects = parts.taken();
  assert.deepEqual(RouterParts.requests(effects), [{ kind: "stop", link, orderly: true }]);
  assert.deepEqual(RouterParts.logs(effects), [
    "info mesh/overlay",
    "warn mesh/disconnected no overlay works",
  ]);
  tell({ kind: "established" });
  assert.deepEqual(parts.taken(), [], "it is gone");
});

Deno.test("Connections loses what the data plane sends while a reader is far behind, and counts what is too long", () => {
  const { connection, parts, socket, tell } = one();
  connection.queued = FLOODED;
  tell({ kind: "send", message: Uint8Array.of(7, 0, 1) });
  assert.equal(parts.written(socket).length, 0);
  connection.queued = 0;
  tell({ kind: "send", message: new Uint8Array(connection.maxMessage + 1) });
  assert.deepEqual([parts.written(socket).length, parts.connections.unsendable], [0, 1]);
});

Deno.test("Connections gives gossip to those who take it, until enough waits for them", () => {
  const { connection, link, parts, socket } = one();
  parts.membership.receive(link, gossip(B, [record(B, 2, [US])]), NOW);
  parts.membership.settle(NOW); // there is a route to B now
  parts.connections.flush(NOW);
  parts.connections.written(socket, connection.queued);
  const payload = new Uint8Array(40_000);
  for (let i = 0; i < 20; i++) parts.membership.engine.unicast(`c${i}`, B, payload);
  parts.connections.flush(NOW);
  assert.ok(connection.queued >= BUSY && connection.queued < BUSY + 100_000, `${connection.queued}`);
  parts.taken();
  parts.connections.flush(NOW);
  assert.deepEqual(parts.taken(), [], "busy");
  parts.connections.written(socket, connection.queued - BUSY);
  assert.equal(parts.membership.engine.pullable, false);
  parts.connections.written(socket, 1);
  assert.equal(parts.membership.engine.pullable, true);
  parts.connections.flush(NOW);
  assert.equal(parts.written(socket).length, 1);
});

Deno.test("Connections sends heartbeats, and ends what is silent", () => {
  const { connection, parts, socket } = one();
  const { connections } = parts;
  connections.wake(at(connections.nextWake())); // until when the introduction could have taken
  assert.equal(connections.nextWake(), NOW + HEARTBEAT);
  connections.wake(at(NOW + HEARTBEAT - 1));
  assert.deepEqual(parts.taken(), []);
  connections.wake(at(NOW + HEARTBEAT));
  assert.equal(parts.written(socket).length, 1);
  parts.taken();
  connections.wake(at(NOW + SILENCE));
  assert.equal(connection.stage, "gone");
  const effects = parts.taken();
  assert.deepEqual(RouterParts.requests(effects).map((each) => each.kind === "stop" && each.orderly), [
    false,
  ]);
  assert.equal(connections.nextWake(), Infinity);
});

Deno.test("Connections ends introductions that take too long", () => {
  const parts = new RouterParts();
  const socket = parts.open(NOW);
  const due = parts.connections.nextWake();
  assert.equal(due, NOW + 10_000);
  parts.connections.wake(at(due));
  assert.equal(parts.connections.table.bySocket(socket), undefined);
  assert.match(RouterParts.logs(parts.taken()).at(-1)!, /said nothing for 10 s/);
});

Deno.test("Connections closes nothing that is closed already, and keeps the way of a peer whose connection broke", () => {
  const { link, parts, send, socket } = one();
  send(Uint8Array.of(TAG.heartbeat)); // so it has let us in
  parts.connections.closed({ kind: "closed", socket, reason: "reset by peer" }, NOW);
  const effects = parts.taken();
  assert.ok(effects.every((effect) => effect.kind !== "close"));
  assert.deepEqual(RouterParts.requests(effects), [{ kind: "stop", link, orderly: false }]);
  assert.deepEqual(RouterParts.logs(effects), ["info mesh/disconnected reset by peer"]);
  parts.connections.closed({ kind: "closed", socket, reason: "again" }, NOW);
  parts.connections.bytes(socket, Uint8Array.of(1), NOW);
  assert.deepEqual(parts.taken(), []);
});

Deno.test("Connections says where to look when a peer closes as soon as it knows who this host is", () => {
  for (const silent of [false, true]) {
    const { parts, socket } = one();
    parts.connections.closed({ kind: "closed", socket, reason: "the peer closed", silent }, NOW);
    const where = " as soon as it knew who this host is: `meshnet status` and the log there say why";
    assert.deepEqual(RouterParts.logs(parts.taken()), [
      `info mesh/disconnected the peer closed${silent ? "" : where}`,
    ]);
  }
});

Deno.test("Connections carries out dials, and says once why one failed", () => {
  const parts = new RouterParts();
  parts.taken();
  const attempt = 7 as AttemptId;
  for (const level of ["info", "debug"]) {
    parts.connections.dial({ kind: "dial", attempt, address, direct: true, expected: undefined });
    assert.deepEqual(parts.taken(), [{ kind: "dial", attempt, address }]);
    parts.connections.dialFailed(
      { kind: "dial-failed", attempt, failure: "refused", message: "refused" },
      NOW,
    );
    assert.match(RouterParts.logs(parts.taken())[0]!, new RegExp(`^${level} mesh/dial-failed `));
  }
  parts.connections.dialFailed({ kind: "dial-failed", attempt, failure: "refused", message: "refused" }, NOW);
  assert.deepEqual(parts.taken(), [], "unknown attempts are ignored");
});

Deno.test("Connections lets in no unknown peer at an address that was only discovered", () => {
  const parts = new RouterParts();
  const attempt = 7 as AttemptId;
  parts.connections.dial({ kind: "dial", attempt, address, direct: false, expected: undefined });
  const socket = parts.open(NOW, { attempt });
  const answering = { name: C, shortId: 3 };
  parts.introduce(socket, answering, NOW);
  assert.equal(parts.connections.table.byPeer(C), undefined);
  assert.match(RouterParts.logs(parts.taken()).at(-1)!, /^debug .*not part of this mesh yet/);
});

Deno.test("Connections takes no event of a connection that it does not know", () => {
  const parts = new RouterParts();
  parts.taken();
  parts.connections.overlay({ kind: "failed", link: 99 as LinkId, reason: "x" }, NOW);
  parts.connections.written(99 as never, 5);
  assert.deepEqual(parts.taken(), []);
});

Deno.test("Connections knocks where nothing comes from a peer any more, and gives up a host that does not answer", () => {
  for (const result of ["refused", "accepted", "nothing"] as const) {
    const { link, parts, tell } = one();
    tell({ kind: "unanswered" });
    assert.deepEqual(parts.taken(), [{ kind: "knock", link, address: { ip: "192.0.2.9", port: 6783 } }]);
    parts.connections.knocked({ kind: "knocked", link, result }, NOW);
    const requests = RouterParts.requests(parts.taken());
    assert.deepEqual(requests, result === "nothing" ? [{ kind: "stop", link, orderly: true }] : []);
    parts.connections.knocked({ kind: "knocked", link: 99 as typeof link, result }, NOW);
    assert.deepEqual(parts.taken(), []);
  }
});

Deno.test("Connections is patient for five minutes with a daemon that hangs while its kernel answers", () => {
  for (const why of [undefined, DAEMON_HANGS]) {
    const { connection, link, parts, tell } = one();
    const status = { overlay: "fastdp", mtu: 1410, encrypted: false, rttMs: undefined, why } as const;
    tell({ kind: "status", status });
    let now: number = NOW;
    for (let guard = 0; parts.connections.table.byId(link) !== undefined; guard++) {
      assert.ok(guard < 100);
      now = connection.nextWake();
      parts.connections.wake(at(now));
    }
    assert.equal(now - NOW, why === undefined ? 60_000 : 300_000);
    const requests = RouterParts.requests(parts.taken());
    assert.deepEqual(requests.filter(({ kind }) => kind === "stop"), [{
      kind: "stop",
      link,
      orderly: false,
    }]);
  }
});
