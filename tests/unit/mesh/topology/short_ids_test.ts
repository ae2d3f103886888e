import assert from "node:assert/strict";
import { type PeerName, SHORT_IDS, type ShortId } from "../../../../mod/core/names.ts";
import { ShortIds } from "../../../../mod/mesh/topology/short_ids.ts";
import { check, fc, seededRandom } from "../../properties.ts";
import { loadVectors } from "../../vectors.ts";
import { peer, topologyOf } from "./topology_samples.ts";
import { type PeerJson, recordOf } from "../../wire/mesh/topology_json.ts";

interface ShortIdVector {
  readonly description: string;
  readonly self: PeerJson;
  readonly steps: readonly {
    readonly invalidated: boolean;
    readonly principal_by_short_id: Readonly<Record<string, PeerName>>;
    readonly self_reassigned: boolean;
    readonly self_version_delta: number;
    readonly update: readonly PeerJson[];
  }[];
}

const random = seededRandom();

for (const vector of loadVectors<{ vectors: ShortIdVector[] }>("mesh-shortids").vectors) {
  Deno.test(`Topology follows the short id vector: ${vector.description}`, () => {
    const topology = topologyOf(recordOf(vector.self), [], random);
    for (const step of vector.steps) {
      const { version, shortId } = topology.own;
      const result = topology.merge(step.update.map(recordOf));
      assert.equal(result.invalidated, step.invalidated);
      assert.equal(result.selfChanged, step.self_reassigned);
      assert.equal(topology.own.shortId !== shortId, step.self_reassigned);
      assert.equal(topology.own.version - version, BigInt(step.self_version_delta));
      for (const [text, owner] of Object.entries(step.principal_by_short_id)) {
        const id = text.startsWith("<") ? topology.own.shortId! : Number(text) as ShortId;
        assert.equal(topology.ownerOf(id), owner, text);
        assert.equal(topology.shortIdOf(owner), id);
      }
    }
  });
}

Deno.test("ShortIds agrees with a plain list of claims after random operations", () => {
  const operation = fc.record({
    add: fc.boolean(),
    id: fc.integer({ min: 0, max: 3 }),
    peer: fc.integer({ min: 1, max: 6 }),
  });
  check(
    fc.property(fc.array(operation, { maxLength: 60 }), (operations) => {
      const ids = new ShortIds();
      const claims = new Set<string>();
      const used = new Set<number>();
      const ownerOf = (id: number) =>
        [1, 2, 3, 4, 5, 6].filter((n) => claims.has(`${id} ${n}`)).map((n) => peer(n))[0];
      for (const { add, id, peer: number } of operations) {
        const before = ownerOf(id);
        const key = `${id} ${number}`;
        const invalidated = add
          ? ids.claim(id as ShortId, peer(number))
          : ids.release(id as ShortId, peer(number));
        if (add) claims.add(key);
        else claims.delete(key);
        const now = ownerOf(id);
        assert.equal(ids.ownerOf(id as ShortId), now);
        const reused = before === undefined && now !== undefined && used.has(id);
        const moved = before !== undefined && now !== undefined && before !== now;
        assert.equal(invalidated, reused || moved);
        if (now !== undefined) used.add(id);
      }
    }),
    { runs: 200 },
  );
});

Deno.test("ShortIds.pick() gives free ids only, to the last one", () => {
  const ids = new ShortIds();
  for (let i = 0; i < SHORT_IDS; i++) {
    const id = ids.pick(random);
    assert.notEqual(id, undefined);
    assert.equal(ids.ownerOf(id!), undefined);
    ids.claim(id!, peer(i + 1));
  }
  assert.equal(ids.pick(random), undefined);
});

Deno.test("Topology keeps short ids of any two peers apart after random operations", () => {
  const update = fc.record({
    peer: fc.integer({ min: 1, max: 9 }).filter((n) => n !== 5),
    id: fc.option(fc.integer({ min: 0, max: 5 }), { nil: undefined }),
    linked: fc.boolean(),
    collect: fc.boolean(),
  });
  check(fc.property(fc.array(update, { maxLength: 40 }), (updates) => {
    const topology = topologyOf(recordOf({ ...SELF, short_id: 2 }), [], random);
    updates.forEach(({ peer: number, id, linked, collect }, step) => {
      const [uid, version] = [String(number), String(step + 1)];
      const has_short_id = id !== undefined;
      const record = { ...SELF, name: peer(number), uid, version, has_short_id, short_id: id ?? 0 };
      topology.merge([recordOf(record)]);
      if (linked) topology.setLink({ peer: peer(number), address: "", outbound: true, established: true });
      else topology.removeLink(peer(number));
      if (collect) topology.collect();
      assert.equal(topology.shortIdOf(peer(5)), topology.own.shortId, "we always own ours");
      const owned = [...topology.all()].map(({ name }) => topology.shortIdOf(name)).filter((each) =>
        each !== undefined
      );
      assert.equal(new Set(owned).size, owned.length);
      for (const { name, shortId } of topology.all()) {
        if (shortId === undefined) continue;
        const claimants = [...topology.all()].filter((each) => each.shortId === shortId).map((each) =>
          each.name
        );
        assert.equal(topology.ownerOf(shortId), claimants.sort()[0], name);
      }
    });
  }));
});

const SELF: PeerJson = {
  name: peer(5),
  nick_name: "self",
  uid: "500",
  version: "0",
  short_id: 0,
  has_short_id: true,
  connections: [],
};
