/** The router with real sockets against hostile peers: another router's connection to it must not notice. */
import assert from "node:assert/strict";
import { concatBytes } from "../../mod/core/bytes.ts";
import type { PeerName } from "../../mod/core/names.ts";
import { encodeGossipFrame } from "../../mod/wire/mesh/mesh_message.ts";
import { freePort, HELLO, HOST, introduce, isClosed, writeAll } from "./intruder.ts";
import { MeshPeer } from "./mesh_peer.ts";

const VICTIM = "02:00:00:00:00:01" as PeerName;
const FRIEND = "02:00:00:00:00:02" as PeerName;
const MALLORY = "02:00:00:00:00:03" as PeerName;

Deno.test("Router stands hostile callers on real sockets, and its other connection does not notice", async () => {
  const port = freePort();
  using victim = new MeshPeer({ name: VICTIM, host: HOST, port });
  using friend = new MeshPeer({ name: FRIEND, host: HOST, port: freePort(), targets: [`${HOST}:${port}`] });
  const established = (mesh: ReturnType<MeshPeer["router"]["snapshot"]>) =>
    mesh.connections.some(({ peer, state }) => peer === FRIEND && state === "established");
  await victim.until("the friend", established);
  await friend.until("the victim", (mesh) => mesh.connections[0]?.state === "established");
  const attempts = victim.router.snapshot().terminations;

  const openings: readonly Uint8Array[] = [
    crypto.getRandomValues(new Uint8Array(100)),
    concatBytes(HELLO, Uint8Array.of(9)), // encryption of no kind
    concatBytes(HELLO, Uint8Array.of(0, 0xff, 0xff, 0xff, 0xff)), // four gigabytes of features
  ];
  for (const bytes of openings) {
    using conn = await Deno.connect({ hostname: HOST, port });
    await writeAll(conn, bytes).catch(() => {});
    assert.ok(await isClosed(conn));
  }
  const idle: Deno.Conn[] = [];
  for (let i = 0; i < 20; i++) idle.push(await Deno.connect({ hostname: HOST, port }));

  using conn = await Deno.connect({ hostname: HOST, port });
  const codec = await introduce(conn, MALLORY);
  const large = {
    tag: "broadcast",
    channel: "x",
    source: MALLORY,
    payload: new Uint8Array(10_000_000),
  } as const;
  for (let i = 0; i < 3; i++) await writeAll(conn, codec.encode(encodeGossipFrame(large)));
  const topology = {
    tag: "gossip",
    channel: "topology",
    source: MALLORY,
    payload: Uint8Array.of(1, 2),
  } as const;
  await writeAll(conn, codec.encode(encodeGossipFrame(topology)));
  assert.ok(await isClosed(conn), "what cannot be read ends the connection");
  await victim.until("the end", (mesh) => mesh.terminations > attempts + openings.length);
  for (const each of idle) each.close();

  const mesh = victim.router.snapshot();
  assert.deepEqual(mesh.connections.map(({ peer, state }) => [peer, state]), [[FRIEND, "established"]]);
  assert.ok(established(mesh) && friend.router.snapshot().terminations === 0);
  assert.ok(!victim.log.some((line) => /fault|refused/.test(line)), victim.log.join("\n"));
});
