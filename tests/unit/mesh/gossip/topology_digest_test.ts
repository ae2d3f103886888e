import assert from "node:assert/strict";
import { type PeerName, peerNameFromNumber, type PeerUid } from "../../../../mod/core/names.ts";
import type { PeerRecord } from "../../../../mod/core/topology_record.ts";
import { Digest } from "../../../../mod/mesh/gossip/topology_digest.ts";
import { fuzz } from "../../fuzz.ts";

const peer = (n: number): PeerName => peerNameFromNumber(n)!;

function record(n: number, version = 1n, uid = 1n): PeerRecord {
  return { name: peer(n), nickname: "", uid: uid as PeerUid, version, shortId: undefined, links: [] };
}

const compare = (
  theirs: PeerRecord[],
  ours: PeerRecord[],
  purpose: "greeting" | "comparing" | "compared",
) => {
  const compared = new Digest().compare(new Digest().encode(theirs, purpose), ours);
  assert.ok(compared.ok);
  return compared.value;
};

Deno.test("Digest.compare() finds what is the same and what the neighbour lacks", () => {
  const theirs = [record(2, 5n), record(3, 7n), record(9)];
  const ours = [record(1), record(2, 5n), record(3, 8n), record(4)];
  const { same, lacking, reply } = compare(theirs, ours, "comparing");
  assert.deepEqual(same, [peer(2)]);
  assert.deepEqual(lacking, [peer(1), peer(3), peer(4)]);
  assert.equal(reply, "compared", "it knows peer 9");
});

Deno.test("Digest.compare() asks for nothing when the neighbour has nothing more", () => {
  assert.equal(compare([record(1)], [record(1), record(2)], "comparing").reply, undefined);
  assert.equal(compare([record(1, 9n)], [record(1)], "comparing").reply, "compared");
  assert.equal(compare([record(1, 9n)], [record(1)], "compared").reply, undefined, "and never twice");
});

Deno.test("Digest.compare() of a greeting is about unknown peers and other processes alone", () => {
  const { lacking, reply } = compare(
    [record(1, 1n), record(2, 9n)],
    [record(1, 5n), record(2, 1n)],
    "greeting",
  );
  assert.deepEqual([lacking, reply], [[], undefined]);
  const unknown = compare([record(1, 1n, 4n), record(7)], [record(1, 5n, 6n), record(2)], "greeting");
  assert.deepEqual(unknown.lacking, [peer(1), peer(2)]);
  assert.equal(unknown.reply, "greeted");
});

Deno.test("Digest.compare() sees all 64 bits of a UID", () => {
  assert.deepEqual(compare([record(1, 1n, 1n << 40n)], [record(1, 1n, 1n << 41n)], "comparing").same, []);
});

Deno.test("Digest.compare() returns on any bytes, and refuses broken lengths", () => {
  const ours = [record(1), record(2)];
  const digest = new Digest();
  assert.equal(digest.compare(new Uint8Array(0), ours).ok, false);
  assert.equal(digest.compare(new Uint8Array(14), ours).ok, false);
  fuzz((bytes) => digest.compare(bytes, ours), [digest.encode(ours, "comparing")]);
});
