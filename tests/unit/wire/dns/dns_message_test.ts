import assert from "node:assert/strict";
import { concatBytes } from "../../../../mod/core/bytes.ts";
import { AnswerWriter } from "../../../../mod/wire/dns/dns_answer.ts";
import { type DnsQuery, readQuery } from "../../../../mod/wire/dns/dns_query.ts";
import { decodeReply, readName } from "../../../../mod/wire/dns/dns_reply.ts";
import { encodeName, isHostname } from "../../../../mod/wire/dns/dns_text.ts";
import { FLAG, RCODE, RECORD_TYPE } from "../../../../mod/wire/dns/dns_types.ts";
import { fuzz } from "../../fuzz.ts";
import { check, fc } from "../../properties.ts";
import { decodeReference, encodeReference, plainNames } from "./dns_packet.ts";

const types = ["A", "AAAA", "SRV", "CNAME", "PTR", "MX", "TXT", "ANY", "SOA"] as const;
const TYPE_NUMBERS: Record<string, number> = {
  ...{ A: 1, AAAA: 28, SRV: 33, CNAME: 5, PTR: 12, MX: 15, TXT: 16, ANY: 255, SOA: 6 },
};
const ids = fc.integer({ min: 0, max: 65_535 });
const questions = fc.record({ name: plainNames, type: fc.constantFrom(...types) });
const queries = fc.record({
  id: ids,
  questions: fc.array(questions, { minLength: 1, maxLength: 3 }),
  edns: fc.option(fc.integer({ min: 0, max: 65_535 }), { nil: undefined }),
  answers: fc.array(fc.record({ name: plainNames, type: fc.constant("A"), data: fc.constant("10.0.0.1") }), {
    maxLength: 2,
  }),
}).map(({ id, questions, edns, answers }) => ({
  message: {
    ...{ id, type: "query" as const, questions, answers },
    additionals: edns === undefined ? [] : [{ name: ".", type: "OPT", udpPayloadSize: edns }],
  },
  edns,
}));

Deno.test("readQuery() reads what dns-packet writes", () => {
  check(fc.property(queries, ({ message, edns }) => {
    const bytes = encodeReference(message);
    const read = readQuery(bytes);
    const [first] = message.questions;
    const labels = first!.name.split(".").length;
    const nameEnd = 12 + first!.name.length + 2;
    assert.deepEqual(read, {
      ok: true,
      value: {
        ...{ flags: bytes[2]! << 8 | bytes[3]!, questions: message.questions.length, nameEnd, labels },
        ...{ type: TYPE_NUMBERS[first!.type], udpSize: edns, ednsVersion: 0 },
      },
    });
  }));
});

Deno.test("readQuery() returns, whatever the bytes behind the header, and refuses every truncation", () => {
  const samples = fc.sample(queries, { numRuns: 8, seed: 3 }).map(({ message }) => encodeReference(message));
  const header = (bytes: Uint8Array) => bytes.length < 12 ? "short" : readQuery(bytes);
  fuzz(header, samples);
  for (const sample of samples) {
    for (let end = 12; end < sample.length; end++) assert.equal(readQuery(sample.slice(0, end)).ok, false);
  }
});

const head = (...counts: readonly number[]) =>
  Uint8Array.of(0, 1, 1, 0, ...counts.flatMap((count) => [count >> 8, count & 0xff]));
