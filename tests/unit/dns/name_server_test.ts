import assert from "node:assert/strict";
import { RECORD_TYPE } from "../../../mod/wire/dns/dns_types.ts";
import { fuzz } from "../fuzz.ts";
import { loadVectors } from "../vectors.ts";
import { decodeReference, encodeReference } from "../wire/dns/dns_packet.ts";
import { a, addressOf, entry, peer } from "./bench.ts";
import { client, nameData, query, type Question, ServerBench } from "./server_bench.ts";

interface Case {
  readonly transport: "udp" | "tcp";
  readonly name: string;
  readonly type: string;
  readonly ednsSize: number | null;
  readonly rcode: string;
  readonly aa: boolean;
  readonly tc: boolean;
  readonly ra: boolean;
  readonly answers: number;
  readonly authority: number;
  readonly additional: number;
  readonly uncompressedLength: number;
  readonly answerSet?: readonly string[];
}
const { setup, cases } = loadVectors<{
  setup: { entries: { name: string; addrs: string | string[] }[] };
  cases: Case[];
}>("dns-queries");

/** The names of the vectors. */
function vectorBench(): ServerBench {
  const bench = new ServerBench();
  for (const { name, addrs } of setup.entries) {
    const list = typeof addrs === "string" ? Array.from({ length: 60 }, (_, i) => `10.33.0.${i + 1}`) : addrs;
    for (const addr of list) bench.bench.register(name, `c-${name}`, addr);
  }
  return bench;
}

const bench = vectorBench();
/** What the vectors' upstream server answered; for us these are questions to be forwarded. */
const isForwarded = ({ name, type }: Case) =>
  /example\.com\.$/.test(name) || name.startsWith("99.") && type === "PTR";

for (const [i, one] of cases.entries()) {
  const { transport, name, type, ednsSize } = one;
  const edns = ednsSize ?? undefined;
  const limit = transport === "tcp" ? "" : ` within ${edns ?? 512}`;
  Deno.test(`NameServer: ${name} ${type} over ${transport}${limit} (vector ${i + 1})`, () => {
    if (isForwarded(one)) {
      return assert.equal(bench.verdict(query({ name, type, edns }), { transport }).kind, "forward");
    }
    const answer = bench.ask({ name, type, transport, edns });
    const flags = answer.flags!;
    assert.deepEqual({
      ...{
        rcode: answer.rcode,
        aa: (flags & 0x400) !== 0,
        tc: (flags & 0x200) !== 0,
        ra: (flags & 0x80) !== 0,
      },
      ...{ answers: answer.answers.length, authority: answer.authorities.length },
      ...{ additional: answer.additionals.length, uncompressedLength: answer.length },
    }, {
      ...{
        rcode: one.rcode,
        aa: one.aa,
        tc: one.tc,
        ra: one.ra,
        answers: one.answers,
        authority: one.authority,
      },
      ...{ additional: one.additional, uncompressedLength: one.uncompressedLength },
    });
    assert.deepEqual(answer.questions.map(({ name }) => `${name}.`), [name], "the question as it was asked");
    const set = answer.answers.map(({ name, ttl, type, data }) =>
      `${name}. ${ttl} IN ${type} ${data}${type === "PTR" ? "." : ""}`
    ).sort();
    if (one.answerSet !== undefined && !one.tc) assert.deepEqual(set, one.answerSet);
  });
}

