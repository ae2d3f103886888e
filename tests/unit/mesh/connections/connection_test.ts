import assert from "node:assert/strict";
import type { Ip } from "../../../../mod/core/addr.ts";
import { good } from "../../../../mod/core/brand.ts";
import type { LinkId } from "../../../../mod/core/overlay_port.ts";
import type { Millis } from "../../../../mod/core/time.ts";
import type { Intro } from "../../../../mod/mesh/connections/intro.ts";
import { Connection, HEARTBEAT, SILENCE } from "../../../../mod/mesh/connections/connection.ts";
import type { SocketId } from "../../../../mod/mesh/mesh_ids.ts";

const at = (ms: number) => ms as Millis;
const message = Uint8Array.of(9);

/** A link whose introduction is done with the first byte. */
function link(now: number): Connection {
  const remote = { connId: 0xffff_ffff_ffff_fff0n };
  const codec = { maxMessage: 10, encode: (bytes: Uint8Array) => bytes, feed: () => good([message]) };
  const done = {
    kind: "done",
    write: [],
    version: 2,
    remote,
    codec,
    encrypted: true,
    sessionKey: undefined,
    rest: message,
  };
  const intro = {
    connId: 1n,
    receive: () => done,
    expire: () => undefined,
    nextWake: () => now + 10_000,
  };
  const local = { ip: "192.0.2.1" as Ip, port: 6783 };
  const ids = { id: 1 as LinkId, socket: 1 as SocketId };
  const origin = {
    ...ids,
    local,
    remote: { ...local, port: 1 },
    outbound: false,
    attempt: undefined,
    expected: undefined,
    welcome: true,
  };
  return new Connection(origin, intro as unknown as Intro, at(now));
}

Deno.test("Connection gives the messages that came with the introduction, and both ends' number", () => {
  const it = link(0);
  assert.throws(() => it.encode(message), /introduction is not done/);
  const input = it.receive(message, at(1));
  assert.ok(input.kind === "introduced");
  assert.deepEqual(input.messages, [message]);
  assert.equal(it.introduced?.connUid, 0xffff_ffff_ffff_fff1n);
  assert.equal(it.receive(message, at(2)).kind, "messages");
  assert.equal(it.address, "192.0.2.1:1");
});

Deno.test("Connection sends a heartbeat every 30 s once it runs", () => {
  const it = link(0.3);
  assert.equal(it.nextWake(), 10_000.3);
  it.receive(message, at(0.3));
  it.run(at(0.3));
  for (let i = 1; i < 5; i++) {
    const due = it.nextWake();
    assert.ok(due >= i * HEARTBEAT && due < i * HEARTBEAT + 2);
    it.receive(message, at(due));
    assert.deepEqual(it.expire(at(due)), good([Uint8Array.of(0)]));
    assert.deepEqual(it.expire(at(due)), good([]));
  }
});

Deno.test("Connection ends after 60 s of silence, exactly when it asked to be woken", () => {
  // Fractions as clocks give them: a difference and a sum may round to different sides.
  for (const now of [0.1, 1 / 3, 60830.1085578666, 1234567.891]) {
    const it = link(now);
    it.receive(message, at(now));
    it.run(at(now));
    it.expire(at(now + HEARTBEAT));
    it.expire(at(it.nextWake() - 0.01));
    const end = now + SILENCE;
    assert.ok(it.nextWake() <= end);
    const due = it.expire(at(end));
    assert.ok(!due.ok);
    assert.match(due.reason, /nothing was heard for 60 s/);
  }
});

Deno.test("Connection wants nothing once it is gone", () => {
  const it = link(0);
  it.stage = "gone";
  assert.equal(it.nextWake(), Infinity);
});
