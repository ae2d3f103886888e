import assert from "node:assert/strict";
import { formatEndpoint } from "../../../mod/core/addr.ts";
import { resolveConfig } from "../../../mod/daemon/config/config.ts";

type Given = Readonly<Record<string, string | boolean>>;

const dnsOf = (flags: Given) =>
  resolveConfig({ flags, env: {}, file: undefined, hostname: "host1", cwd: "/" }).dns;

Deno.test("names are below mesh.internal, in a Weave network below weave.local, or where --dns-domain says", () => {
  assert.equal(dnsOf({})?.domain, "mesh.internal.");
  assert.equal(dnsOf({ compat: "weave" })?.domain, "weave.local.");
  assert.equal(dnsOf({ compat: "weave", "dns-domain": "Corp.Example." })?.domain, "corp.example.");
  assert.equal(dnsOf({ "dns-domain": "mesh" })?.domain, "mesh.");
});

Deno.test("--no-dns: no names, whatever else is said of them", () => {
  assert.equal(dnsOf({ "no-dns": true }), undefined);
  assert.equal(dnsOf({ "no-dns": "yes", "dns-domain": "corp.example" }), undefined);
  assert.equal(dnsOf({ "no-dns": "false" })?.domain, "mesh.internal.");
});

Deno.test("a domain that cannot be one is refused", () => {
  const wrong = [
    "",
    ".",
    "a..b",
    "-a",
    "a-",
    "a b",
    "ä.example",
    "10.in-addr.arpa",
    "arpa",
    `${"a".repeat(64)}.b`,
  ];
  for (const domain of [...wrong, Array(60).fill("abc").join("."), "a_b"]) {
    assert.throws(() => dnsOf({ "dns-domain": domain }), { code: "usage/bad-option" }, domain);
  }
});

Deno.test("names are answered as --dns-ttl, --dns-order, --dns-listen and --dns-forward say", () => {
  const { domain: _, ...usual } = dnsOf({})!;
  assert.deepEqual(usual, {
    ...{ ttl: undefined, order: "balanced", listen: [], stubs: [], resolvConf: "/etc/resolv.conf" },
  });
  const config = dnsOf({
    ...{ "dns-ttl": "30", "dns-order": "nearest", "resolv-conf": "/run/resolv.conf" },
    "dns-listen": "127.0.0.1, 192.0.2.1:5353,::1,[fd00::1]:54",
    "dns-forward": "Corp.Example.=10.0.0.53,other.example=10.0.0.54:5353,corp.example=10.0.0.55",
  })!;
  assert.deepEqual([config.ttl, config.order, config.resolvConf], [30, "nearest", "/run/resolv.conf"]);
  assert.deepEqual(config.listen.map(formatEndpoint), [
    ...["127.0.0.1:53", "192.0.2.1:5353", "[::1]:53", "[fd00::1]:54"],
  ]);
  assert.deepEqual(config.stubs.map(({ domain, servers }) => [domain, servers.map(formatEndpoint).join()]), [
    ["corp.example.", "10.0.0.53:53,10.0.0.55:53"],
    ["other.example.", "10.0.0.54:5353"],
  ]);
  assert.deepEqual(dnsOf({ "dns-listen": "" })?.listen, []);
});

Deno.test("settings of names that cannot be used name the value and the fix", () => {
  const cases: [flags: Given, message: RegExp, hint: RegExp][] = [
    [{ "dns-ttl": "-1" }, /--dns-ttl: value is "-1"/, /0 to 86400/],
    [{ "dns-order": "nearby" }, /--dns-order: value is "nearby"/, /nearest/],
    [{ "dns-listen": "127.0.0.1,eth0" }, /--dns-listen: value is "eth0"/, /ADDRESS:PORT/],
    [{ "dns-listen": "127.0.0.1:0" }, /value is "127\.0\.0\.1:0"/, /ADDRESS:PORT/],
    [{ "dns-listen": "," }, /value is ","/, /empty text for none/],
    [{ "dns-forward": "corp.example" }, /value is "corp\.example"/, /DOMAIN=SERVER/],
    [{ "dns-forward": "corp.example=ns1" }, /value is "corp\.example=ns1"/, /DOMAIN=SERVER/],
    [{ "dns-forward": "=10.0.0.1" }, /value is "=10\.0\.0\.1"/, /DOMAIN=SERVER/],
    [{ "dns-forward": "a.mesh.internal=10.0.0.1" }, /a\.mesh\.internal/, /answered by the mesh itself/],
  ];
  for (const [flags, message, hint] of cases) {
    assert.throws(() => dnsOf(flags), { message, hint } as unknown as Error, JSON.stringify(flags));
  }
});
