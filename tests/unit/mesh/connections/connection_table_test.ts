import assert from "node:assert/strict";
import type { Ip } from "../../../../mod/core/addr.ts";
import type { ConnUid, PeerName, PeerUid } from "../../../../mod/core/names.ts";
import type { LinkId } from "../../../../mod/core/overlay_port.ts";
import type { Millis } from "../../../../mod/core/time.ts";
import { Connection, type Introduced } from "../../../../mod/mesh/connections/connection.ts";
import { ConnectionTable } from "../../../../mod/mesh/connections/connection_table.ts";
import type { Intro } from "../../../../mod/mesh/connections/intro.ts";
import type { SocketId } from "../../../../mod/mesh/mesh_ids.ts";

const PEER = "02:00:00:00:00:02" as PeerName;
const at = (ms: number) => ms as Millis;

function introduced(connUid: bigint, uid = 7n, name = PEER): Introduced {
  const remote = {
    name,
    nickname: "",
    uid: uid as PeerUid,
    connId: 0n,
    shortId: undefined,
    trusted: false,
    overlays: undefined,
    publicKey: undefined,
  };
  return { version: 2, remote, connUid: connUid as ConnUid, sessionKey: undefined, encrypted: false };
}

let serial = 0;
/** A connection whose introduction yielded this. */
function link(what: Introduced, heard = 0, outbound = false): Connection {
  const id = ++serial;
  const [local, remote] = [{ ip: "192.0.2.1" as Ip, port: 6783 }, { ip: "192.0.2.2" as Ip, port: 6783 }];
  const ids = { id: id as LinkId, socket: id as SocketId, attempt: undefined, expected: undefined };
  const intro = {} as Intro; // it is over
  const connection = new Connection({ ...ids, local, remote, outbound, welcome: true }, intro, at(heard));
  connection.introduced = what;
  return connection;
}

function tableWith(existing: Connection, limit = 0): ConnectionTable {
  const table = new ConnectionTable(limit);
  table.open(existing);
  table.add(existing);
  return table;
}

Deno.test("ConnectionTable.admit() keeps the connection with the smaller number, and drops both when they are equal", () => {
  const existing = link(introduced(50n));
  const table = tableWith(existing);
  assert.deepEqual(table.admit(link(introduced(49n)), at(0)), { kind: "add", replaces: existing });
  assert.equal(table.admit(link(introduced(51n)), at(0)).kind, "refuse");
  assert.deepEqual(table.admit(link(introduced(50n)), at(0)), { kind: "drop-both", existing });
});

Deno.test("ConnectionTable.admit() has the existing connection probed when it refuses a duplicate", () => {
  const existing = link(introduced(50n));
  const refused = tableWith(existing).admit(link(introduced(51n)), at(0));
  assert.ok(refused.kind === "refuse");
  assert.equal(refused.probe, existing);
  assert.match(refused.reason, /already connected to 02:/);
});

Deno.test("ConnectionTable.admit() compares numbers as unsigned 64 bits", () => {
  const table = tableWith(link(introduced(2n ** 63n)));
  assert.equal(table.admit(link(introduced(2n ** 64n - 1n)), at(0)).kind, "refuse");
  assert.equal(table.admit(link(introduced(1n)), at(0)).kind, "add");
});

Deno.test("ConnectionTable.admit() replaces a silent connection when the peer comes back as another process", () => {
  const existing = link(introduced(50n), 0);
  const table = tableWith(existing);
  assert.deepEqual(table.admit(link(introduced(99n, 8n)), at(40_000)), { kind: "add", replaces: existing });
});

Deno.test("ConnectionTable.admit() first checks a living connection, then speaks of a clone", () => {
  const existing = link(introduced(50n), 9_000);
  const table = tableWith(existing);
  const first = table.admit(link(introduced(1n, 8n)), at(10_000));
  assert.ok(first.kind === "refuse" && !first.clone && first.probe === existing);
  assert.match(first.reason, /seems to have restarted/);
  assert.ok(existing.doubt(at(10_000)) && !existing.doubt(at(10_500)), "it is written to, not too often");
  assert.ok(!existing.isAlive(at(10_600)));
  existing.heard = at(11_000);
  const second = table.admit(link(introduced(1n, 8n)), at(12_000));
  assert.ok(second.kind === "refuse" && second.clone);
  assert.match(second.reason, /another host announces the same peer name .* \(cloned machine\?\)/);
});

Deno.test("ConnectionTable.admit() holds the limit, but a duplicate may take the place of its like", () => {
  const table = tableWith(link(introduced(50n)), 1);
  const other = "02:00:00:00:00:03" as PeerName;
  const refused = table.admit(link(introduced(1n, 7n, other)), at(0));
  assert.ok(refused.kind === "refuse");
  assert.match(refused.reason, /connection limit of 1 is reached: raise --conn-limit/);
  assert.equal(table.admit(link(introduced(49n)), at(0)).kind, "add");
});

Deno.test("ConnectionTable finds connections by socket, id and peer until they are removed", () => {
  const existing = link(introduced(50n));
  const table = tableWith(existing);
  assert.equal(table.bySocket(existing.origin.socket), existing);
  assert.equal(table.byId(existing.origin.id), existing);
  assert.equal(table.byPeer(PEER), existing);
  const greeting = link(introduced(51n));
  table.open(greeting);
  assert.deepEqual(table.inboundGreeting(), [greeting]);
  assert.equal(table.remove(greeting), false);
  assert.equal(table.byPeer(PEER), existing, "the one in the table stays");
  assert.equal(table.remove(existing), true);
  assert.deepEqual([...table.all()], []);
});