const WWW = Uint8Array.of(1, 0x77, 0, 0, 1, 0, 1);
const OPT = Uint8Array.of(0, 0, 41, 16, 0, 0, 0, 0, 0, 0, 0);
const reasons: readonly (readonly [string, Uint8Array, RegExp])[] = [
  [
    "a name that points",
    concatBytes(head(1, 0, 0, 0), Uint8Array.of(0xc0, 12, 0, 1, 0, 1)),
    /damaged at octet 12/,
  ],
  [
    "a label of a reserved kind",
    concatBytes(head(1, 0, 0, 0), Uint8Array.of(0x41, 0, 0, 0)),
    /damaged at octet 12/,
  ],
  ["a name without end", concatBytes(head(1, 0, 0, 0), Uint8Array.of(1, 0x77)), /damaged/],
  [
    "a name of more than 255 octets",
    concatBytes(head(1, 0, 0, 0), ...Array(128).fill(Uint8Array.of(1, 0x77)), Uint8Array.of(0, 0, 1, 0, 1)),
    /name has 257 octets/,
  ],
  ["more questions than there are", concatBytes(head(65_535, 0, 0, 0), WWW), /question 2 is cut off/],
  ["more records than there are", concatBytes(head(1, 65_535, 0, 0), WWW), /record 1 is cut off/],
  ["two EDNS records", concatBytes(head(1, 0, 0, 2), WWW, OPT, OPT), /EDNS record is damaged/],
  ["data that are cut off", concatBytes(head(1, 0, 0, 1), WWW, OPT.with(10, 1)), /data of record 1/],
];
for (const [what, bytes, reason] of reasons) {
  Deno.test(`readQuery() refuses ${what}`, () => {
    const read = readQuery(bytes);
    assert.match(read.ok ? "" : read.reason, reason);
  });
}

const records = fc.record({
  owner: plainNames,
  ttl: fc.integer({ min: 0, max: 2 ** 31 - 1 }),
  addr: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
});

Deno.test("dns-packet and decodeReply() read what AnswerWriter writes", () => {
  check(fc.property(ids, plainNames, fc.array(records, { maxLength: 20 }), (id, name, list) => {
    const bytes = encodeReference({ id, type: "query", questions: [{ name, type: "A" }], flags: 0x100 });
    const query = readQuery(bytes);
    assert.ok(query.ok);
    const [writer, out] = [new AnswerWriter({ edns: true }), new Uint8Array(65_535)];
    writer.begin(bytes, query.value, out);
    for (const [i, { owner, ttl, addr }] of list.entries()) {
      if (i % 2 === 0) writer.address(addr, ttl);
      else {
        assert.ok(
          writer.record(encodeName(`${owner}.`), RECORD_TYPE.CNAME, ttl, encodeName(`${name}.`), 65_535),
        );
      }
    }
    const answer = out.slice(0, writer.finish(RCODE.NOERROR, FLAG.AA));
    const theirs = decodeReference(answer);
    assert.equal(theirs.id, id);
    assert.deepEqual(
      theirs.answers.map(({ name, type, ttl, data }) => ({ name, type, ttl, data })),
      list.map(({ owner, ttl, addr }, i) => {
        const text = [addr >>> 24, addr >>> 16 & 255, addr >>> 8 & 255, addr & 255].join(".");
        return i % 2 === 0
          ? { name, type: "A", ttl, data: text }
          : { name: owner, type: "CNAME", ttl, data: name };
      }),
    );
    const ours = decodeReply(answer);
    assert.ok(ours.ok);
    assert.deepEqual(ours.value.questions, [{ name: `${name}.`, type: 1, class: 1 }]);
    assert.deepEqual(
      ours.value.answers.map(({ name, type, ttl }) => ({ name, type, ttl })),
      list.map(({ owner, ttl }, i) =>
        i % 2 === 0 ? { name: `${name}.`, type: 1, ttl } : { name: `${owner}.`, type: 5, ttl }
      ),
    );
  }));
});

Deno.test("AnswerWriter counts the room for records exactly", () => {
  const query: DnsQuery = {
    flags: 0,
    questions: 1,
    nameEnd: 15,
    labels: 1,
    type: 1,
    udpSize: undefined,
    ednsVersion: 0,
  };
  const bytes = concatBytes(head(1, 0, 0, 0), WWW);
  for (let i = 0; i < 240; i++) {
    const [limit, udpSize] = [i >> 1, i % 2 === 0 ? undefined : 4_096];
    const [writer, out] = [new AnswerWriter({ edns: true }), new Uint8Array(100)];
    writer.begin(bytes, { ...query, udpSize }, out);
    const room = writer.room(4, limit);
    let written = 0;
    while (writer.record(undefined, 1, 0, new Uint8Array(4), limit)) written++;
    assert.equal(room, written, `limit ${limit}`);
    assert.ok(writer.finish(0, 0) <= Math.max(udpSize === undefined ? 19 : 30, Math.min(limit, 100)));
  }
});

