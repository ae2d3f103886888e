import assert from "node:assert/strict";
import type { Endpoint, Ip } from "../../../../mod/core/addr.ts";
import { toHex } from "../../../../mod/core/bytes.ts";
import type { ConnUid } from "../../../../mod/core/names.ts";
import type { LinkId } from "../../../../mod/core/overlay_port.ts";
import type { Millis } from "../../../../mod/core/time.ts";
import { LinkSwitch } from "../../../../mod/overlay/links/link_switch.ts";
import { FRAG_TEST_MS, MTU_RECHECK_MS } from "../../../../mod/overlay/links/path_size.ts";
import { type SleeveEvent, SleeveLink } from "../../../../mod/overlay/links/sleeve_link.ts";
import { loadVectors } from "../../vectors.ts";
import { ACCEPTOR, DIALER, SleevePair, UID } from "./sleeve_pair.ts";

const LINK = 1 as LinkId;
const at = (ms: number) => ms as Millis;
const mtus = (interfaceMtu: number, routeMtu = interfaceMtu) => ({ interfaceMtu, routeMtu });
const kinds = (events: readonly SleeveEvent[]) =>
  events.map((e) => e.kind === "special" ? e.frame.kind : e.kind);
const captured = loadVectors("dataplane-captured");

Deno.test("two SleeveLinks come up with the messages that the original exchanges", () => {
  const pair = new SleevePair().confirm().run(3_000);
  assert.deepEqual(pair.happened.toSorted(), ["0 established", "1 established", "1 moved"]);
  for (const by of [0, 1]) {
    const link = pair.links[by]!;
    const said = pair.controls.filter((row) => row.by === by);
    const expected = captured.control_sequence_sleeve_only[["connecting", "accepting"][by]!];
    assert.deepEqual(said.map((row) => "0700" + toHex(Uint8Array.of(row.tag, ...row.payload))), expected);
    assert.deepEqual([link.established, link.mtu, link.maxPayload, link.fragmentsArrive], [
      true,
      1438,
      1472,
      true,
    ]);
    assert.equal(link.why(pair.now), undefined);
    assert.deepEqual(pair.probes(by), [[1438, 1]]);
  }
  assert.equal(pair.links[0].rttMs, 2);
  assert.deepEqual(pair.links[1].remote, DIALER);
});

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

Deno.test("SleeveLink learns the address, follows it, and looks at the new path", () => {
  const pair = new SleevePair().confirm().run(12_000);
  pair.happened.length = 0;
  const moved: Endpoint = { ip: "198.51.100.7" as Ip, port: 1_234 };
  pair.addresses[0] = moved;
  pair.path.pmtu = 1400;
  pair.run(11_000);
  assert.deepEqual(pair.happened, ["1 moved"]);
  assert.deepEqual(pair.links[1].remote, moved);
  assert.deepEqual(pair.links[0].remote, ACCEPTOR);
  assert.equal(pair.links[1].mtu, 1338);
});

Deno.test("SleeveLink does not run to and fro between two addresses", () => {
  const pair = new SleevePair().confirm().run(12_000);
  const [link] = pair.links;
  const other: Endpoint = { ...ACCEPTOR, port: 9 };
  const moves: number[] = [];
  for (let now = 12_000; now < 15_000; now += 10) {
    const source = (now / 10) % 2 === 0 ? ACCEPTOR : other;
    const events = link.received({ kind: "heartbeat", connUid: UID }, source, at(now));
    if (kinds(events).includes("moved")) moves.push(now);
  }
  assert.deepEqual(moves, [12_010, 13_020, 14_030]);
});

Deno.test("SleeveLink beats again soon after the peer shows that it is ready", () => {
  const pair = new SleevePair();
  pair.take(0, pair.links[0].confirm(pair.now));
  pair.run(100);
  pair.take(1, pair.links[1].confirm(pair.now));
  pair.run(100);
  assert.deepEqual(pair.sent.filter((row) => row.by === 0).map((row) => row.at).slice(0, 4), [
    0,
    20,
    60,
    140,
  ]);
  assert.deepEqual(pair.links.map((link) => link.established), [true, true]);
  const link = new SleeveLink({ link: LINK, connUid: UID, outbound: true, remote: ACCEPTOR, sealed: false });
  link.confirm(at(0));
  for (const now of [20, 60, 140]) link.wake(at(now));
  link.received({ kind: "heartbeat", connUid: UID }, ACCEPTOR, at(200));
  assert.equal(link.nextWake(), 220);
});

Deno.test("SleeveLink beats every 500 ms after the first quick ones while nothing is heard", () => {
  const link = new SleeveLink({ link: LINK, connUid: UID, outbound: true, remote: ACCEPTOR, sealed: false });
  link.confirm(at(0));
  const beats: number[] = [];
  for (let now = 0; now < 2_500; now = link.nextWake()) if (link.wake(at(now)).length > 0) beats.push(now);
  assert.deepEqual(beats, [20, 60, 140, 300, 620, 1_120, 1_620, 2_120]);
});

Deno.test("SleeveLink is put on hold by silence and comes back when the peer is heard again", () => {
  const pair = new SleevePair().confirm().run(12_000);
  pair.happened.length = 0;
  pair.path.blocked = [true, false];
  pair.run(70_000);
  assert.deepEqual(pair.happened, ["0 health false"]);
  assert.ok(pair.links[0].onHold && !pair.links[1].onHold);
  assert.equal(
    pair.links[0].why(pair.now),
    "no heartbeat from the peer for 60 s: a firewall blocks UDP, or the way to 192.0.2.2:6783 is broken",
  );
  pair.path.blocked = [false, false];
  pair.run(11_000);
  assert.deepEqual(pair.happened, ["0 health false", "0 health true"]);
  assert.equal(pair.links[0].why(pair.now), undefined);
});

