import assert from "node:assert/strict";
import type { EngineLink } from "../../../mod/sleeve/sleeve_engine_link.ts";
import { Outbox } from "../../../mod/sleeve/sleeve_outbox.ts";
import type { SleeveSocket } from "../../../mod/sleeve/sleeve_socket.ts";
import type { PeerNumber } from "../../../mod/wire/mesh/sleeve.ts";

/** A link whose key seals two packets, and should be replaced after the first. */
function shortLived() {
  let sealed = 0;
  const link = {
    id: 1,
    limit: 200,
    use: { largest: 552, asleep: true },
    target: { endpoint: { ip: "192.0.2.2", port: 6783 } },
    sealed: {
      get rekeyNeeded() {
        return sealed >= 1;
      },
      seal: () => sealed++ < 2,
    },
  };
  return link as unknown as EngineLink;
}

Deno.test("Outbox tells that a key is nearly used up, and sends nothing once it is", () => {
  const queued: number[] = [];
  const socket = { outgoing: new Uint8Array(4_096), queue: () => queued.push(1), flush: () => {} };
  const told: EngineLink[] = [];
  const dropped: string[] = [];
  const outbox = new Outbox(socket as unknown as SleeveSocket, {
    self: 1 as PeerNumber,
    drop: (reason) => void dropped.push(reason),
    usedUp: (link) => void told.push(link),
    larger: () => true,
  });
  const link = shortLived();
  for (let i = 0; i < 3; i++) {
    outbox.direct(link, true);
    assert.ok(outbox.reserve(1 as PeerNumber, 2 as PeerNumber, 60, 0) >= 0);
    outbox.flush();
  }
  assert.deepEqual([queued.length, dropped], [2, ["key-used-up"]]);
  assert.equal(new Set(told).size, 1);
});
