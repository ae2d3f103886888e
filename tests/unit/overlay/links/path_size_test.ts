import assert from "node:assert/strict";
import { FRAG_TEST_MS, MTU_RECHECK_MS } from "../../../../mod/overlay/links/path_size.ts";
import type { SleeveEvent } from "../../../../mod/overlay/links/sleeve_link.ts";
import { loadVectors } from "../../vectors.ts";
import { SleevePair } from "./sleeve_pair.ts";

const mtus = (interfaceMtu: number, routeMtu = interfaceMtu) => ({ interfaceMtu, routeMtu });
const kinds = (events: readonly SleeveEvent[]) =>
  events.map((e) => e.kind === "special" ? e.frame.kind : e.kind);
const captured = loadVectors("dataplane-captured");

Deno.test("a sealed SleeveLink settles at the MTU of the original", () => {
  const pair = new SleevePair({}, { sealed: true }).confirm().run(3_000);
  assert.deepEqual(pair.links.map((link) => link.mtu), [1414, 1414]);
  const ipv6 = new SleevePair({}, { sealed: true, ipv6: true }).confirm().run(3_000);
  assert.deepEqual(ipv6.links.map((link) => link.mtu), [1394, 1394]);
});

Deno.test("the MTU search takes the captured steps where a later link is smaller and silent", () => {
  const { steps, final_mtu, duration_s } = captured.mtu_search;
  const pair = new SleevePair({ silent: 1400 }).confirm().run(20_000);
  // That sizes are lost is known after the first one; the sizes below are given up sooner than by the original.
  const rows = steps.map((step: { candidate: number; probes: number }, i: number) => [
    step.candidate,
    i === 0 ? step.probes : Math.min(step.probes, 6),
  ]);
  assert.deepEqual(pair.probes(0), rows);
  assert.deepEqual(pair.probes(1), rows);
  assert.deepEqual(pair.links.map((link) => link.mtu), [final_mtu, final_mtu]);
  const probes = pair.sent.filter((row) => row.by === 0 && row.frame.kind === "mtu-probe");
  const seconds = (probes.at(-1)!.at + 320 - probes[1]!.at) / 1_000;
  assert.ok(seconds < duration_s / 2, `took ${seconds} s`);
});

Deno.test("the MTU search finds the MTU of paths of all sizes, also lossy ones", () => {
  for (const lossPermille of [0, 100, 200]) {
    for (
      const [pmtu, silent] of [[1280, 1280], [1500, 1410], [1410, 1410], [9000, 9000], [9000, 1500], [
        1500,
        614,
      ]]
    ) {
      const pair = new SleevePair({ pmtu: pmtu!, silent: silent!, lossPermille, delay: 3 }).confirm().run(
        60_000,
      );
      for (const link of pair.links) {
        assert.ok(link.established);
        assert.equal(link.mtu, silent! - 62, `${pmtu} ${silent} ${lossPermille}`);
      }
    }
  }
});

Deno.test("a MTU that shrinks unnoticed is found within seconds while full-size frames go out", () => {
  const pair = new SleevePair().confirm().run(5_000);
  const [link] = pair.links;
  pair.run(10_000);
  assert.deepEqual(pair.probes(0), [[1438, 1]], "nobody depends on it");
  assert.ok(link.nextWake() >= pair.now + 4_000, "and nothing wakes for it");
  pair.large(0);
  pair.run(10_000);
  assert.deepEqual(pair.probes(0), [[1438, 2]], "still good");
  pair.path.silent = 1400;
  pair.large(0);
  pair.run(MTU_RECHECK_MS + 2_700);
  assert.equal(link.mtu, 1327, "what is proven so far, while larger sizes are still tried");
  assert.equal(link.maxPayload, 1361);
  assert.ok(link.unsettled, "and nobody is told of it");
  pair.run(3_000);
  assert.equal(link.mtu, 1338);
  assert.ok(!link.unsettled);
});

Deno.test("a path that shrinks unnoticed below what is really sent is found, however much larger the MTU is", () => {
  for (const payload of [700, 1_000, 1_300]) {
    const pair = new SleevePair({}, { beat: true }).confirm().run(5_000);
    const [link] = pair.links;
    pair.talk(0, 50);
    pair.large(0, payload);
    pair.run(3_500);
    assert.equal(pair.probes(0).at(-1)![0], payload - 34, "the size that is sent is proven");
    assert.equal(link.mtu, 1438);
    pair.path.silent = payload + 28 - 1;
    const end = pair.now + MTU_RECHECK_MS + 2_600;
    while (pair.now < end) {
      pair.large(0, payload);
      pair.run(100);
    }
    assert.ok(link.mtu < payload - 34, `${link.mtu} is less than what is lost`);
    pair.run(4_000);
    assert.equal(link.mtu, payload - 34 - 1);
  }
});

