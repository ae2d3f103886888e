import assert from "node:assert/strict";
import { fromHex, toHex } from "../../../../mod/core/bytes.ts";
import {
  concernsRules,
  dumpChains,
  readChains,
  readElements,
  readRules,
  setsOfRules,
} from "../../../../mod/wire/filter/nft_read.ts";
import { encodeChanges } from "../../../../mod/wire/filter/nft_write.ts";
import { splitMessages } from "../../../../mod/wire/netlink/netlink.ts";
import { NetlinkWriter } from "../../../../mod/wire/netlink/netlink_writer.ts";
import { RECORDED, recordedNft } from "../../firewall/recorded.ts";
import { fuzz } from "../../fuzz.ts";

const AT = { family: "inet", table: "filter", name: "forward" } as const;
const RULE = {
  comment: "meshnet: traffic from 10.2.1.0/24",
  iif: "meshnet",
  source: { octets: Uint8Array.of(10, 2, 1, 9), prefix: 24 },
};
const ascii = (text: string) => [...new TextEncoder().encode(text)];

Deno.test("readRules() reads states, sets with ranges, verdict maps and comments as nft wrote them", () => {
  const chain = recordedNft("simple")[0]!.chains.get("input")!;
  assert.deepEqual([chain.hook, chain.policy], ["input", "drop"]);
  const [states, lo, names, ports, udp, esp] = chain.rules;
  assert.equal(states!.verdict.kind, "map");
  const kinds = states!.verdict.kind === "map"
    ? states!.verdict.entries.map((entry) => entry.verdict.kind)
    : [];
  assert.deepEqual(kinds, ["drop", "accept", "accept"]); // invalid 1, established 2, related 4
  assert.deepEqual(lo!.tests.map(({ field, spans }) => [field, spans[0]!.low[0]]), [["iif-index", 1]]);
  const entries = names!.verdict.kind === "map" ? names!.verdict.entries : [];
  assert.deepEqual(
    entries.map(({ span, verdict }) => [new TextDecoder().decode(span.low.subarray(0, 3)), verdict.kind]),
    [
      ["eth", "accept"],
      ["wg0", "jump"],
    ],
  );
  assert.deepEqual(ports!.tests[1]!.spans.map(({ high, low }) => [...low, ...high]), [
    [0, 22, 0, 22],
    [0x17, 0x70, 0x1a, 0x7f],
  ]);
  assert.equal(udp!.comment, "mesh");
  assert.deepEqual(esp!.verdict, { kind: "drop" });
});

Deno.test("encodeChanges() is one transaction, and what it inserts reads as it was meant", () => {
  const bytes = encodeChanges([{ kind: "insert", at: AT, before: 0x1_0000_0002, rule: RULE }], 5);
  const split = splitMessages(bytes);
  assert.ok(split.ok);
  assert.deepEqual(split.value.map(({ flags, seq, type }) => [type, flags, seq]), [
    [16, 1, 0],
    [0xa06, 0x405, 5],
    [17, 1, 0],
  ]);
  assert.deepEqual([...split.value[0]!.body], [0, 0, 0, 10]); // the subsystem, in network order
  assert.match(toHex(split.value[1]!.body), /0c000600000000010000000[2]/); // before that handle
  const message = bytes.slice(20, bytes.length - 20);
  const [placed] = readRules([message], () => undefined);
  assert.deepEqual([placed!.family, placed!.table, placed!.chain], ["inet", "filter", "forward"]);
  const { comment, tests, verdict } = placed!.rule;
  assert.equal(comment, RULE.comment);
  assert.deepEqual(verdict, { kind: "accept" });
  assert.deepEqual(tests.map(({ field, spans }) => [field, ...spans.map(({ low }) => [...low])]), [
    ["iif", [...ascii("meshnet"), ...Array(9).fill(0)]],
    ["family", [2]],
    ["other"],
  ]);
});

Deno.test("encodeChanges() makes our own table anew, so that it has these rules and no others", () => {
  const network = { octets: Uint8Array.of(10, 2, 1, 0), prefix: 24 };
  const rules = [{ comment: "out", source: network, destination: network, outside: "destination" as const }];
  const bytes = encodeChanges([{ kind: "masquerade", family: "ip", table: "meshnet", rules }], 1);
  const split = splitMessages(bytes);
  assert.ok(split.ok);
  assert.deepEqual(split.value.map(({ type }) => type & 0xff), [16, 0, 2, 0, 3, 6, 17]);
  assert.match(toHex(split.value[5]!.body), new RegExp(toHex(Uint8Array.from(ascii("masq\0")))));
  assert.deepEqual(splitMessages(encodeChanges([{ kind: "delete", at: AT, handle: 9 }], 1)).ok, true);
});

Deno.test("concernsRules() passes over what is in sets and over other families", () => {
  const notice = (message: number, family: number) =>
    new NetlinkWriter(32).begin(0xa00 | message, 0).u8(family).u8(0).u16(0).end().finish();
  assert.deepEqual([6, 8, 3, 5, 2].map((message) => concernsRules(notice(message, 2))), Array(5).fill(true));
  assert.deepEqual([9, 12, 14, 15].map((message) => concernsRules(notice(message, 2))), Array(4).fill(false));
  assert.equal(concernsRules(notice(6, 7)), false); // NFPROTO_BRIDGE
  assert.equal(concernsRules(Uint8Array.of(1)), true);
});

Deno.test("readers of nf_tables survive what makes no sense", () => {
  const replies = Object.values(RECORDED.nft).flat().flatMap((one) => one.replies).map((reply) =>
    fromHex(reply)!
  );
  const some = replies.filter((_, i) => i % 7 === 0);
  assert.ok(some.length > 10);
  fuzz(
    (bytes) => {
      readChains([bytes]);
      readElements([bytes]);
      setsOfRules([bytes]);
      return readRules([bytes], () => []);
    },
    some,
    { truncations: 20, mutations: 40 },
  );
  assert.equal(dumpChains().length, 20);
});
