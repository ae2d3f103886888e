import assert from "node:assert/strict";
import { SleevePair } from "./sleeve_pair.ts";

/** Two ends that ask and answer, at rest. */
function watched(path: ConstructorParameters<typeof SleevePair>[0] = {}): SleevePair {
  const pair = new SleevePair(path, { beat: true, fragTestMs: Infinity }).confirm().run(30_000);
  assert.deepEqual(pair.links.map((link) => link.established), [true, true]);
  pair.happened.length = 0;
  return pair;
}

/** Milliseconds from now until something happens. */
function until(pair: SleevePair, what: string): number {
  const from = pair.now;
  while (!pair.happened.includes(what) && pair.now - from < 60_000) pair.run(10);
  return pair.now - from;
}

for (
  const [title, blocked] of [
    ["both directions", [true, true]],
    ["the way there", [false, true]],
    ["the way back", [true, false]],
  ] as const
) {
  Deno.test(`SleeveWatch notices the loss of ${title} within three seconds while one end sends`, () => {
    for (let moment = 0; moment < 1_000; moment += 130) {
      const pair = watched();
      pair.talk(0, 100);
      pair.run(5_000 + moment);
      assert.deepEqual(pair.happened, []);
      pair.path.blocked = blocked;
      const ms = until(pair, "0 health false");
      assert.ok(ms <= 2_900, `after ${ms} ms`);
      assert.match(pair.links[0].why(pair.now)!, /^the peer has not answered for 2 s: a firewall blocks UDP/);
    }
  });

  Deno.test(`SleeveWatch notices that ${title} was lost already when an end begins to send`, () => {
    const pair = watched();
    pair.path.blocked = blocked;
    pair.run(25_000);
    assert.deepEqual(pair.happened, []);
    pair.talk(0, 400);
    assert.ok(until(pair, "0 health false") <= 2_100);
  });
}

Deno.test("SleeveWatch finds a link again that answers, at both ends alike", () => {
  const pair = watched();
  pair.talk(0, 100);
  pair.talk(1, 100);
  pair.run(3_000);
  pair.path.blocked = [true, true];
  pair.run(10_000);
  assert.deepEqual(pair.happened.toSorted(), ["0 health false", "1 health false"]);
  pair.path.blocked = [false, false];
  pair.run(11_100);
  assert.deepEqual(pair.links.map((link) => link.onHold), [false, false]);
});

Deno.test("SleeveWatch costs nothing while the link is idle: the heartbeats that were there before", () => {
  const pair = watched();
  const old = new SleevePair({}, { fragTestMs: Infinity }).confirm().run(30_000);
  for (const each of [pair, old]) {
    each.sent.length = 0;
    each.run(600_000);
  }
  assert.ok(pair.sent.length <= old.sent.length, `${pair.sent.length} instead of ${old.sent.length}`);
  const by = [0, 1].map((end) => pair.sent.filter((row) => row.by === end && row.frame.kind === "beat"));
  for (const rows of by) {
    assert.ok(rows.some(({ frame }) => frame.kind === "beat" && frame.ask), "both ends ask");
    rows.forEach(({ at }, i) => assert.ok(at - (rows[i - 1]?.at ?? at) <= 10_100, "NAT would forget"));
  }
});

Deno.test("SleeveWatch returns to the idle rhythm soon after traffic has ended", () => {
  const pair = watched();
  pair.talk(0, 100);
  pair.run(10_000);
  const busy = pair.sent.filter((row) => row.by === 0 && row.at >= pair.now - 8_000).length;
  assert.ok(busy >= 9 && busy <= 11, `${busy} questions in 8 s`);
  pair.talk(0, 0);
  pair.run(3_000);
  pair.sent.length = 0;
  pair.run(60_000);
  assert.ok(pair.sent.length <= 13, `${pair.sent.length}`);
});

Deno.test("SleeveWatch keeps the round trip up to date, smoothed, at both ends and also when idle", () => {
  const pair = watched({ delay: 5 });
  assert.deepEqual(pair.links.map((link) => link.rttMs), [10, 10]);
  pair.path.delay = 20;
  pair.run(300_000);
  for (const { rttMs } of pair.links) assert.ok(rttMs! > 33 && rttMs! <= 40, `${rttMs}`);
  pair.path.delay = 5;
  pair.talk(0, 100);
  pair.run(15_000);
  assert.ok(pair.links[0].rttMs! < 12, `${pair.links[0].rttMs}`);
});

Deno.test("SleeveWatch measures again soon after the beginning, when daemons are busy; a shorter round trip counts at once", () => {
  const pair = new SleevePair({ delay: 13 }, { beat: true, fragTestMs: Infinity }).confirm().run(300);
  assert.ok(pair.links.some(({ rttMs }) => rttMs === 26));
  pair.path.delay = 0.1;
  pair.run(1_200);
  assert.ok(pair.links.some(({ rttMs }) => rttMs! < 1), "the first to ask");
  pair.run(12_000);
  for (const { rttMs } of pair.links) assert.ok(rttMs! < 1, `${rttMs}`);
});

