import assert from "node:assert/strict";
import {
  mergeAddresses,
  parseAddressWish,
  parseAttachAddress,
  parseAttachAddresses,
} from "../../../mod/attach/address.ts";
import { checkConflicts, type OtherNetworks } from "../../../mod/attach/conflict.ts";
import {
  cidrContains,
  formatCidr,
  ipFromBytes,
  networkOf,
  overlap,
  parseCidr,
} from "../../../mod/core/addr.ts";
import { MeshnetError } from "../../../mod/core/errors.ts";
import { check, fc } from "../properties.ts";

Deno.test("parseAttachAddress() takes usable addresses", () => {
  const cases: [text: string, cidr: string][] = [
    ["10.2.1.1/24", "10.2.1.1/24"],
    ["ip:10.2.1.1/24", "10.2.1.1/24"],
    ["10.2.1.1/32", "10.2.1.1/32"],
    ["10.2.1.0/31", "10.2.1.0/31"],
    ["10.2.1.1/31", "10.2.1.1/31"],
    ["10.2.1.0/16", "10.2.1.0/16"],
    ["10.2.1.255/16", "10.2.1.255/16"],
    ["169.254.7.7/16", "169.254.7.7/16"],
    ["fd00::1/64", "fd00::1/64"],
    ["ip:FD00:0::1/64", "fd00::1/64"],
    ["fd00::/127", "fd00::/127"],
    ["fd00::1/128", "fd00::1/128"],
  ];
  for (const [text, cidr] of cases) assert.equal(formatCidr(parseAttachAddress(text)), cidr);
});

Deno.test("parseAttachAddress() refuses the others with a reason and a hint", () => {
  const cases: [text: string, code: string, message: RegExp][] = [
    ["net:default", "usage/bad-address", /not an IP address/],
    ["net:10.2.2.0/24", "usage/bad-address", /not an IP address/],
    ["", "usage/bad-address", /not an IP address/],
    ["web", "usage/bad-address", /not an IP address/],
    ["fd00::1", "usage/bad-address", /no prefix length/],
    ["10.2.1.1", "usage/bad-address", /no prefix length/],
    ["10.2.1.1/33", "usage/bad-address", /not an IP address and a prefix length/],
    ["10.2.1/24", "usage/bad-address", /not an IP address/],
    ["10.2.1.1/24/8", "usage/bad-address", /not an IP address/],
    ["web/24", "usage/bad-address", /not an IP address/],
    ["fd00::1/129", "usage/bad-address", /not an IP address/],
    ["10.2.1.1/0", "usage/bad-address", /every address/],
    ["fd00::1/0", "usage/bad-address", /every address/],
    ["10.2.1.0/24", "usage/bad-address", /address of the network itself/],
    ["10.2.1.255/24", "usage/bad-address", /broadcast address/],
    ["10.2.1.3/30", "usage/bad-address", /broadcast address/],
    ["fd00::/64", "usage/bad-address", /address of the network itself/],
    ["127.0.0.1/8", "usage/bad-address", /loopback/],
    ["169.254.53.53/16", "usage/bad-address", /containers of every host ask the name server/],
    ["ip:169.254.53.53/32", "usage/bad-address", /name server/],
    ["224.0.0.1/24", "usage/bad-address", /multicast/],
    ["255.255.255.255/32", "usage/bad-address", /reserved/],
    ["0.0.0.0/8", "usage/bad-address", /this network/],
    ["::1/128", "usage/bad-address", /loopback/],
    ["ff02::1/64", "usage/bad-address", /multicast/],
    ["fe80::1/64", "usage/bad-address", /link-local/],
  ];
  for (const [text, code, message] of cases) {
    assert.throws(() => parseAttachAddress(text), (thrown) => {
      assert.ok(thrown instanceof MeshnetError && thrown.hint !== undefined, text);
      assert.equal(thrown.code, code, text);
      assert.match(thrown.message, message);
      return true;
    });
  }
});

