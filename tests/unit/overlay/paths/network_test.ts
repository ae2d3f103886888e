import assert from "node:assert/strict";
import type { PeerName, ShortId } from "../../../../mod/core/names.ts";
import type { TopologyView } from "../../../../mod/core/overlay_port.ts";
import type { Millis } from "../../../../mod/core/time.ts";
import { ADOPT_GRACE_MS, HOLD_FIRM_MS, HOLD_MAX_MS } from "../../../../mod/overlay/paths/hold.ts";
import { AdoptedKnowledge } from "../../../../mod/overlay/paths/knowledge.ts";
import { type Hop, type LinkFacts, Network } from "../../../../mod/overlay/paths/network.ts";
import { peerNumber } from "../../../../mod/wire/mesh/sleeve.ts";
import { routesOf } from "../ovs_host.ts";
import { hostIp } from "../kernel.ts";
import { linksTo, NAMES, pathTo, VIEW, viewOf, VXLAN } from "../small_mesh.ts";

// Us (1) -- B (2) -- C (3);  us -- D (4);  E (5) is known and cannot be reached.
const [, B, , D, E] = NAMES as [PeerName, PeerName, PeerName, PeerName, PeerName];
const at = (ms: number) => ms as Millis;
const short = (n: number) => n as ShortId;

/** A network with hands. */
class Host {
  readonly network = new Network();
  constructor(readonly start = at(0)) {
    this.view(VIEW, start);
    this.links([1, 3], start);
  }
  view(view: TopologyView, now: Millis): ReturnType<Network["setView"]> {
    return this.network.setView(view, routesOf(view), now);
  }
  links(neighbours: readonly number[], now: Millis, more: Partial<LinkFacts> = {}): void {
    this.network.setLinks(linksTo(neighbours, more), now);
  }
  /** Where unicast frames for a peer go: `3 via 2`, or with the host's address if it is no neighbour of the mesh. */
  way(to: number): string {
    return told(this.network.unicast(short(to)));
  }
  flood(from: number): string {
    return this.network.broadcast(short(from)).map(told).join(" ");
  }
}

function told(hop: Hop | undefined): string {
  return hop === undefined ? "none" : `${hop.short}`;
}

/** The mesh without B. */
const WITHOUT_B = viewOf([[0, 3]]);

Deno.test("Network takes the mesh's next hops, over links that work", () => {
  const host = new Host();
  assert.equal(host.network.self, 1);
  assert.deepEqual([2, 3, 4, 5, 99].map((to) => host.way(to)), ["2", "2", "4", "none", "none"]);
  assert.deepEqual(host.network.unicast(short(3)), { short: 2, path: pathTo(2) });
  assert.equal(host.flood(1), "2 4");
  assert.equal(host.flood(3), "4", "what comes from C through B goes on to D");
  assert.equal(host.flood(5), "");
  host.links([3], at(1));
  assert.deepEqual([2, 3, 4].map((to) => host.way(to)), ["none", "none", "4"]);
});

Deno.test("Network has no way before it knows who we are", () => {
  const network = new Network();
  network.setLinks(linksTo([1]), at(0));
  assert.deepEqual([network.self, network.unicast(short(2)), network.broadcast(short(1))], [
    -1,
    undefined,
    [],
  ]);
});

Deno.test("Network keeps the way of a broken link: first before any other, then if there is no other, then not", () => {
  const host = new Host();
  host.network.lost(B, pathTo(2), at(10_000));
  host.links([3], at(10_000));
  host.view(viewOf([[0, 3], [3, 2], [2, 1]]), at(10_000)); // B is behind D and C now
  assert.equal(host.way(2), "2", "firm");
  host.network.refresh(at(10_000 + HOLD_FIRM_MS - 1));
  assert.equal(host.way(2), "2");
  assert.equal(host.network.nextWake, 10_000 + HOLD_FIRM_MS);
  host.network.refresh(at(10_000 + HOLD_FIRM_MS));
  assert.equal(host.way(2), "4", "the other way is better now");

  const alone = new Host();
  alone.network.lost(B, pathTo(2), at(10_000));
  alone.links([3], at(10_000));
  alone.view(WITHOUT_B, at(10_000));
  for (
    const [ms, way] of [[0, "2"], [HOLD_FIRM_MS, "2"], [HOLD_MAX_MS - 1, "2"], [HOLD_MAX_MS, "none"]] as const
  ) {
    alone.network.refresh(at(10_000 + ms));
    assert.equal(alone.way(2), way, `${ms}`);
  }
  assert.deepEqual(alone.network.held(at(0)), []);
  assert.equal(alone.network.nextWake, Infinity);
});

