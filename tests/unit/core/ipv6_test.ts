import assert from "node:assert/strict";
import ipaddr from "ipaddr.js";
import { ipFromBytes, ipToBytes, parseIp } from "../../../mod/core/addr.ts";
import { ipv6Text, putIpv6 } from "../../../mod/core/ipv6.ts";

const TEXTS = [
  ["::", "00000000000000000000000000000000"],
  ["::1", "00000000000000000000000000000001"],
  ["1::", "00010000000000000000000000000000"],
  ["fd50::1", "fd500000000000000000000000000001"],
  ["2001:db8:0:1:1:1:1:1", "20010db8000000010001000100010001"],
  ["2001:db8::1:0:0:1", "20010db8000000000001000000000001"],
  ["2001:0:0:1::1", "20010000000000010000000000000001"],
  ["fe80::abcd:ef01:2345:6789", "fe80000000000000abcdef0123456789"],
  ["1:2:3:4:5:6:7:8", "00010002000300040005000600070008"],
] as const;

for (const [text, hex] of TEXTS) {
  Deno.test(`ipv6Text() and putIpv6() know ${text}`, () => {
    const octets = new Uint8Array(18).fill(7);
    putIpv6(text, octets, 1);
    assert.equal(octets.subarray(1, 17).toHex(), hex);
    assert.deepEqual([octets[0], octets[17]], [7, 7]);
    assert.equal(ipv6Text(octets, 1), text);
  });
}

Deno.test("IPv6 addresses become the same octets and text as with another implementation", () => {
  for (let round = 0; round < 4_000; round++) {
    const octets = crypto.getRandomValues(new Uint8Array(16));
    // Many groups of zeros, wherever they are.
    for (let i = 0; i < 8; i++) if ((round >> i & 1) === 0) octets.fill(0, 2 * i, 2 * i + 2);
    const text = ipaddr.fromByteArray([...octets]).toString();
    const ip = parseIp(text)!;
    assert.equal(ipv6Text(octets, 0), (ipaddr.parse(text) as ipaddr.IPv6).toRFC5952String());
    assert.equal(ipFromBytes(octets), ip);
    if (ip.includes(":")) assert.deepEqual(ipToBytes(ip), octets);
  }
});

Deno.test("IPv4 addresses have 4 octets; as IPv6 ones they are the same", () => {
  assert.equal(ipToBytes(parseIp("192.0.2.255")!).toHex(), "c00002ff");
  assert.equal(ipToBytes(parseIp("::ffff:192.0.2.255")!).toHex(), "c00002ff");
  assert.equal(ipFromBytes(Uint8Array.fromHex("00000000000000000000ffffc00002ff")), "192.0.2.255");
});
