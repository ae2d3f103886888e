import assert from "node:assert/strict";
import { fromHex, toHex } from "../../../../mod/core/bytes.ts";
import { AttributeReader, NLM_F, splitMessages } from "../../../../mod/wire/netlink/netlink.ts";
import {
  completeRequest,
  decodeVerdict,
  ReplyCollector,
} from "../../../../mod/wire/netlink/netlink_reply.ts";
import { NetlinkWriter } from "../../../../mod/wire/netlink/netlink_writer.ts";
import { fuzz } from "../../fuzz.ts";
import { attributesOf } from "../../kernel_messages.ts";
import { loadVectors } from "../../vectors.ts";

interface Exchange {
  readonly step: string;
  readonly dir: "TX" | "RX";
  readonly hex: string;
  readonly decoded: readonly Readonly<Record<string, number>>[];
}
const EXCHANGES: readonly Exchange[] = loadVectors("dataplane-ovs").exchanges;

function messageOf(hex: string) {
  const split = splitMessages(fromHex(hex));
  assert.ok(split.ok);
  return split.value[0]!;
}

Deno.test("splitMessages() reads the headers of every captured datagram", () => {
  for (const { step, hex, decoded } of EXCHANGES) {
    const split = splitMessages(fromHex(hex));
    assert.ok(split.ok, step);
    assert.deepEqual(
      split.value.map((m) => [m.body.length + 16, m.type, m.flags, m.seq, m.pid]),
      decoded.map((m) => [m.len, m.type, m.flags, m.seq, m.port]),
      step,
    );
  }
});

Deno.test("splitMessages() names what is wrong with a length", () => {
  const reason = (hex: string) => (splitMessages(fromHex(hex)) as { reason: string }).reason;
  assert.equal(reason("0f0000000000000000000000000000"), "message header needs 16 bytes, has 15");
  assert.equal(reason("0f000000000000000000000000000000"), "message length is 15");
  assert.equal(reason("11000000000000000000000000000000"), "message length is 17");
});

Deno.test("AttributeReader stops at the first wrong length and says so", () => {
  for (
    const [hex, reason] of [
      ["030001", "attribute needs 4 bytes, has 3"],
      ["03000100", "attribute length is 3 of 4"],
      ["0500010000", undefined],
      ["0600010000", "attribute length is 6 of 5"],
    ] as const
  ) {
    const reader = new AttributeReader(fromHex(hex));
    while (reader.next());
    assert.equal(reader.failure, reason, hex);
  }
});

Deno.test("AttributeReader gives zeros for values that are too short", () => {
  const reader = new AttributeReader(fromHex("06000100ffff0000"));
  assert.ok(reader.next());
  assert.equal(reader.u16(), 0xffff);
  assert.equal(reader.u32(), 0);
  assert.equal(reader.failure, "attribute 1 needs 4 bytes, has 2");
  assert.equal(reader.next(), false);
});

Deno.test("NetlinkWriter builds nested, padded attributes that read back", () => {
  const bytes = new NetlinkWriter(8).begin(26, NLM_F.request, 5, 7).u8(1).u8(2).u16(3).u32(4)
    .attrU8(1, 0xab).attrU16(2, 0xabcd).attrBe16(3, 0xabcd).attrU32(4, 0xffffffff).attrBe32(5, 1)
    .attrU64(6, 2n ** 40n).attrBe64(7, 1, 2).attrText(8, "va1").flag(9).attrU32s(10, [1, 2]).end();
  const nest = bytes.openNested(11);
  bytes.attrU8(1, 1).close(nest).end();
  const split = splitMessages(bytes.finish());
  assert.ok(split.ok);
  assert.equal(split.value.length, 1);
  const { type, flags, seq, pid, body } = split.value[0]!;
  assert.deepEqual([type, flags, seq, pid], [26, 1, 5, 7]);
  const reader = new AttributeReader(body, 8);
  const read = [
    () => reader.u8(),
    () => reader.u16(),
    () => reader.be16(),
    () => reader.u32(),
    () => reader.be32(),
    () => reader.u64(),
    () => toHex(reader.value()),
    () => reader.text(),
    () => reader.length,
    () => reader.u32s(),
    () => attributesOf(reader.value()),
  ].map((value) => (assert.ok(reader.next()), [reader.type, value()]));
  assert.deepEqual(read, [
    [1, 0xab],
    [2, 0xabcd],
    [3, 0xabcd],
    [4, 0xffffffff],
    [5, 1],
    [6, 2 ** 40],
    [7, "0000000100000002"],
    [8, "va1"],
    [9, 0],
    [10, [1, 2]],
    [11, new Map([[1, Uint8Array.of(1)]])],
  ]);
  assert.equal(reader.next(), false);
});

