/** Messages that grow on their way through a router, and floods from sources that nobody knows. */
import assert from "node:assert/strict";
import { concatBytes } from "../../../mod/core/bytes.ts";
import type { PeerName, PeerUid } from "../../../mod/core/names.ts";
import type { PeerRecord } from "../../../mod/core/topology_record.ts";
import { MAX_FRAME } from "../../../mod/mesh/connections/message_codec.ts";
import { GobEncoder } from "../../../mod/wire/mesh/gob.ts";
import { Attacked, fake, FRIEND, MALLORY } from "./attacked.ts";
import { encodeTopology } from "../wire/mesh/encode_topology.ts";

const US = "02:00:00:00:00:01" as PeerName;
/** Says that the caller is linked to us and to another peer. */
function publish(caller: ReturnType<Attacked["call"]>, version: bigint) {
  const links = [US, fake(Number(version))].map((peer) => ({
    peer,
    address: "",
    outbound: true,
    established: true,
  }));
  const record: PeerRecord = {
    name: MALLORY,
    nickname: "",
    uid: 5n as PeerUid,
    version,
    shortId: undefined,
    links,
  };
  caller.gossip({ tag: "gossip", channel: "topology", source: MALLORY, payload: encodeTopology([record]) });
}
function controls(router: Attacked): number {
  return router.overlay.filter((request) => request.kind === "control").length;
}
function bytesOf(name: PeerName): bigint {
  return BigInt("0x" + name.replaceAll(":", ""));
}
Deno.test("RouterCore survives a broadcast whose channel is no UTF-8 grows when it is passed on, beyond what encode() takes", () => {
  new Attacked().survive((router) => {
    const caller = router.call().introduce(MALLORY);
    const gob = new GobEncoder();
    const channel = gob.encode("x".repeat(200), "string");
    channel.fill(0xff, channel.length - 200);
    const head = concatBytes(Uint8Array.of(6), channel, gob.encode(bytesOf(MALLORY), "uint"));
    const payload = gob.encode(new Uint8Array(MAX_FRAME - head.length - 20), "bytes");
    publish(caller, 99n);
    router.advance(5000);
    caller.messages(concatBytes(head, payload));
  });
});
Deno.test("RouterCore survives a unicast of protocol version 1 may be longer than what encode() takes", () => {
  new Attacked().survive((router) => {
    const caller = router.call().introduce(MALLORY, { version: 1 });
    router.advance(5000);
    const gob = new GobEncoder();
    const head = concatBytes(
      Uint8Array.of(5),
      gob.encode("c", "string"),
      gob.encode(bytesOf(MALLORY), "uint"),
      gob.encode(bytesOf(FRIEND), "uint"),
    );
    const rest = MAX_FRAME + 5 - head.length;
    const payload = gob.encode(new Uint8Array(rest - 13), "bytes");
    const message = concatBytes(head, payload, new Uint8Array(rest - payload.length));
    const stream = new GobEncoder().encode(message, "bytes");
    caller.send(stream);
  });
});

Deno.test("RouterCore holds back no broadcasts of made-up sources while routes are awaited", () => {
  new Attacked().survive((router) => {
    const caller = router.call().introduce(MALLORY);
    router.advance(5000);
    publish(caller, 99n);
    const frame = { tag: "broadcast", channel: "c", payload: new Uint8Array(1) } as const;
    for (let i = 0; i < 2_000; i++) caller.gossip({ ...frame, source: fake(i + 1_000) });
    assert.equal(router.core.snapshot(router.now).gossip.held, 0);
  });
});

Deno.test("RouterCore hands overlay control on only at a bounded rate and size", () => {
  new Attacked().survive((router) => {
    const caller = router.call().introduce(MALLORY);
    router.advance(5000);
    const before = controls(router);
    caller.messages(concatBytes(Uint8Array.of(7, 0, 0), new Uint8Array(5_000)));
    assert.equal(controls(router), before, "too long");
    for (let i = 0; i < 5_000; i++) caller.messages(Uint8Array.of(7, 0, 0));
    assert.ok(controls(router) - before <= 256, `${controls(router) - before} handed on`);
    assert.ok(!caller.closed);
  });
});