const replies = fc.record({
  id: ids,
  names: fc.array(plainNames, { minLength: 1, maxLength: 6 }),
}).map(({ id, names }) => {
  const common = { ttl: 7, class: "IN" as const };
  return {
    ...{ id, type: "response" as const, questions: [{ name: names[0]!, type: "A" }] },
    answers: names.map((name, i) => ({
      ...common,
      name,
      type: "CNAME",
      data: names[(i + 1) % names.length],
    })),
    authorities: names.map((name) => ({ ...common, name, type: "NS", data: `ns.${name}` })),
    additionals: names.map((name) => ({ ...common, name: `ns.${name}`, type: "A", data: "10.0.0.1" })),
  };
});

Deno.test("decodeReply() reads what dns-packet writes, compressed names in data included", () => {
  check(fc.property(replies, (message) => {
    const bytes = encodeReference(message);
    const read = decodeReply(bytes);
    assert.ok(read.ok);
    const { answers, authority, additional } = read.value;
    const targets = answers.map(({ name, dataAt }) => [name, readName(bytes, dataAt)?.name]);
    assert.deepEqual(targets, message.answers.map(({ name, data }) => [`${name}.`, `${data}.`]));
    assert.deepEqual(
      authority.map(({ name, ttl }) => [name, ttl]),
      message.authorities.map(({ name }) => [`${name}.`, 7]),
    );
    assert.deepEqual(
      additional.map(({ data }) => data.join(".")),
      message.additionals.map(({ data }) => data),
    );
  }));
});

Deno.test("decodeReply() returns, whatever the bytes, and refuses every truncation", () => {
  const samples = fc.sample(replies, { numRuns: 4, seed: 5 }).map(encodeReference);
  fuzz(decodeReply, samples, { mutations: 100 });
  for (const sample of samples) {
    for (let end = 0; end < sample.length; end++) assert.equal(decodeReply(sample.slice(0, end)).ok, false);
  }
});

Deno.test("readName() follows pointers backwards only, and no name beyond 255 octets", () => {
  const header = new Uint8Array(12);
  const at = (...octets: readonly number[]) => readName(concatBytes(header, Uint8Array.from(octets)), 12);
  assert.deepEqual(at(1, 0x61, 0), { name: "a.", next: 15 });
  assert.deepEqual(at(0), { name: ".", next: 13 });
  assert.equal(at(0xc0, 12), undefined, "to itself");
  assert.equal(at(0xc0, 14, 0xc0, 12), undefined, "forwards");
  assert.equal(at(0xc0, 0), undefined, "into the header");
  assert.equal(at(1, 0x61, 0xc0, 12), undefined, "to where it began");
  assert.deepEqual(at(2, 0x2e, 0x07, 0)?.name, "\\046\\007.");
  const chain = concatBytes(
    header,
    ...Array.from({ length: 100 }, (_, i) => {
      const target = 12 + (i - 1) * 5;
      return i === 0
        ? Uint8Array.of(2, 0x61, 0x61, 0, 0)
        : Uint8Array.of(2, 0x61, 0x61, 0xc0 | target >> 8, target & 0xff);
    }),
  );
  assert.equal(readName(chain, 12 + 83 * 5)?.name.length, 252);
  assert.equal(readName(chain, 12 + 84 * 5), undefined);
});

Deno.test("encodeName() and readName() are inverse for names by isHostname()", () => {
  check(fc.property(plainNames, (name) => {
    const hostname = `${name}.`;
    assert.ok(isHostname(hostname));
    const wire = encodeName(hostname);
    assert.deepEqual(readName(wire, 0), { name: hostname, next: wire.length });
  }));
});
