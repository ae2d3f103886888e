import assert from "node:assert/strict";
import { vniOf } from "../../../mod/wire/packet/vxlan.ts";
import { addressOf, enginePair, shortOf } from "./engine_pair.ts";
import * as packets from "./super_packets.ts";
import { SHAPE } from "./super_packets.ts";

Deno.test("SleeveEngine sends a frame as a tunnel would, whole; that it is refused is no news of a link", () => {
  const [a] = enginePair({ mtu: 1_500 });
  a.send(packets.superPacket({ ...SHAPE, payload: 100 }));
  const to = {
    tunnel: { id: vniOf(shortOf(0), shortOf(1)), src: addressOf(0).ip, dst: addressOf(1).ip },
    udpPort: 6784,
  };
  const frame = new Uint8Array(1_390).fill(9);
  a.engine.sendTunnelled(frame, to);
  const [before, { bytes, df } = assert.fail()] = a.socket.sent;
  assert.ok(before!.bytes.length < bytes.length, "nothing overtakes");
  const { id } = to.tunnel;
  const header = Uint8Array.of(8, 0, 0, 0, id >>> 16, id >>> 8, id, 0);
  assert.deepEqual([bytes.subarray(0, 8), bytes.subarray(8), df], [header, frame, true]);
  a.socket.pathMtu = 1_400;
  a.flush();
  a.news.length = 0;
  a.engine.sendTunnelled(frame, to);
  a.flush();
  assert.deepEqual([a.news, a.engine.counts().dropped, a.socket.sent.length], [[], {}, 2]);
});
