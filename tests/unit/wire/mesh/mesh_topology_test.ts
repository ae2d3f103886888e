import assert from "node:assert/strict";
import { fromHex } from "../../../../mod/core/bytes.ts";
import { peerNameFromNumber, type PeerUid, type ShortId } from "../../../../mod/core/names.ts";
import type { PeerRecord } from "../../../../mod/core/topology_record.ts";
import { GobEncoder } from "../../../../mod/wire/mesh/gob.ts";
import { decodeTopology, TopologyEncoder } from "../../../../mod/wire/mesh/mesh_message.ts";
import { fuzz } from "../../fuzz.ts";
import { check, fc } from "../../properties.ts";
import { loadVectors } from "../../vectors.ts";
import { type PeerJson, recordOf, sorted } from "./topology_json.ts";
import { encodeTopology } from "./encode_topology.ts";

interface Vectors {
  readonly encodings: { readonly description: string; readonly hex: string; readonly peers: PeerJson[] }[];
  readonly merges: {
    readonly description: string;
    readonly update_hex: string;
    readonly update_names: string[];
  }[];
}
const { encodings, merges } = loadVectors<Vectors>("mesh-topology");

for (const { description, hex, peers } of encodings) {
  Deno.test(`decodeTopology() and encodeTopology(): ${description}`, () => {
    const records = peers.map(recordOf);
    const decoded = decodeTopology(fromHex(hex));
    assert.ok(decoded.ok);
    assert.deepEqual(sorted(decoded.value), sorted(records));
    const encoded = encodeTopology(records);
    assert.deepEqual(decodeTopology(encoded), { ok: true, value: records });
    assert.equal(encoded.length, hex.length / 2, "only type ids and order may differ");
  });
}

for (const { description, update_hex, update_names } of merges) {
  Deno.test(`decodeTopology() reads the update of: ${description}`, () => {
    const decoded = decodeTopology(fromHex(update_hex));
    assert.ok(decoded.ok);
    assert.deepEqual(decoded.value.map((peer) => peer.name).sort(), update_names.toSorted());
  });
}

const SUMMARY = {
  kind: "struct",
  fields: [["NameByte", "bytes"], ["ShortID", "uint"], ["HasShortID", "bool"]],
} as const;
const LINKS = {
  kind: "slice",
  elem: { kind: "struct", fields: [["NameByte", "bytes"], ["Outbound", "bool"]] },
} as const;

function stream(
  summary: { name: string; shortId?: bigint },
  links?: readonly [string, boolean][],
): Uint8Array {
  const gob = new GobEncoder();
  const first = { NameByte: fromHex(summary.name), ShortID: summary.shortId ?? 0n, HasShortID: true };
  const second = links?.map(([name, Outbound]) => ({ NameByte: fromHex(name), Outbound }));
  return Uint8Array.from([...gob.encode(first, SUMMARY), ...(second ? gob.encode(second, LINKS) : [])]);
}

Deno.test("decodeTopology() drops a last record without links, and takes no bytes for no peers", () => {
  assert.deepEqual(decodeTopology(stream({ name: "000000000001" })), { ok: true, value: [] });
  assert.deepEqual(decodeTopology(encodeTopology([])), { ok: true, value: [] });
});

Deno.test("decodeTopology() folds names of other lengths, and refuses those beyond 48 bits", () => {
  const decoded = decodeTopology(stream({ name: "0000000000000102" }, [["07", true]]));
  assert.ok(decoded.ok);
  assert.equal(decoded.value[0]!.name, "00:00:00:00:01:02");
  assert.equal(decoded.value[0]!.links[0]!.peer, "00:00:00:00:00:07");
  assert.equal(decodeTopology(stream({ name: "01000000000000" }, [])).ok, false);
  assert.equal(decodeTopology(stream({ name: "01" }, [["01000000000000", true]])).ok, false);
});

Deno.test("decodeTopology() keeps one link per peer, the last, and no short id beyond 4095", () => {
  const decoded = decodeTopology(stream({ name: "01", shortId: 4096n }, [["02", true], ["02", false]]));
  assert.ok(decoded.ok);
  assert.equal(decoded.value[0]!.shortId, undefined);
  assert.deepEqual(decoded.value[0]!.links.map((link) => link.outbound), [false]);
});