Deno.test("Network keeps who was behind a lost neighbour, and floods as before", () => {
  const host = new Host();
  host.network.lost(B, pathTo(2), at(10_000));
  host.links([3], at(10_000));
  host.view(WITHOUT_B, at(10_000));
  assert.equal(host.way(3), "2");
  assert.equal(host.flood(1), "2 4");
  assert.equal(host.flood(3), "4");
  assert.equal(host.network.knows(short(3)), true);
});

Deno.test("Network lets go of a held way when the link is back", () => {
  const host = new Host();
  host.network.lost(B, pathTo(2), at(10_000));
  host.links([3], at(10_000));
  assert.equal(host.network.held(at(10_500))[0]!.forMs, 500);
  host.links([1, 3], at(11_000));
  assert.deepEqual(host.network.held(at(11_000)), []);
  assert.equal(host.way(2), "2");
});

Deno.test("Network keeps nothing of a peer that said good-bye, unless it comes back at once", () => {
  const host = new Host();
  host.network.left(B, pathTo(2), at(10_000));
  host.links([3], at(10_000));
  host.view(WITHOUT_B, at(10_100));
  assert.deepEqual([host.way(2), host.flood(1)], ["none", "4"]);
  assert.deepEqual(host.network.held(at(10_100)).map(({ peer }) => peer), [NAMES[2]], "C did not say so");
  host.network.returned(B, at(10_200));
  assert.equal(host.way(2), "2", "its kernel forwards while the link is replaced");
  const late = new Host();
  late.network.left(B, pathTo(2), at(10_000));
  late.links([3], at(10_000));
  late.network.returned(B, at(14_000));
  assert.equal(late.way(2), "none");
});

Deno.test("Network forgets a held peer that says good-bye after all", () => {
  const host = new Host();
  host.network.lost(B, pathTo(2), at(10_000));
  host.links([3], at(10_000));
  host.network.left(B, pathTo(2), at(11_000));
  assert.equal(host.way(2), "none");
  assert.equal(host.network.accepts(hostIp(2), hostIp(1)), false);
});

Deno.test("Network holds what vanished as the mesh was at rest, not as it was while neighbours noticed", () => {
  const host = new Host();
  host.view(viewOf([[0, 3], [3, 1], [1, 2]]), at(20_000)); // for a moment B and C seem to be behind D
  assert.equal(host.way(3), "4");
  host.view(viewOf([[0, 3]]), at(20_100));
  assert.equal(host.way(3), "2");
  assert.deepEqual(host.network.held(at(20_100)).map(({ shortId }) => shortId), [2, 3]);
  host.view(VIEW, at(21_000));
  assert.deepEqual(host.network.held(at(21_000)), []);
});

Deno.test("Network does not hold a short id that another peer has now", () => {
  const host = new Host();
  host.view(viewOf([[0, 3]], [1, -1, 2, 4, 5]), at(20_000));
  assert.deepEqual(host.network.held(at(20_000)), []);
  assert.equal(host.way(2), "none");
});

Deno.test("Network forgets held ways through a tunnel port that is gone, and to addresses that must be sealed", () => {
  const host = new Host();
  host.network.lost(B, pathTo(2), at(10_000));
  host.links([3], at(10_000));
  host.network.forgetPort(VXLAN, at(10_001));
  assert.equal(host.way(2), "none");
  const sealed = new Host();
  sealed.network.lost(B, pathTo(2), at(10_000));
  sealed.links([3], at(10_000), { sealed: new Set([hostIp(2)]) });
  assert.equal(sealed.way(2), "none");
  assert.equal(sealed.network.accepts(hostIp(2), hostIp(1)), false);
  assert.equal(sealed.network.mustBeSealed(hostIp(2)), true);
});