Deno.test("SleeveLink tests fragments every five minutes and trusts only an answer", () => {
  const pair = new SleevePair().confirm().run(200_000);
  assert.deepEqual(pair.links.map((link) => link.fragmentsArrive), [true, true]);
  pair.path.fragments = false;
  pair.run(150_000);
  assert.deepEqual(pair.links.map((link) => link.fragmentsArrive), [false, false]);
  const tests = pair.sent.filter((row) => row.by === 0 && row.frame.kind === "frag-test");
  assert.equal(tests.length, 2);
  assert.equal(tests[1]!.at - tests[0]!.at, 300_000);
  assert.ok(tests.every((row) => !row.df));
});

Deno.test("SleeveLink keeps the way through a NAT open: never ten seconds without a datagram", () => {
  const pair = new SleevePair({ lossPermille: 300 }).confirm().run(120_000);
  for (const by of [0, 1]) {
    const times = pair.sent.filter((row) => row.by === by).map((row) => row.at);
    times.forEach((time, i) => assert.ok(time - (times[i - 1] ?? time) <= 10_000));
  }
  assert.deepEqual(pair.links.map((link) => link.onHold), [false, false]);
});

Deno.test("SleeveLink says what it is waiting for", () => {
  const made = (outbound: boolean) =>
    new SleeveLink({ link: LINK, connUid: UID, outbound, remote: ACCEPTOR, sealed: false });
  const [dialer, acceptor] = [made(true), made(false)];
  assert.equal(dialer.why(at(0)), "the mesh has not confirmed the connection yet");
  dialer.confirm(at(0));
  acceptor.confirm(at(0));
  assert.equal(dialer.why(at(10)), "testing the path with heartbeats over UDP");
  while (dialer.nextWake() <= 3_000) dialer.wake(at(dialer.nextWake()));
  assert.equal(
    dialer.why(at(3_000)),
    "no answer to heartbeats over UDP: a firewall blocks UDP 6783 of 192.0.2.2",
  );
  assert.match(acceptor.why(at(3_000))!, /^waiting for the peer's first heartbeat .* blocks our UDP port$/);
  dialer.received({ kind: "heartbeat", connUid: UID }, ACCEPTOR, at(3_100));
  assert.match(
    dialer.why(at(3_100))!,
    /does not answer ours: a firewall blocks UDP towards 192\.0\.2\.2:6783$/,
  );
  assert.ok(acceptor.nextWake() === 60_000, "nothing to send before there is an address");
});

Deno.test("SleeveLink takes nothing before it is confirmed, of other connections, or unasked", () => {
  const link = new SleeveLink({ link: LINK, connUid: UID, outbound: true, remote: ACCEPTOR, sealed: false });
  const beat = { kind: "heartbeat", connUid: UID } as const;
  assert.deepEqual(link.received(beat, ACCEPTOR, at(0)), []);
  assert.deepEqual(link.control(1, new Uint8Array(0), at(0)), []);
  link.confirm(at(0));
  assert.deepEqual(link.confirm(at(0)), []);
  assert.deepEqual(link.received({ kind: "heartbeat", connUid: 1n as ConnUid }, DIALER, at(1)), []);
  assert.deepEqual(link.remote, ACCEPTOR);
  link.control(2, new Uint8Array(0), at(1));
  assert.ok(!link.fragmentsArrive);
  for (let tag = 3; tag < 256; tag++) {
    for (const size of [0, 1, 2, 64]) assert.deepEqual(link.control(tag, new Uint8Array(size), at(1)), []);
  }
  assert.ok(!link.established);
  assert.deepEqual(kinds(link.control(1, new Uint8Array(0), at(2))), [
    "established",
    "frag-test",
    "mtu-probe",
  ]);
  assert.deepEqual(link.control(1, new Uint8Array(0), at(3)), [], "once");
});

Deno.test("SleeveLink sends nothing before it knows where to, and what fits afterwards", () => {
  const link = new SleeveLink({ link: LINK, connUid: UID, outbound: false, remote: DIALER, sealed: false });
  const frame = { bytes: new Uint8Array(60), from: 0, to: 60, longest: 60, broadcast: false };
  link.confirm(at(0));
  assert.equal(link.channel(frame), "drop");
  link.received({ kind: "heartbeat", connUid: UID }, DIALER, at(1));
  assert.equal(link.channel(frame), "plain");
});

Deno.test("SleeveLink's words fit into a switch, and bare for very old peers", () => {
  const link = new SleeveLink({ link: LINK, connUid: UID, outbound: true, remote: ACCEPTOR, sealed: false });
  link.confirm(at(0));
  const [ack] = link.received({ kind: "heartbeat", connUid: UID }, ACCEPTOR, at(1));
  assert.ok(ack?.kind === "control");
  for (const [bare, index, expected] of [[false, 1, "070101"], [true, 0, "01"]] as const) {
    const slots = new LinkSwitch([], { sealed: false, bare, noFastdp: undefined });
    const [send] = slots.take(index, [ack], at(1));
    assert.equal(send?.kind === "send" && toHex(send.message), expected);
  }
});
