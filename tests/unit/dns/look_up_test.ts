import assert from "node:assert/strict";
import { answersFor } from "../../../mod/dns/records/look_up.ts";
import { readRecord, writeRecord } from "../../../mod/dns/records/spelling.ts";
import type { DnsEntry } from "../../../mod/wire/dns/dns_gossip.ts";
import { entry } from "./bench.ts";

const DOMAIN = "mesh.internal.";

function record(name: string, text: string, more: Partial<DnsEntry> = {}): DnsEntry {
  const read = readRecord(text, DOMAIN);
  assert.ok(read.ok, text);
  return entry({ hostname: `${name}.${DOMAIN}`, container: "c", ...read.value, ...more });
}

const found = (entries: readonly DnsEntry[], name: string) =>
  answersFor(entries, `${name}.${DOMAIN}`).map(writeRecord);

Deno.test("answersFor() gives what lives, in any letters, of all types", () => {
  const entries = [
    record("Web", "10.2.1.2"),
    record("web", "10.2.1.1"),
    record("web", "fd00::1"),
    record("web", "10.2.1.3", { tombstone: 7 }),
    record("other", "10.2.1.4"),
  ];
  assert.deepEqual(found(entries, "WEB").sort(), ["10.2.1.1", "10.2.1.2", "fd00::1"]);
  assert.deepEqual(found(entries, "nobody"), []);
});

Deno.test("answersFor() leaves out what does not answer, unless nothing does", () => {
  const sick = { tombstone: 7, unhealthy: true };
  assert.deepEqual(found([record("web", "10.2.1.1", sick), record("web", "10.2.1.2")], "web"), ["10.2.1.2"]);
  assert.deepEqual(found([record("web", "10.2.1.1", sick)], "web"), ["10.2.1.1"]);
});

Deno.test("answersFor() follows aliases, not for ever", () => {
  const entries = [
    record("www", "cname:shop"),
    record("shop", "cname:web"),
    record("web", "10.2.1.1"),
    record("out", "cname:www.example.com."),
    record("loop", "cname:loop2"),
    record("loop2", "cname:loop"),
  ];
  assert.deepEqual(found(entries, "www"), [
    "cname:shop.mesh.internal.",
    "cname:web.mesh.internal.",
    "10.2.1.1",
  ]);
  assert.deepEqual(found(entries, "out"), ["cname:www.example.com."]);
  assert.equal(found(entries, "loop").length, 9);
});
