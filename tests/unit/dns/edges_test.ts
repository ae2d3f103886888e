import assert from "node:assert/strict";
import type { Ip } from "../../../mod/core/addr.ts";
import type { Millis } from "../../../mod/core/time.ts";
import { ClientTable } from "../../../mod/dns/answers/clients.ts";
import { hostName, isBelow, qualified } from "../../../mod/dns/records/domain.ts";
import { NameIndex } from "../../../mod/dns/records/name_index.ts";
import { nameserversOf, resolvConfFor } from "../../../mod/dns/upstream/resolv_conf.ts";
import { ResponseLimit } from "../../../mod/dns/answers/response_limit.ts";
import { Upstreams } from "../../../mod/dns/upstream/upstream.ts";
import type { DnsEntry } from "../../../mod/wire/dns/dns_gossip.ts";
import { encodeName } from "../../../mod/wire/dns/dns_text.ts";
import { check, fc, seededRandom } from "../properties.ts";
import { a, addressOf, entry } from "./bench.ts";
import { client } from "./server_bench.ts";

Deno.test("names of people: whole, short, below the domain, and those of hosts", () => {
  const domain = "mesh.internal.";
  const rows: readonly (readonly [string, string])[] = [
    ["web", "web.mesh.internal."],
    ["a.sub", "a.sub.mesh.internal."],
    ["web.mesh.internal", "web.mesh.internal."],
    ["Web.MESH.internal.", "Web.MESH.internal."],
    ["db.example.com.", "db.example.com."],
    ["mesh.internal", "mesh.internal."],
    ["xmesh.internal", "xmesh.internal.mesh.internal."],
  ];
  for (const [name, expected] of rows) assert.equal(qualified(name, domain), expected);
  assert.equal(isBelow("xmesh.internal.", domain), false);
  assert.equal(hostName("Node_1.example.com", domain), "node-1.host.mesh.internal.");
  assert.equal(hostName("..", domain), undefined);
  assert.equal(hostName("Größe", domain), "gr-e.host.mesh.internal.");
});

Deno.test("nameserversOf() takes servers in order, each once, and never ourselves", () => {
  const text = [
    ...["# nameserver 1.1.1.1", "nameserver 127.0.0.1", "nameserver 10.98.0.2 # first", "search foo.example"],
    ...[
      "\tnameserver  fe80::1%eth0",
      "nameserver nonsense",
      "nameserver 10.98.0.2",
      "nameserver",
      "nameserver 10.98.0.9",
    ],
  ].join("\r\n");
  assert.deepEqual(nameserversOf(text, ["127.0.0.1" as Ip]), ["10.98.0.2", "fe80::1", "10.98.0.9"]);
  const many = Array.from({ length: 99 }, (_, i) => `nameserver 10.0.0.${i}`).join("\n");
  assert.equal(nameserversOf(many, []).length, 16);
});

Deno.test("resolvConfFor() asks us alone, keeps other domains and options, and changes nothing the second time", () => {
  const options = { server: "10.32.0.1" as Ip, domain: "mesh.internal." };
  const text = "nameserver 8.8.8.8\nsearch corp.example mesh.internal\noptions ndots:2\n";
  const written = resolvConfFor(text, options);
  assert.equal(written, "nameserver 10.32.0.1\nsearch mesh.internal corp.example\noptions ndots:2\n");
  assert.equal(resolvConfFor(written, options), written);
  assert.equal(resolvConfFor("", options), "nameserver 10.32.0.1\nsearch mesh.internal\n");
});

Deno.test("Upstreams: the longest domain decides, else the host's servers in their order", () => {
  const at = (ip: string, port = 53) => ({ ip: ip as Ip, port });
  const upstreams = new Upstreams([
    { domain: "example.", servers: [at("10.0.0.1")] },
    { domain: "Corp.Example.", servers: [at("10.0.0.53", 5_353)] },
  ]);
  upstreams.avoid([{ endpoint: at("127.0.0.1"), state: "listening" }]);
  upstreams.read("nameserver 127.0.0.1\nnameserver 10.98.0.2\nnameserver 10.98.0.9\n");
  const index = new NameIndex(seededRandom());
  const ask = (name: string) => {
    const wire = encodeName(name);
    index.fold(wire, 0, wire.length);
    return upstreams.for((domain) => index.isBelow(domain));
  };
  assert.deepEqual(ask("www.CORP.example."), [at("10.0.0.53", 5_353)]);
  assert.deepEqual(ask("xcorp.example."), [at("10.0.0.1")]);
  assert.deepEqual(ask("www.example.com."), [at("10.98.0.2"), at("10.98.0.9")]);
  upstreams.read("");
  assert.deepEqual(ask("www.example.com."), []);
});

Deno.test("Upstreams never asks ourselves, but whoever has the port that we do not have", () => {
  const upstreams = new Upstreams([]);
  upstreams.read("nameserver 127.0.0.1\nnameserver 192.0.2.53\n");
  const asked = () => upstreams.servers.map(({ ip }) => ip);
  const taken = { state: "waiting", reason: "dnsmasq has it", hint: undefined } as const;
  const rows = [
    [53, { state: "listening" }, ["192.0.2.53"]],
    [53, taken, ["127.0.0.1", "192.0.2.53"]],
    [5_353, { state: "listening" }, ["127.0.0.1", "192.0.2.53"]],
  ] as const;
  for (const [port, state, expected] of rows) {
    upstreams.avoid([{ endpoint: { ip: "127.0.0.1" as Ip, port }, ...state }]);
    assert.deepEqual(asked(), expected, `${port} ${state.state}`);
  }
});

