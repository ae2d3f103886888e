import assert from "node:assert/strict";
import { Election } from "../../../mod/ipam/agree.ts";
import { NO_PROPOSAL, nodeKey, type PaxosKnowledge } from "../../../mod/wire/ipam/ipam_types.ts";
import { seededRandom } from "../properties.ts";
import { peer } from "./bench.ts";

const node = (n: number) => new Election({ name: peer(n), uid: BigInt(1000 + n) });
const snapshot = (election: Election): PaxosKnowledge => structuredClone(new Map(election.known));

Deno.test("an election goes propose, promise, accept, accepted, as in the vectors", () => {
  const [one, two] = [node(1), node(2)];
  one.start(2);
  one.propose();
  assert.ok(two.merge(snapshot(one)) && two.think());
  assert.equal(two.known.get(nodeKey(two.self))!.claims.promise.proposer.name, peer(1));
  assert.ok(one.merge(snapshot(two)) && one.think());
  assert.deepEqual(one.known.get(nodeKey(one.self))!.claims.value, [peer(1), peer(2)]);
  assert.equal(one.consensus(), undefined);
  assert.ok(two.merge(snapshot(one)) && two.think());
  assert.equal(two.consensus(), undefined, "it never started, so it concludes nothing");
  assert.ok(one.merge(snapshot(two)));
  assert.deepEqual(one.consensus(), [peer(1), peer(2)]);
  assert.equal(one.think(), false);
});

Deno.test("a node that is alone agrees with itself", () => {
  const one = node(1);
  one.start(1);
  one.propose();
  assert.deepEqual(one.consensus(), [peer(1)]);
});

Deno.test("merging the same again is no news, and nothing is taken back", () => {
  const [one, two] = [node(1), node(2)];
  one.start(3);
  one.propose();
  const old = snapshot(one);
  assert.equal(two.merge(old), true);
  assert.equal(two.merge(old), false);
  one.propose();
  assert.equal(two.merge(snapshot(one)), true);
  assert.equal(two.merge(old), false);
  assert.equal(two.known.get(nodeKey(one.self))!.claims.promise.round, 2);
  assert.deepEqual(two.known.get(nodeKey(one.self))!.claims.accepted, NO_PROPOSAL);
});

Deno.test("nodes never agree on two lists, whatever is lost and whoever proposes when", () => {
  let concluded = 0;
  for (let seed = 1; seed <= 200; seed++) {
    const random = seededRandom(seed);
    const nodes = [1, 2, 3, 4, 5].map(node);
    for (const each of nodes) if (random.below(5) > 0) each.start(5);
    const decided = new Set<string>();
    const wires: { readonly to: Election; readonly what: PaxosKnowledge }[] = [];
    const tell = (from: Election) => {
      for (const to of nodes) {
        if (to !== from && random.below(10) > 2) wires.push({ to, what: snapshot(from) });
      }
    };
    for (let step = 0; step < 300; step++) {
      if (random.below(12) === 0) {
        const one = nodes[random.below(5)]!;
        if (one.quorum > 0) {
          one.propose();
          tell(one);
        }
      } else if (wires.length > 0) {
        const [{ to, what }] = wires.splice(random.below(wires.length), 1) as [typeof wires[0]];
        if (to.merge(what) && to.think()) tell(to);
      }
      for (const each of nodes) {
        const peers = each.consensus();
        if (peers !== undefined) decided.add(`${peers}`);
      }
    }
    assert.ok(decided.size <= 1, `seed ${seed}: ${[...decided].join(" and ")}`);
    concluded += decided.size;
  }
  assert.ok(concluded > 100, `only ${concluded} of 200 elections came to an end`);
});
