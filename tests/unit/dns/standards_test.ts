/** What the standards say and the original does not do; domains other than the original's are answered so. */
import assert from "node:assert/strict";
import type { ReferenceMessage } from "../wire/dns/dns_packet.ts";
import { decodeReference } from "../wire/dns/dns_packet.ts";
import { nameData, query, type Question, ServerBench } from "./server_bench.ts";
import { RECORD_TYPE } from "../../../mod/wire/dns/dns_types.ts";
import { Answering } from "../../../mod/dns/thread/answering_shell.ts";
import { ClientTable } from "../../../mod/dns/answers/clients.ts";
import type { AnswerTaker } from "../../../mod/dns/thread/ask_shell.ts";
import { ResponseLimit } from "../../../mod/dns/answers/response_limit.ts";
import { addressOf, entry, peer } from "./bench.ts";
import { encodeReference } from "../wire/dns/dns_packet.ts";
import type { Millis } from "../../../mod/core/time.ts";

const DOMAIN = "mesh.internal.";

function standardBench(domain = DOMAIN): ServerBench {
  const bench = new ServerBench({ domain });
  const record = (hostname: string, rdata: Pick<ReturnType<typeof entry>, "type" | "rdata">) =>
    bench.hear({ ...entry({ origin: peer(2), hostname }), ...rdata });
  for (const [name, addr] of [["web", "10.32.0.1"], ["a.b.team", "10.32.0.2"]]) {
    bench.hear(entry({ origin: peer(2), hostname: `${name}.${domain}`, addr: addressOf(addr!) }));
  }
  for (let i = 1; i <= 60; i++) {
    bench.hear(entry({ origin: peer(2), hostname: `many.${domain}`, addr: addressOf(`10.33.0.${i}`) }));
  }
  record(`ordered.alone.${domain}`, { type: RECORD_TYPE.ORDER, rdata: "01" });
  record(`alias.${domain}`, { type: RECORD_TYPE.CNAME, rdata: nameData(`web.${domain}`) });
  record(`out.${domain}`, { type: RECORD_TYPE.CNAME, rdata: nameData("www.example.com.") });
  return bench;
}

/** An answer in one line: code, AA, counts, whose SOA, and the size in the EDNS record. */
function lineOf({ additionals, answers, authorities, flags, rcode }: Required<ReferenceMessage>): string {
  const soa = authorities.map(({ data, name, ttl, type }) => {
    const { minimum, mname, rname } = data as unknown as Record<string, unknown>;
    return ` ${type} ${name} ${ttl} ${mname} ${rname} ${minimum}`;
  });
  const edns = additionals.map(({ ednsVersion, extendedRcode, type, udpPayloadSize }) =>
    ` ${type} ${udpPayloadSize} ${ednsVersion} ${extendedRcode}`
  );
  return `${rcode}${(flags & 0x400) === 0 ? "" : " AA"} ${answers.length}${soa.join("")}${edns.join("")}`;
}

const SOA = " SOA mesh.internal 0 mesh.internal mesh.internal 0";
const OPT = " OPT 4096 0 0";
const CASES: readonly (readonly [what: string, question: Question, line: string])[] = [
  ["a name", { name: "web.mesh.internal" }, "NOERROR AA 1"],
  ["a name with EDNS", { name: "web.mesh.internal", edns: 1232 }, `NOERROR AA 1${OPT}`],
  ["another type of a name", { name: "web.mesh.internal", type: "AAAA" }, `NOERROR AA 0${SOA}`],
  ["no name", { name: "nobody.mesh.internal" }, `NXDOMAIN AA 0${SOA}`],
  ["no name with EDNS", { name: "nobody.mesh.internal", edns: 1232 }, `NXDOMAIN AA 0${SOA}${OPT}`],
  ["the domain", { name: "mesh.internal" }, `NOERROR AA 0${SOA}`],
  [
    "the domain in other letters",
    { name: "Mesh.INTERNAL" },
    `NOERROR AA 0 SOA Mesh.INTERNAL 0 Mesh.INTERNAL Mesh.INTERNAL 0`,
  ],
  ["the domain's SOA", { name: "mesh.internal", type: "SOA" }, "NOERROR AA 1"],
  ["a name with names below it", { name: "team.mesh.internal" }, `NOERROR AA 0${SOA}`],
  ["a name with names below that", { name: "B.team.mesh.internal" }, `NOERROR AA 0${SOA}`],
  ["a name beside it", { name: "c.team.mesh.internal" }, `NXDOMAIN AA 0${SOA}`],
  ["a name below a name", { name: "x.web.mesh.internal" }, `NXDOMAIN AA 0${SOA}`],
  ["a name above one that has an order alone", { name: "alone.mesh.internal" }, `NXDOMAIN AA 0${SOA}`],
  ["a name of one label that has names below it", { name: "team" }, "NOERROR AA 0"],
  ["a name of one label that is none", { name: "nobody" }, "NXDOMAIN 0"],
  [
    "another type of what an alias leads to",
    { name: "alias.mesh.internal", type: "AAAA" },
    `NOERROR AA 1${SOA}`,
  ],
  ["an address", { name: "1.0.32.10.in-addr.arpa", type: "PTR" }, "NOERROR AA 1"],
  ["another type of an address", { name: "1.0.32.10.in-addr.arpa" }, "NOERROR AA 0"],
  ["what is above addresses", { name: "0.32.10.in-addr.arpa", type: "PTR" }, "NOERROR 0"],
  ["what cannot be an address", { name: "256.0.32.10.in-addr.arpa", type: "PTR" }, "NXDOMAIN 0"],
];

const bench = standardBench();
for (const [what, question, line] of CASES) {
  Deno.test(`NameServer answers as the standards say: ${what}`, () => {
    assert.equal(lineOf(bench.ask(question)), line);
  });
}