const oneLabel = { id: 7, type: "query" as const, flags: 0 };
const tables: readonly (readonly [string, Uint8Array<ArrayBuffer>, string])[] = [
  ["the root", query({ name: ".", type: "A" }), "NXDOMAIN"],
  [
    "class CHAOS",
    encodeReference({ ...oneLabel, questions: [{ name: "aaa.weave.local", type: "A", class: "CH" }] }),
    "NOERROR",
  ],
  ["another operation", query({ name: "aaa.weave.local" }).with(2, 0x21), "NOERROR"],
  ["another operation about a name of others", query({ name: "example.com" }).with(2, 0x29), "NOTIMP"],
  ["a name below a name", query({ name: "x.foo.weave.local" }), "NXDOMAIN"],
  ["DS of a name of ours", query({ name: "foo.weave.local", type: "DS" }), "NOERROR"],
  ["an address with a leading zero", query({ name: "01.0.32.10.in-addr.arpa", type: "PTR" }), "NXDOMAIN"],
  ["an address beyond 255", query({ name: "256.0.32.10.in-addr.arpa", type: "PTR" }), "NXDOMAIN"],
  ["an address of letters", query({ name: "x.0.32.10.in-addr.arpa", type: "PTR" }), "NXDOMAIN"],
  [
    "two questions, one of them ours",
    encodeReference({
      ...oneLabel,
      questions: [{ name: "aaa.weave.local", type: "A" }, { name: "example.com", type: "A" }],
    }),
    "NXDOMAIN",
  ],
  [
    "two questions, the second one ours",
    encodeReference({
      ...oneLabel,
      questions: [{ name: "example.com", type: "A" }, { name: "aaa.weave.local", type: "A" }],
    }),
    "FORMERR",
  ],
  ["no question", encodeReference({ ...oneLabel, questions: [] }), "SERVFAIL"],
  ["a question that is cut off", query({ name: "aaa.weave.local" }).slice(0, 20), "FORMERR"],
];
for (const [what, bytes, rcode] of tables) {
  Deno.test(`NameServer answers ${what} with ${rcode}`, () => {
    const verdict = bench.verdict(bytes);
    assert.equal(verdict.kind, "reply");
    const answer = decodeReference(bench.out.slice(0, (verdict as { length: number }).length));
    assert.equal(answer.rcode, rcode);
    const flags = answer.flags!;
    assert.equal(flags & 0x7900, (bytes[2]! << 8) & 0x7900, "operation and RD as they were");
    assert.equal((flags & 0x80) !== 0, answer.questions.length > 0);
  });
}

Deno.test("NameServer says nothing to answers and to what is no message", () => {
  assert.deepEqual(bench.verdict(new Uint8Array(11)), { kind: "drop", reason: "short" });
  assert.deepEqual(bench.verdict(query({ name: "aaa.weave.local" }).with(2, 0x81)), {
    kind: "drop",
    reason: "answer",
  });
});

Deno.test("NameServer asks to come again over TCP with no more octets than it was sent", () => {
  const bytes = query({ name: "many.weave.local" });
  const verdict = bench.server.askAgain(bytes, bench.out);
  assert.ok(verdict.kind === "reply");
  assert.equal(verdict.length, bytes.length);
  const { flags, answers } = decodeReference(bench.out.slice(0, verdict.length));
  assert.deepEqual([flags! & 0x200, answers], [0x200, []]);
  for (const odd of [new Uint8Array(3), bytes.slice(0, 20), bytes.with(2, 0x80)]) {
    assert.equal(bench.server.askAgain(odd, bench.out).kind, "drop");
  }
});

Deno.test("NameServer returns, whatever the bytes, and stays within its buffer", () => {
  const out = new Uint8Array(4_096);
  const samples = cases.slice(0, 20).map(({ name, type, ednsSize }) =>
    query({ name, type, edns: ednsSize ?? undefined })
  );
  fuzz((bytes) => {
    const verdict = bench.server.answer(bytes, { transport: "udp", possible: [], largest: 4_096 }, out);
    if ("length" in verdict) assert.ok(verdict.length <= out.length);
    return verdict;
  }, samples);
});

Deno.test("NameServer never forwards what is below its domain, in whatever letters", () => {
  for (const type of ["A", "AAAA", "MX", "DS", "SRV", "ANY", "SOA", "NS", "TXT"]) {
    for (const name of ["weave.local", "nope.weave.local", "a.b.c.WEAVE.locaL", "nope", "foo"]) {
      assert.equal(bench.verdict(query({ name, type })).kind, "reply", `${name} ${type}`);
    }
  }
  const tricky = encodeReference({ ...oneLabel, questions: [{ name: "xweave.local", type: "A" }] });
  assert.equal(bench.verdict(tricky).kind, "forward");
  const inside = query({ name: "a.weave.local" });
  // A label that contains the octets of the domain is no label boundary.
  const label = Uint8Array.of(
    ...inside.slice(0, 12),
    13,
    ...inside.slice(15, 27),
    0x78,
    1,
    0x61,
    0,
    0,
    1,
    0,
    1,
  );
  assert.equal(bench.verdict(label).kind, "forward");
});

Deno.test("NameServer: an address has the name that is first in the order of status", () => {
  const server = new ServerBench();
  const ask = () => server.data({ name: "1.0.32.10.in-addr.arpa", type: "PTR" });
  for (const name of ["Zoo", "Foo", "goo"]) server.bench.register(`${name}.weave.local`, "c", "10.32.0.1");
  assert.deepEqual(ask(), ["Foo.weave.local"]);
  server.bench.remove({ hostname: "Foo.weave.local" });
  assert.deepEqual(ask(), ["goo.weave.local"]);
});

