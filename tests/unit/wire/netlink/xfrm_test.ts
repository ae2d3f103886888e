/** The codec of NETLINK_XFRM against the requests of the specification. */
import assert from "node:assert/strict";
import type { Ip } from "../../../../mod/core/addr.ts";
import { fromHex, toHex } from "../../../../mod/core/bytes.ts";
import * as xfrm from "../../../../mod/wire/netlink/xfrm.ts";
import { decodePolicy, decodeSa, isPortPolicy } from "../../../../mod/wire/netlink/xfrm_reply.ts";
import { decodeXfrmNotices } from "../../../../mod/wire/netlink/xfrm_notice.ts";
import { fuzz } from "../../fuzz.ts";
import { loadVectors } from "../../vectors.ts";

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
    value: { src: B, dst: A, spi: 0xffcca8ef, protocol: 50, reqid: 7, keyed: true },
  });
  const selector = { src: A, dst: B, direction: "out", port: 6784, mark: undefined } as const;
  const esp = xfrm.newPolicy({ ...selector, priority: 9, verdict: { kind: "esp", spi: 5, reqid: 7 } });
  const block = xfrm.updatePolicy({ ...selector, direction: "in", priority: 9, verdict: { kind: "block" } });
  const base = {
    ...{ src: A, dst: B, protocol: 17, port: 6784, priority: 9 },
    ...{ marked: false, optional: false, sub: false },
  };
  const read = [esp, as(xfrm.XFRM_MSG.newPolicy, block)].map(decodePolicy);
  assert.deepEqual(read, [
    { ok: true, value: { ...base, direction: 1, block: false, spi: 5, reqid: 7 } },
    { ok: true, value: { ...base, direction: 0, block: true, spi: undefined, reqid: undefined } },
  ]);
  assert.ok(read.every((policy) => policy.ok && policy.value !== undefined && isPortPolicy(policy.value)));
});

Deno.test("associations and policies of IPv6 say their family, and whole addresses (linux/xfrm.h)", () => {
  const [here, there] = ["fd50::1", "2001:db8::2"] as const as unknown as readonly [Ip, Ip];
  const hex = { here: "fd50" + "0".repeat(27) + "1", there: "20010db8" + "0".repeat(23) + "2" };
  const sa = { src: there, dst: here, spi: 0xffcca8ef, key, reqid: 7, bound: true };
  assert.deepEqual(decodeSa(xfrm.newSa(sa)), {
    ok: true,
    value: { src: there, dst: here, spi: 0xffcca8ef, protocol: 50, reqid: 7, keyed: true },
  });
  const selector = { src: here, dst: there, direction: "out", port: 6784, mark: undefined } as const;
  const esp = xfrm.newPolicy({ ...selector, priority: 9, verdict: { kind: "esp", spi: 5, reqid: 7 } });
  assert.deepEqual(decodePolicy(esp), {
    ok: true,
    value: {
      ...{ src: here, dst: there, protocol: 17, port: 6784, priority: 9, direction: 1 },
      ...{ marked: false, optional: false, sub: false, block: false, spi: 5, reqid: 7 },
    },
  });
  // struct xfrm_selector behind the header of 16 octets: both addresses, ports, family AF_INET6, prefixes of 128 bits.
  const text = toHex(esp);
  assert.equal(text.slice(32, 96), hex.there + hex.here);
  assert.equal(text.slice(112, 122), "0a00808011");
  // struct xfrm_usersa_id: address, number, family, protocol; then the source as an attribute.
  const gone = toHex(xfrm.deleteSa(sa)).slice(32);
  assert.equal(gone, `${hex.here}ffcca8ef0a003200` + `14000d00${hex.there}`);
});

Deno.test("a policy of IPv6 networks is none from a host to another", () => {
  const [src, dst] = ["fd50::1", "fd50::2"] as const as unknown as readonly [Ip, Ip];
  const policy = xfrm.newPolicy({
    ...{ src, dst, direction: "out", port: 6784, mark: undefined, priority: 9, verdict: { kind: "block" } },
  });
  policy[16 + 42] = 64;
  assert.deepEqual(decodePolicy(policy), { ok: true, value: undefined });
});

Deno.test("decodeSa and decodePolicy survive anything", () => {
  fuzz(decodeSa, [fromHex(vectors[2]!.hex)]);
  fuzz(decodePolicy, [as(xfrm.XFRM_MSG.newPolicy, fromHex(vectors[3]!.hex))]);
});

const told = loadVectors<{ steps: { command: string; notices: string[] }[] }>("xfrm-notices").steps
  .flatMap(({ notices }) => notices.map(fromHex));

Deno.test("decodeXfrmNotices() reads what a kernel told", () => {
  const read = told.map((notice) => {
    const decoded = decodeXfrmNotices(notice);
    assert.ok(decoded.ok && decoded.value.length === 1, "one message each");
    const [{ by, ...rest }] = decoded.value as [typeof decoded.value[number]];
    assert.equal(by, 0, "iproute2 does not say who it is");
    switch (rest.kind) {
      case "policy": {
        const { block, direction, dst, port, reqid, spi, src, sub } = rest.policy!;
        const verdict = block ? "block" : `spi ${spi} reqid ${reqid}`;
        return `policy ${direction} ${src}>${dst}:${port} ${sub ? "sub" : "main"} ${verdict}`;
      }
      case "sa-gone":
        return `gone ${rest.sa!.src}>${rest.sa!.dst} ${rest.sa!.spi} reqid ${rest.sa!.reqid}`;
      case "expired":
        return `${rest.hard ? "hard" : "soft"} ${rest.sa!.src}>${rest.sa!.dst} ${rest.sa!.spi}`;
      default:
        return rest.kind;
    }
  });
  const policy = "policy 1 192.0.2.1>192.0.2.2:6784";
  assert.deepEqual(read, [
    ...["other", "other"],
    ...[`${policy} sub spi 4097 reqid 19790`, `${policy} sub block`, `${policy} sub block`],
    ...[`${policy} sub block`, `${policy} main block`, "policies-flushed", "policies-flushed"],
    ...["gone 192.0.2.1>192.0.2.2 4097 reqid 19790", "sas-flushed", "other"],
    ...["policy 1 192.0.2.1>192.0.2.2:undefined main spi 0 reqid 19790", "soft 192.0.2.1>192.0.2.2 4097"],
  ]);
});

Deno.test("decodeXfrmNotices() survives anything", () => fuzz(decodeXfrmNotices, told));

Deno.test("updateSa() has the kernel tell of so many packets, and updatePolicy() names the second table", () => {
  const sa = { src: B, dst: A, spi: 0x1000, key, reqid: 7, bound: true };
  const soft = (message: Uint8Array) => new DataView(message.buffer).getBigUint64(16 + 96 + 16, true);
  assert.equal(soft(xfrm.updateSa(sa)), 2n ** 64n - 1n);
  assert.equal(soft(xfrm.updateSa({ ...sa, softPackets: 2 ** 40 + 5 })), 2n ** 40n + 5n);
  const selector = { src: A, dst: B, direction: "out", port: 6784, mark: undefined, sub: true } as const;
  const message = xfrm.updatePolicy({ ...selector, priority: 9, verdict: { kind: "block" } });
  const read = decodePolicy(as(xfrm.XFRM_MSG.newPolicy, message));
  assert.ok(read.ok && read.value?.sub === true);
});