Deno.test("a path that carries nothing for a while says nothing about sizes", () => {
  const pair = new SleevePair({}, { beat: true }).confirm().run(5_000);
  const [link] = pair.links;
  pair.talk(0, 50);
  pair.large(0);
  pair.run(2_900);
  pair.path.blocked = [true, true];
  pair.run(10_000);
  assert.ok(link.onHold);
  assert.equal(link.mtu, 1438);
  const probes = pair.probes(0).length;
  pair.run(60_000);
  assert.equal(pair.probes(0).length, probes, "nor is it searched for ever");
  pair.path.blocked = [false, false];
  pair.path.silent = 1400;
  pair.run(60_000);
  assert.ok(!link.onHold);
  assert.equal(link.mtu, 1338, "once it is back it is looked at");
});

Deno.test("what routers are said to have told the kernel is tried, and believed no more than anything else", () => {
  const forged = new SleevePair({ believed: 552 }).confirm().run(10_000);
  const [link] = forged.links;
  for (let i = 0; i < 20; i++) {
    forged.large(0);
    forged.take(0, link.tooBig(mtus(1500, 552), forged.now));
    assert.equal(link.mtu, 1438);
    forged.run(1_000);
    assert.equal(link.mtu, 1438);
  }
  assert.deepEqual([...new Set(forged.probes(0).map(([mtu]) => mtu))], [1438]);
  const honest = new SleevePair({ believed: 1400, silent: 1400 }).confirm().run(3_300);
  assert.equal(honest.links[0].mtu, 1338, "no search where the kernel is right");
  assert.deepEqual(honest.probes(0).map(([mtu]) => mtu), [1438, 1338, 1339]);
  const stale = new SleevePair({ believed: 700, silent: 1400 }).confirm().run(10_000);
  assert.equal(stale.links[0].mtu, 1338);
});

Deno.test("a path that swallows large packets is asked at once whether it swallows fragments, too", () => {
  const pair = new SleevePair().confirm().run(5_000);
  const [link] = pair.links;
  assert.equal(link.fragmentsArrive, true);
  pair.path.silent = 1400;
  pair.path.fragments = false;
  pair.large(0);
  pair.run(MTU_RECHECK_MS + 2_700);
  assert.equal(link.fragmentsArrive, false);
  pair.path.fragments = true;
  pair.run(10_500);
  assert.equal(link.mtu, 1338);
  pair.run(FRAG_TEST_MS);
  assert.equal(link.fragmentsArrive, true);
});

Deno.test("a path that carries more again is found by the next test, and one that does not stays as it was", () => {
  const pair = new SleevePair({ silent: 1400 }, { fragTestMs: 30_000 }).confirm().run(25_000);
  const [link] = pair.links;
  assert.equal(link.mtu, 1338);
  pair.run(20_000);
  assert.equal(link.mtu, 1338);
  pair.path.silent = 1500;
  pair.run(30_000);
  assert.deepEqual([link.mtu, link.maxPayload], [1438, 1472]);
});

Deno.test("the kernel's word of a smaller path starts the search anew, a larger one while searching does not", () => {
  const pair = new SleevePair({ silent: 1400 }).confirm().run(4_000);
  const [link] = pair.links;
  assert.deepEqual(link.tooBig(mtus(1500), pair.now), []);
  pair.path.pmtu = 1300;
  const events = link.tooBig(mtus(1300), pair.now);
  assert.deepEqual(kinds(events), ["mtu-probe"]);
  pair.take(0, events);
  pair.run(1_000);
  assert.deepEqual([link.mtu, link.maxPayload], [1238, 1272]);
  assert.deepEqual(link.tooBig(mtus(100), pair.now), [], "nothing of use fits");
});

Deno.test("SleeveLink probes no size that would pass for a fragmentation test", () => {
  const { links, now } = new SleevePair().confirm().run(3_000);
  const [event] = links[0].tooBig(mtus(59_987 + 62), now);
  assert.deepEqual(event, { kind: "special", df: true, frame: { kind: "mtu-probe", mtu: 59_986 } });
  const [largest] = links[1].tooBig(mtus(65_536), now);
  assert.deepEqual(largest, { kind: "special", df: true, frame: { kind: "mtu-probe", mtu: 65_473 } });
});
