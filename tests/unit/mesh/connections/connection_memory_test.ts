/** Connections that make a router hold much: the greediest ends, others and the friend go on. */
import assert from "node:assert/strict";
import { concatBytes } from "../../../../mod/core/bytes.ts";
import { CONNECTION_MEMORY } from "../../../../mod/mesh/connections/connection_memory.ts";
import { MAX_WAITING } from "../../../../mod/mesh/connections/doorman.ts";
import { Attacked, type Caller, fake } from "../attacked.ts";

const MIB = 1024 * 1024;
const HELLO = Uint8Array.of(0x77, 0x65, 0x61, 0x76, 0x65, 2, 2);

/** The length of a message that never comes whole. */
function prefix(length: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, length);
  return bytes;
}

function drip(caller: Caller, octets: number): void {
  const piece = 64 * 1024;
  for (let sent = 0; sent < octets && !caller.closed; sent += piece) caller.send(new Uint8Array(piece));
}

Deno.test("RouterCore bounds what unfinished messages of all peers hold, and ends whoever holds most", () => {
  new Attacked({ connLimit: 0 }).survive((router) => {
    const callers: Caller[] = [];
    for (let i = 0; i < 200; i++) {
      if (i % 20 === 0) router.advance(1_000); // strangers have a rate together
      const caller = router.call({ ip: `198.51.100.${i}` }).introduce(fake(i));
      caller.send(prefix(10 * MIB));
      drip(caller, i < 10 ? 128 * 1024 : 5 * MIB);
      callers.push(caller);
      const { incoming } = router.core.snapshot(router.now).memory;
      assert.ok(incoming.held <= CONNECTION_MEMORY.incoming.total);
    }
    assert.ok(callers.slice(0, 10).every((caller) => !caller.closed), "who held little was closed");
    const { incoming } = router.core.snapshot(router.now).memory;
    assert.equal(incoming.ended, callers.filter((caller) => caller.closed).length);
    assert.ok(incoming.ended > 150, `${incoming.ended} ended`);
    assert.ok(router.logged.some((line) => /unfinished messages hold 64 MiB/.test(line)));
  });
});

Deno.test("RouterCore bounds what waits for slow readers together, and ends whoever has most", () => {
  const limits = { ...CONNECTION_MEMORY, outgoing: { total: 20_000, each: 15_000 } };
  new Attacked({ connLimit: 0, memory: limits }).survive((router) => {
    const callers: Caller[] = [];
    for (let i = 0; i < 100; i++) {
      callers.push(router.call({ ip: `198.51.100.${i}`, reads: false }).introduce(fake(i)));
    }
    router.advance(20_000);
    const { outgoing } = router.core.snapshot(router.now).memory;
    assert.ok(outgoing.held <= 20_000 && outgoing.ended > 0, JSON.stringify(outgoing));
    assert.ok(router.logged.some((line) => /slow readers make 19 KiB wait/.test(line)));
  });
});

Deno.test("RouterCore lets strangers hold little, whatever they send, and nothing of what is for peers", () => {
  new Attacked().survive((router) => {
    for (let i = 0; i < 300; i++) {
      const caller = router.call({ ip: `203.0.113.${i % 250}` });
      caller.send(concatBytes(HELLO, Uint8Array.of(0), prefix(64 * 1024)));
      drip(caller, 60 * 1024);
    }
    const { strangers, incoming } = router.core.snapshot(router.now).memory;
    assert.ok(strangers.held <= CONNECTION_MEMORY.strangers.total, `${strangers.held} held`);
    assert.ok(strangers.held <= MAX_WAITING.stranger * 128 * 1024);
    assert.deepEqual(incoming, { held: 0, ended: 0 });
  });
});

Deno.test("RouterCore counts nothing for connections that have gone", () => {
  const router = new Attacked({ connLimit: 0 });
  const callers: Caller[] = [];
  for (let i = 0; i < 20; i++) {
    const caller = router.call({ ip: `198.51.100.${i}` }).introduce(fake(i));
    caller.send(prefix(10 * MIB));
    drip(caller, MIB);
    callers.push(caller);
  }
  assert.ok(router.core.snapshot(router.now).memory.incoming.held >= 20 * MIB);
  for (const { socket } of callers) router.post({ kind: "closed", socket, reason: "reset" });
  const { memory } = router.core.snapshot(router.now);
  assert.deepEqual(Object.values(memory).map(({ held }) => held), [0, 0, 0]);
});