Deno.test("NameServer: fifty addresses of a name are all found: at random over TCP, in large datagrams, and by asking again; balanced one by one", () => {
  const all = Array.from({ length: 50 }, (_, i) => `10.32.0.${i + 1}`);
  for (const order of ["balanced", "random"] as const) {
    const server = new ServerBench({ order });
    for (const [i, address] of all.entries()) server.bench.register("web.weave.local", `c${i}`, address);
    const ask = (more: Partial<Question>) => server.data({ name: "web.weave.local", ...more });
    const whole = order === "random" ? [{ transport: "tcp" as const }, { edns: 4_096 }] : [];
    for (const more of whole) {
      assert.deepEqual(new Set(ask(more)), new Set(all), `${order} ${JSON.stringify(more)}`);
    }
    const found = new Set<string>();
    for (let i = 0; i < 2_000 && found.size < 50; i++) for (const each of ask({})) found.add(each);
    assert.deepEqual(found, new Set(all), order);
  }
});

Deno.test("NameServer: deleted names are no names, and hosts that leave take theirs along", () => {
  const server = new ServerBench();
  server.bench.register("web.weave.local", "c", "10.32.0.1");
  server.hear(entry({ hostname: "web.weave.local.", ...a("10.32.0.2") }));
  assert.deepEqual(server.data({ name: "web.weave.local" }).sort(), ["10.32.0.1", "10.32.0.2"]);
  server.bench.feed({ kind: "gone", container: "c" });
  assert.deepEqual(server.data({ name: "web.weave.local" }), ["10.32.0.2"]);
  server.bench.channel.onPeersRemoved([peer(2)]);
  assert.equal(server.ask({ name: "web.weave.local" }).rcode, "NXDOMAIN");
  assert.equal(server.server.index.names, 0);
});

Deno.test("NameServer: a target that does not answer is left out, unless none does", () => {
  const server = new ServerBench();
  const ask = () => server.data({ name: "web.weave.local" }).sort();
  server.bench.register("web.weave.local", "c1", "10.32.0.1");
  server.bench.register("web.weave.local", "c2", "10.32.0.2");
  server.bench.feed({ kind: "health", container: "c1", healthy: false });
  assert.deepEqual(ask(), ["10.32.0.2"]);
  server.bench.feed({ kind: "health", container: "c2", healthy: false });
  assert.deepEqual(ask(), ["10.32.0.1", "10.32.0.2"]);
  server.bench.feed({ kind: "health", container: "c1", healthy: true });
  assert.deepEqual(ask(), ["10.32.0.1"]);
  server.bench.remove({});
  assert.equal(server.ask({ name: "web.weave.local" }).rcode, "NXDOMAIN");
});

Deno.test("NameServer: AAAA, SRV and CNAME records", () => {
  const server = new ServerBench();
  const add = (hostname: string, type: number, rdata: string) =>
    server.bench.register(hostname, "weave:extern", { type, addr: 0, rdata });
  add("six.weave.local", RECORD_TYPE.AAAA, "fd000000000000000000000000000007");
  assert.deepEqual(server.data({ name: "six.weave.local", type: "AAAA" }), ["fd00::7"]);
  assert.deepEqual(
    server.data({ name: "six.weave.local" }),
    [],
    "a name without an A record is one all the same",
  );
  add("_http._tcp.weave.local", RECORD_TYPE.SRV, `000a00140050${nameData("web.weave.local.")}`);
  assert.deepEqual(server.data({ name: "_http._tcp.weave.local", type: "SRV" }), [
    JSON.stringify({ priority: 10, weight: 20, port: 80, target: "web.weave.local" }),
  ]);
  add("www.weave.local", RECORD_TYPE.CNAME, nameData("Web.weave.local."));
  assert.deepEqual(server.data({ name: "www.weave.local" }), ["Web.weave.local"], "of what is not there");
  server.bench.register("web.weave.local", "c", "10.32.0.1");
  const { answers } = server.ask({ name: "WWW.weave.local" });
  assert.deepEqual(answers.map(({ name, type, data }) => [name, type, data]), [
    ["WWW.weave.local", "CNAME", "Web.weave.local"],
    ["Web.weave.local", "A", "10.32.0.1"],
  ]);
  assert.deepEqual(server.data({ name: "www.weave.local", type: "CNAME" }), ["Web.weave.local"]);
  add("db.weave.local", RECORD_TYPE.CNAME, nameData("db.example.com."));
  const verdict = server.verdict(query({ name: "db.weave.local" }));
  assert.ok(verdict.kind === "follow");
  assert.equal(verdict.target.toHex(), nameData("db.example.com."));
  add("a.weave.local", RECORD_TYPE.CNAME, nameData("b.weave.local."));
  add("b.weave.local", RECORD_TYPE.CNAME, nameData("a.weave.local."));
  assert.equal(server.ask({ name: "a.weave.local" }).rcode, "SERVFAIL", "aliases that go round in circles");
});

