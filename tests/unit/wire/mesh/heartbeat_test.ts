import assert from "node:assert/strict";
import { fromHex, toHex } from "../../../../mod/core/bytes.ts";
import type { ConnUid, ShortId } from "../../../../mod/core/names.ts";
import { decodeHeartbeat, encodeHeartbeat, isSpecial } from "../../../../mod/wire/mesh/heartbeat.ts";
import { vniDestination, vniOf, vniSource } from "../../../../mod/wire/packet/vxlan.ts";
import { fuzz } from "../../fuzz.ts";
import { loadVectors } from "../../vectors.ts";

const { heartbeat, tunnel_ids } = loadVectors("dataplane-fastdp");
const UID = BigInt(`0x${heartbeat.conn_uid}`) as ConnUid;

Deno.test("encodeHeartbeat() makes the frame of the vector", async () => {
  const frame = encodeHeartbeat(UID, heartbeat.mtu);
  assert.equal(frame.length, heartbeat.frame_len);
  assert.equal(toHex(frame.subarray(0, 24)), heartbeat.frame_prefix_24);
  assert.equal(toHex(new Uint8Array(await crypto.subtle.digest("SHA-256", frame))), heartbeat.frame_sha256);
});

Deno.test("decodeHeartbeat() takes whole heartbeats and nothing else", () => {
  const frame = encodeHeartbeat(UID, heartbeat.mtu);
  assert.deepEqual(decodeHeartbeat(frame), { ok: true, value: UID });
  for (let length = 0; length < frame.length; length += 7) {
    assert.equal(decodeHeartbeat(frame.subarray(0, length)).ok, false);
  }
  assert.equal(decodeHeartbeat(new Uint8Array([...frame, 0])).ok, false);
  for (let at = 0; at < 12; at++) {
    const changed = frame.slice();
    changed[at] = 1;
    assert.equal(decodeHeartbeat(changed).ok, false);
  }
  fuzz(decodeHeartbeat, [frame], { truncations: 50 });
});

Deno.test("encodeHeartbeat() stays within what the length field can say", () => {
  for (const mtu of [0, 1, 576, 65_521, 65_535, 100_000]) {
    assert.equal(decodeHeartbeat(encodeHeartbeat(UID, mtu)).ok, true, `mtu ${mtu}`);
  }
});

for (const { name, frame, special } of loadVectors("dataplane-frames").classify) {
  Deno.test(`isSpecial() of ${name} is ${special}`, () => assert.equal(isSpecial(fromHex(frame)), special));
}

for (const { src_short_id, dst_short_id, vni } of tunnel_ids) {
  Deno.test(`vniOf() from ${src_short_id} to ${dst_short_id} is ${vni}`, () => {
    assert.equal(vniOf(src_short_id as ShortId, dst_short_id as ShortId), vni);
    assert.equal(vniSource(vni), src_short_id);
    assert.equal(vniDestination(vni), dst_short_id);
  });
}