Deno.test("ClientTable: a source is its container's, that of two containers either's, and any other anybody's", () => {
  const table = new ClientTable();
  const [one, two] = [client("10.32.0.1/12"), client("10.32.0.2/12", "10.40.0.1/24")];
  table.set("one", { addresses: one, sources: [addressOf("172.17.0.2")] });
  table.set("two", { addresses: two, sources: [addressOf("172.17.0.3")] });
  assert.deepEqual(table.of(addressOf("172.17.0.2")), [one]);
  assert.deepEqual(table.of(addressOf("10.40.0.1")), [two]);
  assert.deepEqual(table.of(addressOf("192.0.2.1")), [one, two]);
  assert.equal(table.has(addressOf("192.0.2.1")), false);
  table.set("three", { addresses: [], sources: [addressOf("172.17.0.3")] });
  assert.deepEqual(table.of(addressOf("172.17.0.3")), [two, []]);
  table.remove("two");
  assert.deepEqual(table.of(addressOf("172.17.0.3")), [[]]);
  for (let i = 0; i < 65; i++) table.set(`c${i}`, { addresses: one, sources: [] });
  assert.deepEqual(table.of(addressOf("192.0.2.1")), [], "too many to compute with");
});

Deno.test("ResponseLimit: a flood from one network costs others nothing, and half of the rest is asked to use TCP", () => {
  const limit = new ResponseLimit(7);
  const verdicts = { answer: 0, cut: 0, drop: 0 };
  const victim = addressOf("192.0.2.0");
  for (let i = 0; i < 10_000; i++) verdicts[limit.judge(victim + i % 256, (i / 10) as Millis)]++;
  assert.deepEqual(verdicts, { answer: 149, cut: 4_926, drop: 4_925 });
  assert.equal(limit.limited, 9_851);
  assert.equal(limit.judge(addressOf("198.51.100.1"), 1_000 as Millis), "answer");
  assert.equal(limit.judge(victim, 60_000 as Millis), "answer");
  assert.equal(limit.judge(victim, 0 as Millis), "answer", "time that goes back is no harm");
});

/** Entries with few names and addresses, in which every kind of change occurs. */
const entries = fc.array(
  fc.record({
    hostname: fc.constantFrom("a.b.", "A.b.", "c.b.", "d.a.b."),
    container: fc.constantFrom("c1", "c2"),
    address: fc.constantFrom("10.0.0.1", "10.0.0.2"),
    tombstone: fc.constantFrom(0, 9),
    unhealthy: fc.boolean(),
  }),
  { maxLength: 40 },
);

Deno.test("NameIndex answers as a search through all entries does", () => {
  check(
    fc.property(entries, (list) => {
      const index = new NameIndex(seededRandom());
      const all = new Map<string, DnsEntry>();
      for (const { address, tombstone, unhealthy, ...rest } of list) {
        const after = entry({ ...rest, ...a(address), tombstone, unhealthy: unhealthy && tombstone > 0 });
        const key = `${after.hostname} ${after.container} ${address}`;
        index.watch(all.get(key), after);
        all.set(key, after);
      }
      const alive = [...all.values()].filter(({ tombstone, unhealthy }) => tombstone === 0 || unhealthy);
      assert.equal(index.names, new Set(alive.map(({ hostname }) => hostname.toLowerCase())).size);
      for (const name of ["a.b.", "C.B.", "d.A.b.", "b.", "x.a.b."]) {
        const wire = encodeName(name);
        index.fold(wire, 0, wire.length);
        const mine = alive.filter(({ hostname }) => hostname.toLowerCase() === name.toLowerCase());
        const well = mine.filter(({ unhealthy }) => !unhealthy);
        const expected = (well.length > 0 ? well : mine).map(({ addr }) => addr).sort();
        assert.deepEqual((index.find()?.targets() ?? []).map(({ addr }) => addr).sort(), expected);
      }
      for (const address of ["10.0.0.1", "10.0.0.2"]) {
        const named = alive.filter(({ addr }) => addr === addressOf(address));
        assert.equal(index.nameOf(addressOf(address)) === undefined, named.length === 0);
      }
    }),
    { runs: 200 },
  );
});

Deno.test("NameIndex keeps names apart that share a hash", () => {
  const index = new NameIndex({ below: () => 0, bytes: (count) => new Uint8Array(count) });
  const all = Array.from({ length: 60_000 }, (_, i) => entry({ hostname: `n${i}.b.`, addr: i }));
  for (const each of all) index.watch(undefined, each);
  assert.equal(index.names, all.length);
  for (const { hostname, addr } of all) {
    const wire = encodeName(hostname);
    index.fold(wire, 0, wire.length);
    assert.deepEqual(index.find()?.targets().map((each) => each.addr), [addr]);
  }
  for (const each of all) index.watch(each, undefined);
  assert.equal(index.names, 0);
});

Deno.test("NameIndex.watch() takes copies of entries for the entries", () => {
  const index = new NameIndex(seededRandom());
  const all = [1, 2, 3].map((addr) => entry({ hostname: "web.weave.local.", addr }));
  for (const each of all) index.watch(undefined, { ...each });
  index.watch({ ...all[0]! }, undefined);
  const wire = encodeName("web.weave.local.");
  index.fold(wire, 0, wire.length);
  assert.deepEqual(index.find()?.targets().map(({ addr }) => addr).sort(), [2, 3]);
  assert.equal(index.nameOf(1), undefined);
  index.watch({ ...all[1]! }, undefined);
  index.watch({ ...all[1]! }, undefined); // once more changes nothing
  assert.deepEqual(index.find()?.targets().map(({ addr }) => addr), [3]);
  index.watch({ ...all[2]! }, undefined);
  assert.equal(index.names, 0);
});
