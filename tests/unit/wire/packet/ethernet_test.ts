import assert from "node:assert/strict";
import { parseMac } from "../../../../mod/core/addr.ts";
import { fromHex, toHex } from "../../../../mod/core/bytes.ts";
import { decodeEthernet, describeFrame, encodeEthernet } from "../../../../mod/wire/packet/ethernet.ts";
import { fuzz } from "../../fuzz.ts";

// Origin: dataplane-ovs.json, second upcall.
const FRAME = fromHex(
  "ffffffffffffc6010203040508060001080006040001c601020304050a2000010000000000000a200002",
);

Deno.test("decodeEthernet() reads a captured ARP request", () => {
  const header = { dst: parseMac("ff:ff:ff:ff:ff:ff")!, src: parseMac("c6:01:02:03:04:05")!, type: 0x0806 };
  assert.deepEqual(decodeEthernet(FRAME), { ok: true, value: header });
  assert.equal(toHex(encodeEthernet(header, FRAME.subarray(14))), toHex(FRAME));
});

Deno.test("describeFrame() names addresses and type", () => {
  assert.equal(describeFrame(FRAME), "c6:01:02:03:04:05 > ff:ff:ff:ff:ff:ff arp 42 bytes");
  assert.equal(describeFrame(FRAME.subarray(0, 13)), "Ethernet header needs 14 bytes, has 13");
});

Deno.test("decodeEthernet() returns for whatever it gets", () => fuzz(decodeEthernet, [FRAME]));