Deno.test("NetlinkWriter puts messages back to back and forgets them on reset", () => {
  const writer = new NetlinkWriter(16);
  writer.begin(1, 0).u8(1).end().begin(2, 0).end();
  const split = splitMessages(writer.finish());
  assert.deepEqual(split.ok && split.value.map((m) => [m.type, m.body.length]), [[1, 1], [2, 0]]);
  assert.equal(writer.reset().length, 0);
  // What an earlier message left behind does not show through in padding.
  writer.begin(1, 0).u32(0xffffffff).u32(0xffffffff).end().reset().begin(1, 0).u8(1).attrU8(1, 2).end();
  assert.equal(toHex(writer.finish()).slice(32), "010000000500010002");
});

Deno.test("decodeVerdict() gives errno and the refused request", () => {
  const refused = EXCHANGES.find((e) => e.step === "flow del again (ENOENT)" && e.dir === "RX")!;
  const verdict = decodeVerdict(messageOf(refused.hex));
  assert.ok(verdict.ok);
  assert.equal(verdict.value.errno, 2);
  assert.equal(verdict.value.request?.type, 28);
  assert.equal(verdict.value.request?.body.length, 160 - 16);
});

Deno.test("decodeVerdict() reads an extended acknowledgement behind a whole and behind a capped request", () => {
  const explanation = new NetlinkWriter().attrText(1, "Attribute failed policy validation").attrU32(2, 24)
    .attrU32(5, 3).finish();
  for (const capped of [false, true]) {
    const flags = NLM_F.ackTlvs | (capped ? NLM_F.capped : 0);
    const writer = new NetlinkWriter().begin(2, flags, 5).u32(-22);
    const request = new NetlinkWriter().begin(27, 5, 5).u32(1).u8(2).end().finish();
    writer.raw(capped ? request.subarray(0, 16) : request);
    if (!capped) writer.raw(new Uint8Array(3));
    const split = splitMessages(writer.raw(explanation).end().finish());
    assert.ok(split.ok);
    const verdict = decodeVerdict(split.value[0]!);
    assert.ok(verdict.ok);
    const { errno, text, offset, missingType } = verdict.value;
    assert.deepEqual([errno, text, offset, missingType], [22, "Attribute failed policy validation", 24, 3]);
    assert.equal(verdict.value.request?.type, capped ? undefined : 27);
  }
});

Deno.test("completeRequest() asks for an acknowledgement, but not of a dump", () => {
  const single = new NetlinkWriter().begin(27, NLM_F.create | NLM_F.excl).end().finish();
  assert.equal(completeRequest(single, 9, 11), false);
  assert.equal(toHex(single), "100000001b000506090000000b000000");
  const dump = new NetlinkWriter().begin(27, NLM_F.dump).end().finish();
  assert.equal(completeRequest(dump, 9, 11), true);
  assert.equal(toHex(dump), "100000001b000103090000000b000000");
});

Deno.test("ReplyCollector gathers a dump up to its end and leaves out other sequence numbers", () => {
  const dump = EXCHANGES.filter((e) => e.step === "vport dump" && e.dir === "RX").map((e) => fromHex(e.hex));
  const collector = new ReplyCollector(11);
  assert.deepEqual(collector.take(fromHex(EXCHANGES.find((e) => e.step === "datapath new")!.hex)), {
    ok: true,
    value: false,
  });
  assert.deepEqual(collector.take(dump[0]!), { ok: true, value: false });
  assert.deepEqual(collector.take(dump[1]!), { ok: true, value: true });
  assert.deepEqual(collector.replies.map((r) => r.length), [144, 136, 156]);
  assert.equal(collector.verdict?.errno, 0);
  assert.equal(collector.interrupted, false);
});

Deno.test("ReplyCollector tells that a dump was interrupted", () => {
  const done = new NetlinkWriter().begin(3, NLM_F.multi | NLM_F.dumpInterrupted, 1).u32(0).end().finish();
  const collector = new ReplyCollector(1);
  collector.take(done);
  assert.equal(collector.interrupted, true);
});

Deno.test("netlink decoders return for whatever they get", () => {
  const samples = EXCHANGES.map((e) => fromHex(e.hex));
  const decode = (bytes: Uint8Array<ArrayBuffer>) => {
    const split = splitMessages(bytes);
    if (split.ok) split.value.forEach(decodeVerdict);
    const reader = new AttributeReader(bytes, Math.min(24, bytes.length));
    while (reader.next()) reader.value();
    return new ReplyCollector(5).take(bytes);
  };
  fuzz(decode, samples, { mutations: 20, truncations: 100 });
});
