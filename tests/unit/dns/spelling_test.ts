import assert from "node:assert/strict";
import { nameBelow, readRecord, shortName, writeRecord } from "../../../mod/dns/records/spelling.ts";

const DOMAIN = "mesh.internal.";

Deno.test("nameBelow() takes a name with and without the domain", () => {
  const cases: [text: string, name: string][] = [
    ["web", "web.mesh.internal."],
    ["web.mesh.internal", "web.mesh.internal."],
    ["web.mesh.internal.", "web.mesh.internal."],
    ["Web.MESH.internal", "Web.MESH.internal."],
    ["db.prod", "db.prod.mesh.internal."],
    ["www.example.com", "www.example.com.mesh.internal."],
    ["_http._tcp.web", "_http._tcp.web.mesh.internal."],
    ["my_app-1", "my_app-1.mesh.internal."],
    [`${"a".repeat(63)}`, `${"a".repeat(63)}.mesh.internal.`],
  ];
  for (const [text, name] of cases) {
    assert.deepEqual(nameBelow(text, DOMAIN), { ok: true, value: name }, text);
  }
});

Deno.test("nameBelow() says what is wrong", () => {
  const cases: [text: string, reason: RegExp][] = [
    ["", /^it is empty$/],
    [".", /^it is empty$/],
    ["web.", /ends in a dot and is not below mesh\.internal/],
    ["www.example.com.", /not below mesh\.internal/],
    ["mesh.internal", /the domain mesh\.internal itself/],
    ["a..b", /two dots/],
    [".web", /two dots/],
    ["10.2.1.1", /an address/],
    ["fd00::1", /an address/],
    ["a".repeat(64), /64 characters, more than 63/],
    [Array(64).fill("abc").join("."), /more than 253/],
    ["-web", /"-web"/],
    ["web-", /"web-"/],
    ["we b", /letters, digits and underscores, with hyphens inside/],
    ["wéb", /letters, digits and underscores/],
    ["*.web", /"\*"/],
    ["web/../x", /letters/],
  ];
  for (const [text, reason] of cases) {
    const read = nameBelow(text, DOMAIN);
    assert.ok(!read.ok, text);
    assert.match(read.reason, reason);
  }
});

Deno.test("readRecord() and writeRecord() agree", () => {
  const cases: [text: string, again: string][] = [
    ["10.2.1.1", "10.2.1.1"],
    ["255.1.0.9", "255.1.0.9"],
    ["fd00::1", "fd00::1"],
    ["cname:web", "cname:web.mesh.internal."],
    ["cname:www.example.com.", "cname:www.example.com."],
    ["srv:0:5:80:web", "srv:0:5:80:web.mesh.internal."],
    ["srv:65535:0:8080:a.b.example.", "srv:65535:0:8080:a.b.example."],
    ["127.0.0.1", "127.0.0.1"],
    ["order:nearest", "order:nearest"],
  ];
  for (const [text, again] of cases) {
    const read = readRecord(text, DOMAIN);
    assert.ok(read.ok, text);
    assert.equal(writeRecord(read.value), again);
    assert.deepEqual(readRecord(again, DOMAIN), read, again);
  }
});

Deno.test("readRecord() says what is wrong", () => {
  const cases: [text: string, reason: RegExp][] = [
    ["10.2.1.1/24", /no prefix length/],
    ["0.0.0.0", /nobody has/],
    ["::", /nobody has/],
    ["224.0.0.251", /a multicast address/],
    ["ff02::1", /a multicast address/],
    ["255.255.255.255", /broadcast/],
    ["fe80::1", /link-local/],
    ["order:up", /orders are balanced, random, nearest/],
    ["web", /no record/],
    ["", /no record/],
    ["cname:", /^the name in it cannot be used: it is empty$/],
    ["cname:a b", /letters/],
    ["srv:1:2:web", /no record/],
    ["srv:1:2:70000:web", /0 to 65535/],
    ["srv:1:2:x:web", /0 to 65535/],
    ["mx:10:web", /no record/],
    ["10.2.1", /no record/],
  ];
  for (const [text, reason] of cases) {
    const read = readRecord(text, DOMAIN);
    assert.ok(!read.ok, text);
    assert.match(read.reason, reason, text);
  }
});

Deno.test("shortName() takes the domain off", () => {
  assert.equal(shortName("web.mesh.internal.", DOMAIN), "web");
  assert.equal(shortName("A.b.Mesh.Internal.", DOMAIN), "A.b");
  assert.equal(shortName("www.example.com.", DOMAIN), "www.example.com.");
  assert.equal(shortName(DOMAIN, DOMAIN), DOMAIN);
});