Deno.test("parseAttachAddresses() drops repeats and needs at least one", () => {
  const texts = parseAttachAddresses(["10.2.1.1/24", "ip:10.2.1.1/24", "10.2.1.2/24"]).map(formatCidr);
  assert.deepEqual(texts, ["10.2.1.1/24", "10.2.1.2/24"]);
  assert.throws(() => parseAttachAddresses([]), { code: "attach/no-address" });
});

Deno.test("mergeAddresses() refuses one address with two prefix lengths", () => {
  const one = [parseCidr("10.2.1.1/24")!];
  assert.throws(() => mergeAddresses(one, [parseCidr("10.2.1.1/16")!]), /attached as 10.2.1.1\/24/);
  assert.deepEqual(mergeAddresses(one, one), one);
});

const anyCidr = fc.uint8Array({ minLength: 4, maxLength: 4 }).chain((bytes) =>
  fc.integer({ min: 0, max: 32 }).map((prefix) => ({ ip: ipFromBytes(bytes)!, prefix }))
);

Deno.test("networkOf() and overlap() agree with membership", () => {
  check(fc.property(anyCidr, anyCidr, (a, b) => {
    assert.ok(cidrContains(a, networkOf(a).ip));
    assert.deepEqual(networkOf(networkOf(a)), networkOf(a));
    assert.equal(overlap(a, b), cidrContains(a, networkOf(b).ip) || cidrContains(b, networkOf(a).ip));
    assert.equal(overlap(a, b), overlap(b, a));
  }));
});

Deno.test("checkConflicts() tells fights from neighbours", () => {
  const others: OtherNetworks = {
    addresses: [{ name: "eth0", cidr: parseCidr("172.17.0.2/16")! }],
    routes: [
      { name: "eth0", destination: parseCidr("0.0.0.0/0")!, viaGateway: true },
      { name: "eth0", destination: parseCidr("172.17.0.0/16")!, viaGateway: false },
      { name: "eth0", destination: parseCidr("10.0.0.0/8")!, viaGateway: true },
      { name: "eth0", destination: parseCidr("10.9.9.0/24")!, viaGateway: true },
      { name: "eth0", destination: parseCidr("fe80::/64")!, viaGateway: false },
      { name: "eth0", destination: parseCidr("224.0.0.0/4")!, viaGateway: false },
      { name: "eth0", destination: parseCidr("fd00:1::/64")!, viaGateway: false },
    ],
  };
  const cases: [cidr: string, error: RegExp | undefined, warnings: number][] = [
    ["192.168.1.1/24", undefined, 0],
    ["10.2.1.1/24", undefined, 1], // more specific than a route to a router: the mesh takes over a part
    ["10.9.9.1/24", /overlaps 10.9.9.0\/24/, 0], // equal: they would fight
    ["10.9.1.1/16", /overlaps 10.9.9.0\/24/, 0], // a part of the mesh would be led away
    ["172.17.0.2/24", /has the address 172.17.0.2\/16/, 0],
    ["172.17.9.1/24", /overlaps 172.17.0.0\/16/, 0],
    ["fd00::1/64", undefined, 0],
    ["fd00:1::1/64", /overlaps fd00:1::\/64/, 0],
  ];
  for (const [cidr, error, warnings] of cases) {
    const run = () => checkConflicts((text) => `attach ${text} to netns:a`, [parseCidr(cidr)!], others);
    if (error !== undefined) assert.throws(run, error);
    else assert.equal(run().length, warnings, cidr);
  }
});

Deno.test("parseAddressWish() knows addresses, the default subnet and others", () => {
  assert.deepEqual(parseAddressWish("net:default"), { kind: "any", subnet: undefined });
  assert.deepEqual(parseAddressWish("net:10.2.2.0/24"), { kind: "any", subnet: parseCidr("10.2.2.0/24") });
  const address = { kind: "address", cidr: parseCidr("10.2.1.1/24") };
  assert.deepEqual(parseAddressWish("10.2.1.1/24"), address);
  assert.deepEqual(parseAddressWish("ip:10.2.1.1/24"), address);
  for (const text of ["net:", "net:10.2.2.0", "net:everything", "10.2.1.0/24", "x"]) {
    assert.throws(() => parseAddressWish(text), { code: "usage/bad-address" }, text);
  }
});