Deno.test("NameServer: time to live is 0 where answers are balanced, else 1, unless it is given", () => {
  const ttlOf = (options: ConstructorParameters<typeof ServerBench>[0]) => {
    const server = new ServerBench(options);
    server.bench.register("web.weave.local", "c", "10.32.0.1");
    return server.ask({ name: "web.weave.local" }).answers[0]!.ttl;
  };
  assert.equal(ttlOf({ ttl: undefined, order: "balanced" }), 0);
  assert.equal(ttlOf({ ttl: undefined, order: "random" }), 1);
  assert.equal(ttlOf({ ttl: undefined, order: "nearest" }), 1);
  assert.equal(ttlOf({ ttl: 30, order: "balanced" }), 30);
});

Deno.test("NameServer: a cap for clients without EDNS does not send them to TCP", () => {
  const server = new ServerBench({ plainCap: 8 });
  for (let i = 0; i < 30; i++) server.bench.register("web.weave.local", "c", `10.32.0.${i}`);
  const plain = server.ask({ name: "web.weave.local" });
  assert.deepEqual([plain.answers.length, plain.flags! & 0x200], [8, 0]);
  const data = { type: RECORD_TYPE.CNAME, addr: 0, rdata: nameData("web.weave.local.") };
  server.bench.register("alias.weave.local", "c", data);
  const alias = server.ask({ name: "alias.weave.local" });
  assert.deepEqual([alias.answers.length, alias.flags! & 0x200], [1 + 8, 0], "behind an alias, too");
  assert.equal(server.ask({ name: "web.weave.local", edns: 4_096 }).answers.length, 30);
  assert.equal(server.ask({ name: "web.weave.local", transport: "tcp" }).answers.length, 30);
  const strangers = server.ask({ name: "web.weave.local", edns: 4_096, largest: 512 });
  assert.ok(strangers.length <= 512 && (strangers.flags! & 0x200) !== 0);
});

Deno.test("NameServer: the order of a single name is what its record says, of several the first origin's", () => {
  const server = new ServerBench({ order: "random", ttl: undefined });
  server.bench.register("web.weave.local", "c", "10.32.0.1");
  const ttl = () => server.ask({ name: "web.weave.local" }).answers[0]!.ttl;
  assert.equal(ttl(), 1);
  server.hear(entry({ hostname: "web.weave.local.", type: RECORD_TYPE.ORDER, addr: 0, rdata: "01" }));
  assert.equal(ttl(), 0);
  server.bench.register("web.weave.local", "c", { type: RECORD_TYPE.ORDER, addr: 0, rdata: "02" });
  assert.equal(ttl(), 1);
  server.bench.remove({ addr: addressOf("10.32.0.1") });
  assert.equal(server.ask({ name: "web.weave.local" }).rcode, "NXDOMAIN", "an order alone is no name");
});

for (const order of ["balanced", "nearest"] as const) {
  Deno.test(`NameServer: an answer in the order ${order} sends nobody to TCP, where the draw would be another one`, () => {
    const bench = new ServerBench({ order });
    for (let i = 1; i <= 60; i++) {
      bench.hear(entry({ hostname: "many.weave.local.", addr: addressOf("10.32.0.0") + i }));
    }
    const possible = [client("10.40.0.1/12")]; // all of them are equally far for it
    const { answers, flags } = bench.ask({ name: "many.weave.local", possible });
    assert.deepEqual([answers.length, flags & 0x200], [14, 0]);
    const tiny = bench.ask({ name: "many.weave.local", possible, edns: 40 });
    assert.deepEqual([tiny.answers.length, tiny.flags & 0x200], [0, 0x200], "with no target it is no answer");
  });
}