Deno.test("Network takes frames from addresses of clear links and of links that broke, at guarded addresses only", () => {
  const host = new Host();
  host.links([1, 3], at(0), { guardedAt: new Map([[hostIp(4), new Set([hostIp(1)])]]) });
  const { network } = host;
  assert.deepEqual([2, 3, 4].map((n) => network.accepts(hostIp(n), hostIp(1))), [true, false, true]);
  assert.deepEqual([2, 4].map((n) => network.accepts(hostIp(n), hostIp(200))), [true, false]);
  network.lost(B, pathTo(2), at(10_000));
  host.links([3], at(10_000));
  const before = network.acceptance(hostIp(2));
  network.refresh(at(10_000 + HOLD_MAX_MS - 1));
  assert.equal(network.accepts(hostIp(2), hostIp(1)), true);
  network.refresh(at(10_000 + HOLD_MAX_MS));
  assert.equal(network.accepts(hostIp(2), hostIp(1)), false);
  assert.notEqual(network.acceptance(hostIp(2)), before);
});

Deno.test("Network reaches a new neighbour over a link that will work in a moment, where there is no other way", () => {
  const host = new Host();
  const likely = new Map([[B, pathTo(2)], [D, pathTo(4)], [E, pathTo(5)]]);
  host.links([1, 3], at(1), { likely });
  assert.deepEqual(host.network.unicast(short(5)), { short: 5, path: pathTo(5) });
  assert.equal(host.flood(1), "2 4 5", "what we flood ourselves goes there");
  assert.equal(host.flood(2), "4", "what others flood does not");
});

Deno.test("Network believes flows of an earlier run for a minute", () => {
  const network = new Network();
  const knowledge = new AdoptedKnowledge(
    1,
    new Map([[short(3), short(2)]]),
    new Map([[short(1), [short(2)]]]),
  );
  network.adopt(knowledge, new Map([[short(2), pathTo(2)], [short(3), undefined]]), at(0));
  assert.equal(network.self, 1);
  assert.deepEqual([told(network.unicast(short(2))), told(network.unicast(short(3)))], ["2", "2"]);
  assert.equal(network.broadcast(short(1)).map(told).join(), "2");
  assert.equal(network.accepts(hostIp(2), hostIp(1)), true);
  network.refresh(at(ADOPT_GRACE_MS));
  assert.equal(told(network.unicast(short(2))), "none");
  assert.equal(network.accepts(hostIp(2), hostIp(1)), false);
});

Deno.test("Network says which peers have other short ids in a new view", () => {
  const host = new Host();
  const changed = host.view(viewOf([[0, 1], [0, 3], [1, 2]], [1, 7, 3, 5, 4]), at(1));
  assert.deepEqual(changed, {
    renamed: [{ from: 2, to: 7 }, { from: 4, to: 5 }, { from: 5, to: 4 }],
    reassigned: [4, 5],
  });
  assert.equal(host.network.shortOf(B), 7);
  assert.equal(host.way(7), "7");
});

Deno.test("Network translates numbers of peers for user space", () => {
  const { network } = new Host();
  assert.equal(network.shortOfNumber(peerNumber(B)), 2);
  assert.equal(network.numberOf(short(2)), peerNumber(B));
  assert.deepEqual([
    network.shortOfNumber(peerNumber("02:00:00:00:00:99" as PeerName)),
    network.numberOf(short(9)),
  ], [
    -1,
    -1,
  ]);
});

Deno.test("Network's signatures change when what they stand for does, and only then", () => {
  const host = new Host();
  const { network } = host;
  const signs = () =>
    [2, 3, 4].flatMap((n) => [network.unicastSignature(short(n)), network.broadcastSignature(short(n))]);
  const before = signs();
  host.view(VIEW, at(1));
  host.links([1, 3], at(2));
  assert.deepEqual(signs(), before);
  host.links([1], at(3));
  const after = signs();
  assert.deepEqual(after.map((text, i) => text !== before[i]), [false, true, false, true, true, false]);
});