Deno.test("decodeTopology() refuses data cut inside a message, naming what it was", () => {
  const bytes = fromHex(encodings.find(({ peers }) => peers.length === 1)!.hex);
  const decoded = decodeTopology(bytes.subarray(0, bytes.length - 1));
  assert.match(decoded.ok ? "" : decoded.reason, /^links of 00:00:00:00:00:01: stream ends inside a message/);
});

const name = fc.bigInt({ min: 0n, max: (1n << 48n) - 1n }).map((n) => peerNameFromNumber(n)!);
const uint64 = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
const record: fc.Arbitrary<PeerRecord> = fc.record({
  name,
  nickname: fc.string({ unit: "grapheme" }),
  uid: uint64.map((uid) => uid as PeerUid),
  version: uint64,
  shortId: fc.option(fc.nat(4095).map((id) => id as ShortId), { nil: undefined }),
  links: fc.uniqueArray(
    fc.record({ peer: name, address: fc.string(), outbound: fc.boolean(), established: fc.boolean() }, {
      noNullPrototype: true,
    }),
    { selector: (link) => link.peer, maxLength: 8 },
  ),
}, { noNullPrototype: true });

Deno.test("decodeTopology() returns what encodeTopology() was given", () => {
  check(fc.property(fc.array(record, { maxLength: 8 }), (peers) => {
    assert.deepEqual(decodeTopology(encodeTopology(peers)), { ok: true, value: peers });
  }));
});

Deno.test("TopologyEncoder.encode() gives the same bytes for records that it knows", () => {
  const encoder = new TopologyEncoder();
  check(fc.property(fc.array(record, { maxLength: 4 }), (peers) => {
    assert.deepEqual(encoder.encode(peers), encodeTopology(peers));
    const reversed = peers.toReversed();
    assert.deepEqual(encoder.encode(new Set(reversed)), encodeTopology(reversed));
    assert.deepEqual(decodeTopology(encoder.encode(reversed)), { ok: true, value: reversed });
  }));
});

Deno.test("decodeTopology() leaves the links of unwanted records unread, and nothing else", () => {
  const some = fc.array(fc.tuple(record, fc.boolean()), { maxLength: 8 });
  check(fc.property(some, (pairs) => {
    const peers = pairs.map(([peer]) => peer);
    const asked: unknown[] = [];
    const decoded = decodeTopology(encodeTopology(peers), (summary) => {
      asked.push([summary.name, summary.uid, summary.version, summary.shortId]);
      return pairs[asked.length - 1]![1];
    });
    const value = pairs.map(([peer, wanted]) => wanted ? peer : { ...peer, links: [] });
    assert.deepEqual(decoded, { ok: true, value });
    assert.deepEqual(asked, peers.map(({ name, uid, version, shortId }) => [name, uid, version, shortId]));
  }));
});

Deno.test("decodeTopology() refuses a cut payload or a struct for links also where they are unwanted", () => {
  const bytes = stream({ name: "01" }, [["02", true]]);
  const cut = decodeTopology(bytes.subarray(0, bytes.length - 1), () => false);
  assert.match(cut.ok ? "" : cut.reason, /^links of 00:00:00:00:00:01: stream ends inside a message/);
  const gob = new GobEncoder();
  const summary = { NameByte: fromHex("01"), ShortID: 0n, HasShortID: true };
  const twice = Uint8Array.from([...gob.encode(summary, SUMMARY), ...gob.encode(summary, SUMMARY)]);
  const reason = "links of 00:00:00:00:00:01: value is a struct, expected a slice";
  assert.deepEqual(decodeTopology(twice, () => false), { ok: false, reason });
  assert.deepEqual(decodeTopology(twice), { ok: false, reason });
});

Deno.test("decodeTopology() returns on any input", () => {
  const small = encodings.map(({ hex }) => fromHex(hex)).filter((bytes) => bytes.length < 1_000);
  fuzz((bytes) => decodeTopology(bytes, ({ version }) => version % 2n === 0n), small);
  fuzz((bytes) => decodeTopology(bytes), small);
});
