/** What hostile peers could make the decoders build: bounded, whatever the bytes say. */
import assert from "node:assert/strict";
import { concatBytes } from "../../../mod/core/bytes.ts";
import { type PeerName, peerNameFromNumber, peerNameToBytes, type PeerUid } from "../../../mod/core/names.ts";
import type { LinkRecord, PeerRecord } from "../../../mod/core/topology_record.ts";
import { GobDecoder, GobEncoder, type GobType } from "../../../mod/wire/mesh/gob.ts";
import { MAX_DEFINITIONS, MAX_GOB_VALUES } from "../../../mod/wire/mesh/gob_types.ts";
import { decodeFeatures, decodeTopology, encodeFeatures } from "../../../mod/wire/mesh/mesh_message.ts";
import {
  LINK_SUMMARIES,
  LinkReader,
  MAX_LINKS,
  MAX_PAYLOAD_LINKS,
} from "../../../mod/wire/mesh/mesh_links.ts";
import { MAX_ADDRESS, MAX_NICKNAME } from "../../../mod/wire/mesh/mesh_text.ts";
import { MAX_RECORDS } from "../../../mod/wire/mesh/mesh_topology.ts";
import { encodeTopology } from "./mesh/encode_topology.ts";

const name = (index: number) => peerNameFromNumber(0x0200_0000_0000 + index)!;
const link = (index: number, address = "192.0.2.1:6783"): LinkRecord => ({
  peer: name(index),
  address,
  outbound: true,
  established: true,
});
const record = (index: number, links: readonly LinkRecord[] = [], nickname = ""): PeerRecord => ({
  name: name(index),
  nickname,
  uid: 1n as PeerUid,
  version: 1n,
  shortId: undefined,
  links,
});
function decoded(...records: readonly PeerRecord[]): readonly PeerRecord[] {
  const result = decodeTopology(encodeTopology(records));
  assert.ok(result.ok);
  return result.value;
}
function structOf(fields: number, longest = 4): GobType {
  return {
    kind: "struct",
    fields: Array.from({ length: fields }, (_, i) => [`F${i}`.padEnd(longest, "x"), "int"] as const),
  };
}
function reasonOf(bytes: Uint8Array): string {
  const result = new GobDecoder(bytes).next();
  return result.ok ? "" : result.reason;
}

Deno.test("GobDecoder takes a bounded number of types, and none that is huge", () => {
  const gob = new GobEncoder();
  const many = Array.from({ length: MAX_DEFINITIONS.count + 1 }, (_, i) => gob.define(structOf(1 + i % 9)));
  assert.match(reasonOf(concatBytes(...many)), /^more than 64 types are defined$/);
  const { fields, bytes } = MAX_DEFINITIONS;
  assert.match(reasonOf(new GobEncoder().define(structOf(fields + 1))), /^type 65: struct has 257 fields/);
  assert.match(reasonOf(new GobEncoder().define(structOf(1, bytes))), /bytes, at most 16384 are allowed$/);
});

Deno.test("GobDecoder makes no more than a million values of a message", () => {
  const list = { kind: "slice", elem: "bool" } as const;
  const bytes = new GobEncoder().encode(Array.from({ length: MAX_GOB_VALUES }, () => false), list);
  assert.match(reasonOf(bytes), /^message has more than 1048576 values$/);
});

Deno.test("decodeTopology() leaves out what no mesh can have, and refuses lists without end", () => {
  const records = Array.from({ length: MAX_RECORDS + 5 }, (_, i) => record(i));
  assert.equal(decoded(...records).length, MAX_RECORDS);
  const many = Array.from({ length: MAX_LINKS + 5 }, (_, i) => link(i));
  assert.equal(decoded(record(1, many))[0]!.links.length, MAX_LINKS);
  const full = Array.from({ length: MAX_LINKS }, (_, i) => link(i, ""));
  const lists = Array.from({ length: MAX_PAYLOAD_LINKS / MAX_LINKS + 1 }, (_, i) => record(i, full));
  assert.equal(decoded(...lists.slice(1)).length, lists.length - 1);
  const refused = decodeTopology(encodeTopology(lists));
  assert.ok(!refused.ok && /more than 524288 links are listed$/.test(refused.reason));
});

Deno.test("decodeTopology() and decodeFeatures() keep texts that are short, and harmless on a terminal", () => {
  const [{ nickname, links } = record(0)] = decoded(
    record(
      1,
      [link(1, "\x1b[2J"), link(2, "1.2.3.4:5".padEnd(MAX_ADDRESS + 1, "0")), link(3, "é"), link(4)],
      "n\u009b\x07\u202e\u200b",
    ),
  );
  assert.equal(nickname, "n\ufffd\ufffd\ufffd\ufffd");
  assert.deepEqual(links.map(({ address }) => address), ["", "", "", "192.0.2.1:6783"]);
  assert.equal(decoded(record(1, [], "x".repeat(70_000)))[0]!.nickname.length, MAX_NICKNAME);
  const common = {
    name: "02:00:00:00:00:01" as PeerName,
    uid: 1n as PeerUid,
    connId: 1n,
    shortId: undefined,
  };
  const features = {
    ...common,
    nickname: "\x1b".repeat(9_999),
    trusted: false,
    overlays: [],
    publicKey: undefined,
  };
  const result = decodeFeatures(encodeFeatures(features, 2), 2);
  assert.equal(result.ok && result.value.nickname, "\ufffd".repeat(MAX_NICKNAME));
});

Deno.test("LinkReader keeps the same of an address by both ways", () => {
  for (const text of ["a", "a".repeat(80), "a".repeat(81), "a".repeat(127), "\x7f", "\n", " ", "é", "\0"]) {
    const list = [{
      NameByte: peerNameToBytes(name(1)),
      RemoteTCPAddr: text,
      Outbound: true,
      Established: true,
    }];
    const quick = new GobDecoder(new GobEncoder().encode(list, LINK_SUMMARIES)).nextBy(new LinkReader());
    assert.deepEqual(quick, new LinkReader().slow(list), JSON.stringify(text));
  }
});
