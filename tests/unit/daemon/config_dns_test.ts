import assert from "node:assert/strict";
import { resolveConfig } from "../../../mod/daemon/config.ts";

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
