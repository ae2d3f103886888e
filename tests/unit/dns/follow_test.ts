import assert from "node:assert/strict";
import { joinedAnswer, questionFor } from "../../../mod/dns/upstream/follow.ts";
import { framed, MessageReader } from "../../../mod/dns/thread/frames.ts";
import { decodeReply } from "../../../mod/wire/dns/dns_reply.ts";
import { encodeEscaped, encodeName } from "../../../mod/wire/dns/dns_text.ts";
import { check, fc } from "../properties.ts";
import {
  decodeReference,
  encodeReference,
  type ReferenceMessage,
  type ReferenceRecord,
} from "../wire/dns/dns_packet.ts";

const begun = encodeReference({
  ...{ type: "response", id: 7, flags: 0x0580, questions: [{ name: "shop.mesh.internal", type: "A" }] },
  answers: [{ name: "shop.mesh.internal", type: "CNAME", ttl: 1, data: "www.example.com" }],
});

function join(reply: ReferenceMessage, limit = 512): Required<ReferenceMessage> {
  const bytes = encodeReference({
    type: "response",
    questions: [{ name: "www.example.com", type: "A" }],
    ...reply,
  });
  const decoded = decodeReply(bytes);
  assert.ok(decoded.ok);
  return decodeReference(joinedAnswer(begun, { bytes, reply: decoded.value, type: 1, limit }));
}

const ANSWERS: readonly ReferenceRecord[] = [
  { name: "www.example.com", type: "CNAME", ttl: 20, data: "edge.example.net" },
  { name: "edge.example.net", type: "A", ttl: 30, data: "192.0.2.1" },
  { name: "edge.example.net", type: "A", ttl: 30, data: "192.0.2.2" },
];
const short = ({ answers }: ReferenceMessage) =>
  answers!.map(({ name, type, ttl, data }) => `${name} ${type} ${ttl} ${data}`);

Deno.test("questionFor() is a plain question for what an alias stands for", () => {
  const { message, query } = questionFor(encodeName("www.example.com."), 28);
  const { questions, flags } = decodeReference(message);
  assert.deepEqual(questions, [{ name: "www.example.com", type: "AAAA", class: "IN" }]);
  assert.equal(flags, 0x100);
  assert.equal(query.nameEnd, message.length - 4);
});

Deno.test("joinedAnswer() puts the reply's answers behind the alias, with whole names", () => {
  const all = join({ answers: [...ANSWERS, { name: "www.example.com", type: "TXT", ttl: 1, data: "x" }] });
  assert.deepEqual(short(all), [
    "shop.mesh.internal CNAME 1 www.example.com",
    "www.example.com CNAME 20 edge.example.net",
    "edge.example.net A 30 192.0.2.1",
    "edge.example.net A 30 192.0.2.2",
  ]);
  assert.equal(all.id, 7);
  assert.equal(all.flags & 0x0600, 0); // neither ours alone nor cut off
});

Deno.test("joinedAnswer() cuts off what does not fit, and says so", () => {
  const some = join({ answers: ANSWERS }, begun.length + 80);
  assert.equal(some.answers.length, 3);
  assert.equal(some.flags & 0x0200, 0x0200);
  assert.equal(join({ answers: [], flags: 0x0200 }).flags & 0x0200, 0x0200);
});

Deno.test("joinedAnswer() says that what the alias stands for is not there", () => {
  const nothing = join({ answers: [], flags: 3 });
  assert.equal(nothing.rcode, "NXDOMAIN");
  assert.equal(nothing.answers.length, 1);
});

Deno.test("encodeEscaped() writes names as answers are read", () => {
  assert.deepEqual(encodeEscaped("a.b."), encodeName("a.b."));
  assert.deepEqual(encodeEscaped("."), Uint8Array.of(0));
  assert.deepEqual(encodeEscaped("a\\046b.\\000\\255."), Uint8Array.of(3, 97, 46, 98, 2, 0, 255, 0));
});

Deno.test("MessageReader gives the messages that were framed, in whatever pieces they come", () => {
  const messages = fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 8 });
  check(fc.property(messages, fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1 }), (sent, sizes) => {
    const stream = Uint8Array.from(sent.flatMap((message) => [...framed(message)]));
    const reader = new MessageReader(50);
    const received: Uint8Array[] = [];
    for (let at = 0, i = 0; at < stream.length; i++) {
      const end = at + sizes[i % sizes.length]!;
      received.push(...reader.push(stream.subarray(at, end))!);
      at = end;
    }
    assert.deepEqual(received, sent);
  }));
  assert.equal(new MessageReader(50).push(Uint8Array.of(0, 51)), undefined);
});
