import assert from "node:assert/strict";
import { dialAddress, parseDialTarget } from "../../../../mod/mesh/dialing/target.ts";

const good = [
  ["peer.example.com", "peer.example.com", undefined, undefined],
  ["peer", "peer", undefined, undefined],
  ["peer:7000", "peer", undefined, 7000],
  ["192.0.2.1", "192.0.2.1", "192.0.2.1", undefined],
  ["192.0.2.1:1", "192.0.2.1", "192.0.2.1", 1],
  ["2001:db8::1", "2001:db8::1", "2001:db8::1", undefined],
  ["[2001:db8::1]", "2001:db8::1", "2001:db8::1", undefined],
  ["fec0::1", "fec0::1", "fec0::1", undefined],
  ["[2001:DB8::1]:65535", "2001:DB8::1", "2001:db8::1", 65535],
] as const;

for (const [text, host, ip, port] of good) {
  Deno.test(`parseTarget() takes ${text}`, () => {
    assert.deepEqual(parseDialTarget(text), { ok: true, value: { host, ip, port } });
  });
}

for (
  const [text, reason] of [
    ["", /valid host name/],
    ["a b", /valid host name/],
    ["-x", /valid host name/],
    ["10.1", /valid host name/],
    ["999.1.1.1", /valid host name/],
    ["[peer]:1", /valid host name/],
    ["peer:", /port of target/],
    ["peer:0", /port of target/],
    ["peer:65536", /port of target/],
    ["peer:http", /port of target/],
    ["a:b:c", /port of target/],
    ["x".repeat(300), /valid host name/],
    ["fe80::1", /link-local/],
    ["fe80::1%eth0", /link-local/],
    ["[fe80::1%eth0]:6783", /link-local/],
    ["[febf::1]", /link-local/],
    ["[2001:db8::1%eth0]", /valid host name/],
  ] as const
) {
  Deno.test(`parseTarget() refuses ${JSON.stringify(text).slice(0, 20)}`, () => {
    const parsed = parseDialTarget(text);
    assert.ok(!parsed.ok);
    assert.match(parsed.reason, reason);
  });
}

Deno.test("dialAddress() completes the port", () => {
  const parsed = parseDialTarget("2001:db8::1");
  assert.ok(parsed.ok);
  assert.equal(dialAddress(parsed.value.ip!, undefined, 6783), "[2001:db8::1]:6783");
  assert.equal(dialAddress(parsed.value.ip!, 9, 6783), "[2001:db8::1]:9");
});
