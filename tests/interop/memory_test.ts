/** Hundreds of connections that each send half of a long message, to a router in a process of its own. */
import assert from "node:assert/strict";
import { concatBytes } from "../../mod/core/bytes.ts";
import { type PeerName, peerNameFromNumber } from "../../mod/core/names.ts";
import { SOURCE_RATE } from "../../mod/mesh/connections/doorman.ts";
import { command } from "../../mod/tasks/run.ts";
import { DEADLINE } from "./go_peer.ts";
import { freePort, HELLO, HOST, introduce, writeAll } from "./intruder.ts";
import { TextLineStream } from "./lines.ts";
import { MeshPeer } from "./mesh_peer.ts";
import type { VictimLine } from "./victim.ts";

const VICTIM = "02:00:00:00:00:01" as PeerName;
const FRIEND = "02:00:00:00:00:02" as PeerName;
const MIB = 1024 * 1024;
/** Connections that introduce themselves, and others that never end their introduction. */
const PEERS = 200;
const STRANGERS = 100;
const HALF = 5 * MIB;

Deno.test("Router holds a bounded part of hundreds of half messages, and serves its friend meanwhile", async () => {
  const port = freePort();
  const script = new URL("./victim.ts", import.meta.url).pathname;
  await using victim = command(
    [Deno.execPath(), "run", "-A", "--no-check", script, VICTIM, HOST, `${port}`],
    {
      stdin: "piped",
      stdout: "piped",
    },
  ).spawn();
  const input = victim.stdin.getWriter();
  const lines = victim.stdout.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream())
    .getReader();
  const look = async (): Promise<VictimLine> => {
    await input.write(new TextEncoder().encode("look\n"));
    return JSON.parse((await lines.read()).value!);
  };
  const before = (await look()).rss; // it listens now

  using friend = new MeshPeer({ name: FRIEND, host: HOST, port: freePort(), targets: [`${HOST}:${port}`] });
  await friend.until("the victim", (mesh) => mesh.connections[0]?.state === "established");

  const callers: Deno.Conn[] = [];
  const half = new Uint8Array(HALF);
  new DataView(half.buffer).setUint32(0, 2 * HALF);
  let most = 0;
  const attack = async (index: number) => {
    const conn = await Deno.connect({ hostname: HOST, port });
    callers.push(conn);
    try {
      if (index < PEERS) await introduce(conn, peerNameFromNumber(0x0200_0000_1000 + index)!);
      else await writeAll(conn, concatBytes(HELLO, Uint8Array.of(0, 0, 0, 0xff, 0xff)));
      await writeAll(conn, index < PEERS ? half : half.subarray(0, 60 * 1024));
    } catch { /* it was thrown out */ }
  };
  let running = true;
  const watch = (async () => {
    while (running) {
      const { rss, held } = await look();
      most = Math.max(most, rss);
      assert.ok(held <= 80 * MIB, `${held} held`);
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  })();
  let turn = 0; // all come from one address, of which no more are let in
  const queue = Array.from({ length: PEERS + STRANGERS }, (_, i) => i);
  const workers = Array.from({ length: 16 }, async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      turn = Math.max(performance.now(), turn) + SOURCE_RATE.refill;
      await new Promise((resolve) => setTimeout(resolve, turn - performance.now()));
      await attack(next);
    }
  });
  await Promise.all(workers);
  running = false;
  await watch;

  // What was sent last may still be on its way to it.
  const enough = PEERS - 64 * MIB / HALF - 1;
  let after = await look();
  for (const end = performance.now() + DEADLINE; after.ended < enough && performance.now() < end;) {
    await new Promise((resolve) => setTimeout(resolve, 200));
    after = await look();
  }
  assert.ok(after.established.includes(FRIEND), "the friend was thrown out");
  assert.equal(friend.router.snapshot().terminations, 0);
  assert.ok(after.ended >= enough, `${after.ended} ended`);
  const grown = (most - before) / MIB;
  assert.ok(grown < 400, `${grown.toFixed(0)} MiB more`);
  console.log(
    `${PEERS * HALF / MIB} MiB of half messages: ${grown.toFixed(0)} MiB more, ${after.ended} ended`,
  );
  for (const conn of callers) conn.close();
  await input.close();
  await lines.cancel();
});