Deno.test("SleeveWatch believes in a link that loses a third of all packets, or floods that fill a socket", () => {
  const lossy = watched({ lossPermille: 333 });
  const flooded = watched();
  for (const pair of [lossy, flooded]) {
    pair.talk(0, 5);
    pair.talk(1, 5);
    pair.run(1_000);
  }
  flooded.path.lossPermille = 900;
  for (const pair of [lossy, flooded]) {
    pair.run(120_000);
    assert.deepEqual(pair.happened, []);
  }
});

Deno.test("SleeveWatch shows within moments whether it can take over from a better overlay", () => {
  const good = watched();
  good.take(0, good.links[0].verify(good.now));
  good.run(5_000);
  assert.deepEqual(good.happened, []);
  good.path.blocked = [true, true];
  good.take(0, good.links[0].verify(good.now));
  assert.ok(until(good, "0 health false") <= 650);
});

Deno.test("SleeveWatch blames itself when it wakes late", () => {
  const pair = watched();
  pair.talk(0, 100);
  pair.run(3_000);
  const [link] = pair.links;
  const late = pair.now + 5_000 as typeof pair.now;
  assert.ok(!link.wake(late).some((event) => event.kind === "health"));
});

Deno.test("SleeveWatch takes answers to its own questions only", () => {
  const pair = watched();
  const [link] = pair.links;
  pair.talk(0, 100);
  pair.run(1_000);
  pair.path.blocked = [true, true];
  for (let i = 0; i < 40; i++) {
    pair.run(100);
    const beat = { kind: "beat", connUid: link.options.connUid, ask: false, seq: 40_000 } as const;
    pair.take(0, link.received(beat, pair.addresses[1], pair.now));
    pair.take(0, link.received({ ...beat, connUid: 1n as never, ask: true }, pair.addresses[1], pair.now));
    pair.take(0, link.control(5, new Uint8Array(1), pair.now));
  }
  assert.deepEqual(pair.happened, ["0 health false"]);
});

Deno.test("SleeveLink without the extension knows no beats", () => {
  const pair = new SleevePair().confirm().run(30_000);
  pair.talk(0, 100);
  pair.run(30_000);
  assert.ok(pair.sent.every(({ frame }) => frame.kind !== "beat"));
  const beat = { kind: "beat", connUid: pair.links[0].options.connUid, ask: true, seq: 1 } as const;
  assert.deepEqual(pair.links[0].received(beat, pair.addresses[1], pair.now), []);
  assert.deepEqual(pair.links[0].control(4, new Uint8Array(2), pair.now), []);
});

Deno.test("SleeveWatch measures the round trip soon where the first heartbeats came too early to do so", () => {
  const pair = new SleevePair({}, { beat: true });
  pair.take(0, pair.links[0].confirm(pair.now));
  pair.run(100);
  pair.take(1, pair.links[1].confirm(pair.now));
  pair.run(3_000);
  assert.deepEqual(pair.links.map((link) => link.rttMs), [2, 2]);
});

Deno.test("SleeveLink has a likely way as soon as the peer was heard, and as long as it is not on hold", () => {
  const pair = new SleevePair({}, { beat: true });
  pair.links.forEach((link) => link.setPort(3 as never));
  pair.take(0, pair.links[0].confirm(pair.now));
  assert.equal(pair.links[0].likelyPath, undefined);
  pair.take(1, pair.links[1].confirm(pair.now));
  pair.run(10);
  for (const { likelyPath } of pair.links) assert.deepEqual(likelyPath, { kind: "sleeve", port: 3, link: 1 });
  pair.talk(0, 100);
  pair.path.blocked = [true, true];
  pair.run(3_000);
  assert.equal(pair.links[0].likelyPath, undefined);
});

Deno.test("SleeveLinks follow an end that moves, at once under traffic or when it is told, and find the new MTU by themselves", () => {
  for (const told of [false, true]) {
    const pair = watched();
    if (!told) pair.talk(0, 100);
    pair.run(5_000);
    pair.addresses[0] = { ...pair.addresses[0], port: 9 };
    pair.path.pmtu = 1400;
    pair.controlsLost = true; // the connection was between the old addresses
    if (told) pair.take(0, pair.links[0].announce(pair.now));
    pair.run(told ? 5 : 810);
    assert.deepEqual(pair.links[1].remote, pair.addresses[0]);
    pair.run(1_000);
    assert.deepEqual([pair.links[1].mtu, pair.links[1].onHold], [1338, false]);
  }
});

Deno.test("SleeveLink announces itself to old peers too, and to nobody before it knows where to", () => {
  const pair = new SleevePair();
  assert.deepEqual(pair.links[0].announce(pair.now), []);
  pair.take(1, pair.links[1].confirm(pair.now));
  assert.deepEqual(pair.links[1].announce(pair.now), []);
  pair.take(0, pair.links[0].confirm(pair.now));
  pair.run(1_000);
  assert.deepEqual(pair.links.flatMap((link) => link.announce(pair.now)).map((event) => event.kind), [
    "special",
    "special",
  ]);
});
