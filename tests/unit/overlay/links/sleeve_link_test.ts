import assert from "node:assert/strict";
import type { Endpoint, Ip } from "../../../../mod/core/addr.ts";
import { toHex } from "../../../../mod/core/bytes.ts";
import type { ConnUid } from "../../../../mod/core/names.ts";
import type { LinkId } from "../../../../mod/core/overlay_port.ts";
import type { Millis } from "../../../../mod/core/time.ts";
import { LinkSwitch } from "../../../../mod/overlay/links/link_switch.ts";
import { type SleeveEvent, SleeveLink } from "../../../../mod/overlay/links/sleeve_link.ts";
import { loadVectors } from "../../vectors.ts";
import { ACCEPTOR, DIALER, SleevePair, UID } from "./sleeve_pair.ts";

const LINK = 1 as LinkId;
const at = (ms: number) => ms as Millis;
const kinds = (events: readonly SleeveEvent[]) =>
  events.map((e) => e.kind === "special" ? e.frame.kind : e.kind);
const captured = loadVectors("dataplane-captured");

/** One end alone. */
function made(outbound = true, remote = ACCEPTOR): SleeveLink {
  return new SleeveLink({ link: LINK, connUid: UID, outbound, remote, port: 6783, sealed: false });
}

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
  const link = made();
  link.confirm(at(0));
  for (const now of [20, 60, 140]) link.wake(at(now));
  link.received({ kind: "heartbeat", connUid: UID }, ACCEPTOR, at(200));
  assert.equal(link.nextWake(), 220);
});

Deno.test("SleeveLink beats every 500 ms after the first quick ones while nothing is heard", () => {
  const link = made();
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
  assert.match(
    acceptor.why(at(3_000))!,
    /^waiting for the peer's first heartbeat .* blocks UDP 6783 of this host$/,
  );
  dialer.received({ kind: "heartbeat", connUid: UID }, ACCEPTOR, at(3_100));
  assert.match(
    dialer.why(at(3_100))!,
    /does not answer ours: a firewall blocks UDP towards 192\.0\.2\.2:6783$/,
  );
  assert.ok(acceptor.nextWake() === 60_000, "nothing to send before there is an address");
});

Deno.test("SleeveLink does not work while nothing arrives from the peer, and says at which end", () => {
  for (const beat of [false, true]) {
    const pair = new SleevePair({ blocked: [true, false] }, { beat }).confirm().run(20_000);
    assert.deepEqual(pair.happened, ["1 moved"]);
    const [deaf, other] = pair.links.map((link) => link.why(pair.now)!);
    assert.equal(
      deaf,
      "nothing arrives from the peer over UDP, although it hears this host: " +
        "let this host's firewall accept UDP 6783 from 192.0.2.2",
    );
    assert.match(other!, /does not answer ours: a firewall blocks UDP towards 192\.0\.2\.1:6783$/);
    pair.path.blocked = [false, false];
    pair.run(1_000);
    assert.deepEqual(pair.links.map((link) => [link.established, link.why(pair.now)]), [
      [true, undefined],
      [true, undefined],
    ]);
  }
});

Deno.test("SleeveLink takes nothing before it is confirmed, of other connections, or unasked", () => {
  const link = made();
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
  assert.deepEqual(link.control(1, new Uint8Array(0), at(2)), []);
  assert.deepEqual(kinds(link.received(beat, ACCEPTOR, at(3))), [
    "control",
    "established",
    "frag-test",
    "mtu-probe",
  ]);
  assert.deepEqual(link.control(1, new Uint8Array(0), at(4)), [], "once");
});

Deno.test("SleeveLink sends nothing before it knows where to, and what fits afterwards", () => {
  const link = made(false, DIALER);
  const frame = { bytes: new Uint8Array(60), from: 0, to: 60, longest: 60, broadcast: false };
  link.confirm(at(0));
  assert.equal(link.channel(frame), "drop");
  link.received({ kind: "heartbeat", connUid: UID }, DIALER, at(1));
  assert.equal(link.channel(frame), "plain");
});

Deno.test("SleeveLink's words fit into a switch, and bare for very old peers", () => {
  const link = made();
  link.confirm(at(0));
  const [ack] = link.received({ kind: "heartbeat", connUid: UID }, ACCEPTOR, at(1));
  assert.ok(ack?.kind === "control");
  for (const [bare, index, expected] of [[false, 1, "070101"], [true, 0, "01"]] as const) {
    const slots = new LinkSwitch([], { sealed: false, bare, noFastdp: undefined });
    const [send] = slots.take(index, [ack], at(1));
    assert.equal(send?.kind === "send" && toHex(send.message), expected);
  }
});

Deno.test("SleeveLink confirms to peers of other makes no probe above what containers here take", () => {
  const ends = { link: LINK, connUid: UID, outbound: true, remote: ACCEPTOR, port: 6783, sealed: false };
  for (const beat of [false, true]) {
    const link = new SleeveLink({ ...ends, mtu: 1_410, beat });
    link.confirm(at(0));
    const confirmed = (mtu: number) => link.received({ kind: "mtu-probe", mtu }, ACCEPTOR, at(1)).length > 0;
    assert.deepEqual([confirmed(1_410), confirmed(1_411)], [true, beat], "ours fill datagrams up to it");
  }
});