Deno.test("NameServer answers the original's domain as the original does, in whatever letters it is configured", () => {
  const original = standardBench("Weave.Local.");
  for (
    const [name, line] of [["weave.local", "NXDOMAIN 0"], ["team.weave.local", "NXDOMAIN 0"], [
      "web.weave.local",
      "NOERROR AA 1",
    ]]
  ) {
    assert.equal(lineOf(original.ask({ name: name!, edns: 1232 })), line);
  }
});

Deno.test("NameServer cuts answers so that the EDNS record fits, and takes sizes below 512 as 512", () => {
  const sizes = [[1000, 28], [512, 13], [100, 13], [4096, 60]] as const;
  for (const [edns, answers] of sizes) {
    const answer = bench.ask({ name: "many.mesh.internal", edns });
    assert.equal(answer.answers.length, answers, `${edns}`);
    assert.ok(answer.length <= Math.max(512, edns));
    assert.equal(answer.additionals.length, 1);
  }
  assert.equal(bench.ask({ name: "many.mesh.internal" }).answers.length, 14);
});

Deno.test("NameServer refuses versions of EDNS that it does not speak (RFC 6891, 6.1.3)", () => {
  const asked = { additionals: [{ name: ".", type: "OPT", udpPayloadSize: 1232, ednsVersion: 1 }] };
  const verdict = bench.verdict(query({ name: "web.mesh.internal" }, asked));
  assert.ok(verdict.kind === "reply");
  assert.equal(lineOf(decodeReference(bench.out.slice(0, verdict.length))), "NOERROR 0 OPT 4096 0 1");
});

Deno.test("NameServer forgets names above names that are gone", () => {
  const { server } = new ServerBench({ domain: DOMAIN });
  const named = (hostname: string) => entry({ origin: peer(2), hostname });
  const has = (name: string) => {
    const bytes = query({ name });
    const verdict = server.answer(
      bytes,
      { transport: "udp", possible: [], largest: 4_096 },
      new Uint8Array(4_096),
    );
    return verdict.kind === "reply" && verdict.rcode === 0;
  };
  const [a, b] = ["a", "b"].map((name) => named(`${name}.team.mesh.internal.`));
  server.index.watch(undefined, a);
  server.index.watch(undefined, b);
  server.index.watch(a, undefined);
  assert.ok(has("team.mesh.internal"));
  server.index.watch(b, undefined);
  assert.ok(!has("team.mesh.internal"));
  const deep = Array.from({ length: 20 }, (_, i) => `l${i}`).join(".");
  server.index.watch(undefined, named(`${deep}.mesh.internal.`)); // it is answered, and costs no more than others
  assert.ok(has(`${deep}.mesh.internal`));
  assert.ok(!has("l19.mesh.internal"));
});

Deno.test("NameServer answers the names of IPv6 addresses that records have, and passes others on", () => {
  const { server } = new ServerBench({ domain: DOMAIN });
  const rdata = "fd000000000000000000000000000a01";
  const record = {
    ...entry({ origin: peer(2), hostname: `six.${DOMAIN}` }),
    type: RECORD_TYPE.AAAA,
    addr: 0,
    rdata,
  };
  const ask = (name: string, type = "PTR") => {
    const out = new Uint8Array(4_096);
    const verdict = server.answer(
      query({ name, type }),
      { transport: "udp", possible: [], largest: 4_096 },
      out,
    );
    return verdict.kind === "reply"
      ? decodeReference(out.slice(0, verdict.length)).answers[0]?.data
      : verdict.kind;
  };
  const reversed = `${[...rdata].reverse().join(".")}.ip6.arpa`;
  assert.equal(ask(reversed), "forward");
  server.index.watch(undefined, record);
  assert.equal(ask(reversed), "six.mesh.internal");
  assert.equal(ask(reversed.toUpperCase()), "six.mesh.internal");
  for (
    const other of [
      reversed.replace("1.", "2."),
      reversed.slice(2),
      `0.${reversed}`,
      reversed.replace("1.", "g."),
    ]
  ) {
    assert.equal(ask(other), "forward", other);
  }
  assert.equal(ask(reversed, "TXT"), "forward");
  server.index.watch(record, undefined);
  assert.equal(ask(reversed), "forward");
});

Deno.test("Answering ends an answer that goes on elsewhere with EDNS, where it was asked with EDNS", () => {
  const { server } = standardBench();
  const sent: Uint8Array[] = [];
  let asked: AnswerTaker | undefined;
  const answering = new Answering({
    ...{ server, clients: new ClientTable(), limit: new ResponseLimit(1), clock: { now: () => 0 as Millis } },
    asking: { ask: ({ waiter }) => void (asked = waiter) },
  });
  for (const [edns, opt] of [[1232, OPT], [undefined, ""]] as const) {
    const bytes = query({ name: "out.mesh.internal", edns });
    const out = new Uint8Array(4_096);
    const verdict = answering.udp(bytes, 0x7f00_0001, true, out);
    assert.ok(verdict.kind === "follow");
    const pending = {
      bytes,
      source: 1,
      transport: "udp",
      send: (message: Uint8Array) => void sent.push(message),
    } as const;
    answering.follow(verdict, out.subarray(0, verdict.length), pending);
    asked!.answer(encodeReference({
      ...{ type: "response", questions: [{ name: "www.example.com", type: "A" }] },
      answers: [{ name: "www.example.com", type: "A", ttl: 9, data: "192.0.2.1" }],
    }));
    assert.equal(lineOf(decodeReference(sent.at(-1)!)), `NOERROR 2${opt}`);
    asked!.fail();
    assert.equal(lineOf(decodeReference(sent.at(-1)!)), `SERVFAIL AA 1${opt}`);
  }
});
