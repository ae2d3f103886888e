/** The codec of NETLINK_XFRM against the requests of the specification. */
import assert from "node:assert/strict";
import type { Ip } from "../../../mod/core/addr.ts";
import { fromHex, toHex } from "../../../mod/core/bytes.ts";
import * as xfrm from "../../../mod/wire/xfrm.ts";
import { decodePolicy, decodeSa, isPortPolicy } from "../../../mod/wire/xfrm_reply.ts";
import { fuzz } from "../fuzz.ts";
import { loadVectors } from "../vectors.ts";

const vectors = loadVectors<{ xfrm_requests: { messages: { step: string; hex: string }[] } }>(
  "dataplane-ipsec",
).xfrm_requests.messages;
const A = "10.99.0.1" as Ip;
const B = "10.99.0.2" as Ip;
const key = Uint8Array.from({ length: xfrm.ESP_KEY_LENGTH }, (_, i) => i + 1);

/** The message without its sequence and port id, which the socket fills in. */
function essence(bytes: Uint8Array): string {
  return toHex(Uint8Array.from(bytes).fill(0, 8, 16));
}

Deno.test("xfrm requests equal those of the specification", () => {
  const inbound = { src: B, dst: A, spi: 0xffcca8ef, key, reqid: 0, bound: false };
  const outbound = { src: A, dst: B, spi: 0xc0ffee02, key, reqid: 0, bound: false };
  const selector = {
    src: A,
    dst: B,
    direction: "out",
    port: undefined,
    mark: { value: 0x20000, mask: 0x20000 },
  } as const;
  const policy = { ...selector, priority: 0, verdict: { kind: "esp", spi: 0xc0ffee02, reqid: 0 } } as const;
  const ours = [
    xfrm.allocSpi(inbound),
    xfrm.updateSa(inbound),
    xfrm.newSa(outbound),
    xfrm.updatePolicy(policy),
    xfrm.getPolicy(selector),
    xfrm.deletePolicy(selector),
    xfrm.deleteSa(inbound),
    xfrm.deleteSa(outbound),
  ];
  assert.equal(ours.length, vectors.length);
  ours.forEach((message, i) =>
    assert.equal(essence(message), essence(fromHex(vectors[i]!.hex)), vectors[i]!.step)
  );
});

/** A request read back as the kernel's notice of another type. */
function as(type: number, message: Uint8Array): Uint8Array {
  new DataView(message.buffer).setUint16(4, type, true);
  return message;
}

Deno.test("decodeSa and decodePolicy read what was asked for", () => {
  const sa = { src: B, dst: A, spi: 0xffcca8ef, key, reqid: 7, bound: true };
  assert.deepEqual(decodeSa(xfrm.newSa(sa)), {
    ok: true,
    value: { src: B, dst: A, spi: 0xffcca8ef, protocol: 50, reqid: 7 },
  });
  const selector = { src: A, dst: B, direction: "out", port: 6784, mark: undefined } as const;
  const esp = xfrm.newPolicy({ ...selector, priority: 9, verdict: { kind: "esp", spi: 5, reqid: 7 } });
  const block = xfrm.updatePolicy({ ...selector, direction: "in", priority: 9, verdict: { kind: "block" } });
  const base = { src: A, dst: B, protocol: 17, port: 6784, priority: 9, marked: false };
  const read = [esp, as(xfrm.XFRM_MSG.newPolicy, block)].map(decodePolicy);
  assert.deepEqual(read, [
    { ok: true, value: { ...base, direction: 1, block: false, spi: 5 } },
    { ok: true, value: { ...base, direction: 0, block: true, spi: undefined } },
  ]);
  assert.ok(read.every((policy) => policy.ok && policy.value !== undefined && isPortPolicy(policy.value)));
});

Deno.test("decodeSa and decodePolicy survive anything", () => {
  fuzz(decodeSa, [fromHex(vectors[2]!.hex)]);
  fuzz(decodePolicy, [as(xfrm.XFRM_MSG.newPolicy, fromHex(vectors[3]!.hex))]);
});
