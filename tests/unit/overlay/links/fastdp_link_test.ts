import assert from "node:assert/strict";
import type { Ip } from "../../../../mod/core/addr.ts";
import type { ConnUid } from "../../../../mod/core/names.ts";
import type { Millis } from "../../../../mod/core/time.ts";
import type { EspSession } from "../../../../mod/overlay/links/esp_session.ts";
import { FastdpLink } from "../../../../mod/overlay/links/fastdp_link.ts";
import type { ForwarderEvent } from "../../../../mod/overlay/links/forwarder.ts";
import { promiseOf } from "../../../../mod/wire/mesh/heartbeat.ts";
import type { PortNo } from "../../../../mod/wire/netlink/ovs_keys.ts";
import type { Vni } from "../../../../mod/wire/packet/vxlan.ts";
import { init, receiving, session } from "./esp_kit.ts";

const at = (ms: number) => ms as Millis;
const TUNNEL = { port: 1 as PortNo, vni: 0x2001 as Vni };
const REMOTE = "192.0.2.2" as Ip;
const ACK = new Uint8Array(0);

const OPTIONS = {
  connUid: 1n as ConnUid,
  local: "192.0.2.1" as Ip,
  remote: REMOTE,
  udpPort: 6784,
  mtu: 1376,
};

function made(options: { readonly beat?: true } = {}): FastdpLink {
  const link = new FastdpLink({ ...OPTIONS, ...options });
  link.setTunnel(TUNNEL, at(0));
  return link;
}
const kinds = (events: readonly ForwarderEvent[]) => events.map((event) => event.kind);

/** Runs the link to a time; returns when it sent heartbeats. */
function beats(link: FastdpLink, until: number): number[] {
  const times: number[] = [];
  for (let guard = 0; link.nextWake() <= until; guard++) {
    assert.ok(guard < 10_000);
    const now = link.nextWake();
    if (kinds(link.wake(at(now))).includes("frame")) times.push(now);
  }
  return times;
}

Deno.test("FastdpLink beats at once when confirmed, then every 500 ms until answered, then every 10 s", () => {
  const link = made();
  assert.equal(link.nextWake(), Infinity);
  const [first] = link.confirm(at(0));
  assert.equal(first?.kind, "frame");
  assert.deepEqual(first?.kind === "frame" && first.action, {
    kind: "tunnel",
    port: 1,
    tunnel: { id: 0x2001, src: "192.0.2.1", dst: REMOTE },
    df: true,
  }, "it proves what the path carries in one piece");
  assert.deepEqual(beats(link, 1_600), [500, 1_000, 1_500]);
  link.heard(REMOTE, at(1_650));
  assert.deepEqual(kinds(link.control(0, ACK, at(1_660))), ["established"]);
  assert.deepEqual(link.control(0, ACK, at(1_701)), [], "once");
  assert.deepEqual(beats(link, 35_000), [11_660, 21_660, 31_660]);
  assert.equal(link.rttMs, undefined, "nobody knows which heartbeat was answered");
});

Deno.test("FastdpLink measures the round trip when the first heartbeat is answered", () => {
  const link = made();
  link.confirm(at(100));
  link.control(0, ACK, at(103));
  link.heard(REMOTE, at(104));
  assert.deepEqual([link.rttMs, link.rttAt, link.heardAt], [3, 103, 104]);
  assert.equal(link.why(at(104)), undefined);
});

Deno.test("FastdpLink acknowledges once and follows the peer's address", () => {
  const link = made();
  assert.deepEqual(link.heard(REMOTE, at(0)), [], "not before the mesh keeps the connection");
  link.confirm(at(0));
  assert.deepEqual(kinds(link.heard(REMOTE, at(1))), ["control"]);
  assert.deepEqual(link.heard(REMOTE, at(2)), []);
  assert.deepEqual(kinds(link.heard("198.51.100.7" as Ip, at(3))), ["moved"]);
  assert.equal(link.path?.remote, "198.51.100.7");
});

Deno.test("FastdpLink does not wait for its next turn once the peer has shown that it is ready", () => {
  const link = made();
  link.confirm(at(0));
  link.heard(REMOTE, at(100));
  assert.equal(link.nextWake(), 120);
  assert.deepEqual(kinds(link.wake(at(120))), ["frame"]);
  link.heard(REMOTE, at(130));
  assert.equal(link.nextWake(), 620);
});

Deno.test("FastdpLink goes on hold after 60 s of silence, keeps trying, and comes back", () => {
  const link = made();
  link.confirm(at(0));
  link.control(0, ACK, at(10));
  link.heard(REMOTE, at(20));
  const events: string[] = [];
  while (link.nextWake() <= 60_020) events.push(...kinds(link.wake(at(link.nextWake()))));
  assert.deepEqual(events.slice(-2), ["health", "frame"]);
  assert.ok(link.onHold);
  assert.match(link.why(at(60_020))!, /^no VXLAN heartbeat from the peer for 60 s on UDP 6784: /);
  assert.ok(beats(link, 100_000).length >= 3);
  assert.deepEqual(kinds(link.heard(REMOTE, at(100_000))), ["health"]);
  assert.ok(!link.onHold);
});

Deno.test("FastdpLink does not work while nothing arrives from the peer, and says at which end", () => {
  const link = made();
  link.confirm(at(0));
  assert.deepEqual(link.control(0, ACK, at(10)), []);
  assert.ok(beats(link, 4_000).length >= 7, "it is still tested");
  assert.ok(!link.established);
  assert.equal(
    link.why(at(4_000)),
    "no VXLAN heartbeat arrives from the peer, although it gets ours: let this host's firewall accept UDP 6784 from 192.0.2.2",
  );
  assert.deepEqual(kinds(link.heard(REMOTE, at(5_000))), ["control", "established"]);
  assert.equal(link.why(at(5_000)), undefined);
});

Deno.test("FastdpLink never answered says why in words and tries on", () => {
  const link = made();
  link.confirm(at(0));
  assert.match(link.why(at(10))!, /^testing the path/);
  beats(link, 3_000);
  assert.equal(
    link.why(at(3_000)),
    "no answer to full-size VXLAN heartbeats on UDP 6784: a firewall blocks it, or the path carries less than 1426 bytes",
  );
  link.heard(REMOTE, at(3_100));
  assert.match(
    link.why(at(3_100))!,
    /does not answer ours: a firewall blocks UDP 6784 towards 192\.0\.2\.2, or/,
  );
  assert.ok(beats(link, 120_000).at(-1)! > 100_000);
});

Deno.test("FastdpLink waits for its tunnel without spinning, and beats as soon as it is there", () => {
  const link = made();
  link.setTunnel("the peer has no short id in the mesh yet", at(0));
  assert.deepEqual(link.confirm(at(0)), []);
  assert.equal(link.nextWake(), 60_000);
  assert.equal(link.why(at(1)), "the peer has no short id in the mesh yet");
  assert.deepEqual(kinds(link.setTunnel(TUNNEL, at(2_000))), ["frame"]);
  link.wake(at(5_000));
  link.setTunnel("gone", at(5_001));
  link.wake(at(5_500));
  assert.ok(link.nextWake() > 5_500, "no wake in the past");
});

Deno.test("FastdpLink ignores unknown control tags, and answers to what it has not asked", () => {
  const link = made();
  assert.deepEqual(link.control(0, ACK, at(0)), []);
  link.confirm(at(0));
  for (let tag = 1; tag < 256; tag++) assert.deepEqual(link.control(tag, new Uint8Array(64), at(1)), []);
  assert.ok(!link.established);
});

/** Two ends that both promise heartbeats. */
function lively(): FastdpLink {
  const link = made({ beat: true });
  link.confirm(at(0));
  link.control(0, ACK, at(1));
  link.heard(REMOTE, at(1), { promise: 0, full: true });
  return link;
}

/** Runs the link to a time: what it sent when, `full` or `small`, with its promise, and what it told. */
function diary(link: FastdpLink, until: number): string[] {
  const lines: string[] = [];
  for (let guard = 0; link.nextWake() <= until; guard++) {
    assert.ok(guard < 10_000);
    const now = link.nextWake();
    for (const event of link.wake(at(now))) lines.push(`${now} ${brief(event)}`);
  }
  return lines;
}

function brief(event: ForwarderEvent): string {
  switch (event.kind) {
    case "frame":
      return `${event.frame.length > 26 ? "full" : "small"} ${promiseOf(event.frame)}`;
    case "control":
      return `tell ${event.tag}`;
    case "health":
      return event.good ? "good" : "bad";
    default:
      return event.kind;
  }
}

Deno.test("FastdpLink beats quickly and small while traffic flows, and slowly and whole again after it", () => {
  const link = lively();
  link.setBusy(true, at(2_000));
  assert.deepEqual(diary(link, 4_500), [
    "2000 full 800",
    "2800 small 800",
    "3600 full 800",
    "4400 small 800",
  ]);
  const busy = diary(link, 20_900);
  const full = Array.from({ length: 10 }, (_, i) => `${5_200 + 1_600 * i} full 800`);
  assert.deepEqual(busy.filter((line) => line.includes("full")), full);
  link.setBusy(false, at(21_000));
  assert.deepEqual(diary(link, 32_650), [
    "21000 small 800",
    "21800 full 800",
    "22600 small 10000",
    "32600 full 10000",
  ]);
});

Deno.test("FastdpLink that begins to work under traffic promises the next heartbeats at once", () => {
  const link = made({ beat: true });
  link.setBusy(true, at(0));
  link.confirm(at(0));
  link.control(0, ACK, at(1));
  link.heard(REMOTE, at(5), { promise: 0, full: true });
  assert.deepEqual(diary(link, 2_000), ["5 full 800", "805 small 800", "1605 full 800"]);
});

Deno.test("FastdpLink never beats faster for traffic with a peer that does not know it", () => {
  const link = made();
  link.confirm(at(0));
  link.control(0, ACK, at(1));
  link.heard(REMOTE, at(1));
  link.setBusy(true, at(2));
  assert.deepEqual(diary(link, 11_000), ["10001 full 0"]);
  assert.deepEqual(link.control(2, ACK, at(11_000)), [], "nor believes that it is deaf");
});

Deno.test("FastdpLink leaves a path on which only small heartbeats arrive within five seconds", () => {
  for (
    const [fullPromise, leftAt] of [[1_600, 14_800], [10_000, 15_600], [0, 70_000]]
  ) {
    const link = lively();
    link.heard(REMOTE, at(10_000), { promise: 800, full: true, fullPromise: fullPromise! });
    let left = 0;
    for (let now = 10_800; left === 0 && now < 100_000; now += 800) {
      link.heard(REMOTE, at(now), { promise: 800, full: false });
      while (link.nextWake() <= now + 800) {
        const wakeAt = link.nextWake();
        if (kinds(link.wake(at(wakeAt))).includes("health")) left = wakeAt;
      }
    }
    assert.equal(left, leftAt);
    assert.match(
      link.why(at(left))!,
      /^no full-size VXLAN heartbeat from the peer any more, though small ones/,
    );
    link.heard(REMOTE, at(left + 100), { promise: 1_000, full: false });
    assert.ok(link.onHold, "small ones say nothing");
    for (const ms of [1_000, 2_000]) link.heard(REMOTE, at(left + ms), { promise: 1_000, full: true });
    assert.ok(!link.onHold);
  }
  const quiet = lively();
  quiet.heard(REMOTE, at(10_000), { promise: 800, full: true, fullPromise: 1_600 });
  quiet.heard(REMOTE, at(10_800), { promise: 10_000, full: false });
  while (quiet.nextWake() <= 30_000) quiet.wake(at(quiet.nextWake()));
  assert.ok(!quiet.onHold, "when traffic has ended they are rare");
});

Deno.test("FastdpLink misses no heartbeat that may wait to be read, for ten seconds at most", () => {
  const link = lively();
  link.heard(REMOTE, at(1_000), { promise: 800, full: false });
  for (let now = 3_400; now < 13_400; now += 100) {
    assert.doesNotMatch(kinds(link.wake(at(now), at(3_399))).join(), /health/, `${now}`);
  }
  assert.ok(!link.onHold);
  link.wake(at(13_800), at(3_399));
  assert.ok(link.onHold, "a flood does not hide a failed path for ever");

  const read = lively();
  read.heard(REMOTE, at(1_000), { promise: 800, full: false });
  read.wake(at(3_500), at(2_000));
  assert.ok(!read.onHold);
  read.wake(at(3_501), at(3_501));
  assert.ok(read.onHold, "all has been read, and it was not there");
});

Deno.test("FastdpLink leaves the path after three times what was promised, says so, and tries on", () => {
  const link = lively();
  link.heard(REMOTE, at(1_000), { promise: 800, full: false });
  assert.equal(link.nextWake(), 3_400);
  assert.deepEqual(diary(link, 6_000), [
    ...["3400 tell 2", "3400 bad", "3400 full 1000", "4400 full 1000", "5400 full 1000"],
  ]);
  assert.match(link.why(at(6_000))!, /2\.4 s/);
  assert.deepEqual(
    link.heard(REMOTE, at(6_100), { promise: 1_000, full: false }),
    [],
    "too small to be trusted",
  );
  assert.deepEqual(link.heard(REMOTE, at(6_200), { promise: 1_000, full: true }), [], "one may slip through");
  assert.deepEqual(
    link.heard(REMOTE, at(20_000), { promise: 1_000, full: true }),
    [],
    "another one, much later",
  );
  assert.deepEqual(link.heard(REMOTE, at(21_000), { promise: 1_000, full: true }).map(brief), [
    "tell 0",
    "good",
  ]);
  assert.equal(link.onHold, false);
});

Deno.test("FastdpLink does not take its own sleep for the peer's silence, but once", () => {
  const link = lively();
  link.heard(REMOTE, at(1_000), { promise: 800, full: false });
  assert.deepEqual(link.wake(at(5_000)), []);
  assert.equal(link.nextWake(), 5_200);
  assert.deepEqual(diary(link, 5_300), ["5200 tell 2", "5200 bad", "5200 full 1000"]);
  const other = lively();
  other.heard(REMOTE, at(1_000), { promise: 800, full: false });
  other.wake(at(5_000));
  other.heard(REMOTE, at(5_001), { promise: 800, full: false });
  assert.deepEqual(diary(other, 7_000), []);
});

Deno.test("FastdpLink leaves the path when the peer hears nothing, until the peer hears again", () => {
  const link = lively();
  assert.deepEqual(link.control(2, ACK, at(100)).map(brief), ["bad"]);
  assert.match(link.why(at(100))!, /peer gets no/);
  assert.deepEqual(diary(link, 1_200), ["100 full 1000", "1100 full 1000"]);
  assert.deepEqual(link.control(0, ACK, at(1_300)).map(brief), ["good"]);
  assert.equal(link.why(at(1_300)), undefined);
});

Deno.test("FastdpLink leaves a path over which only small heartbeats come", () => {
  const link = lively();
  let left = 0;
  for (let now = 800; left === 0 && now < 200_000; now += 800) {
    if (diary(link, now).some((line) => line.endsWith("bad"))) left = now;
    else link.heard(REMOTE, at(now), { promise: 800, full: false });
  }
  assert.ok(left > 59_000 && left < 63_000, `left at ${left}`);
});

/** A link of two ends that promise heartbeats, established. */
function established(esp?: EspSession): FastdpLink {
  const local = "192.0.2.1" as Ip;
  const link = new FastdpLink({ ...OPTIONS, local, esp, beat: true });
  link.setTunnel(TUNNEL, at(0));
  link.confirm(at(0));
  if (esp !== undefined) {
    receiving(esp, 1_000);
    link.control(1, init(2_000), at(0));
    link.xfrm({ kind: "xfrm-sending", link: esp.options.link, round: 1 }, at(0));
  }
  link.heard(REMOTE, at(1), { promise: 0, full: true });
  link.control(0, ACK, at(2));
  assert.deepEqual([link.established, link.onHold, link.why(at(2))], [true, false, undefined]);
  return link;
}
const GONE = { gone: ["192.0.2.1" as Ip], come: [] };
const OTHER = { gone: [], come: ["192.0.2.9" as Ip] };
const BACK = { gone: [], come: ["192.0.2.1" as Ip] };

Deno.test("FastdpLink in clear goes on from another address at once when the connection's has gone, and the peer hears it", () => {
  const link = established();
  assert.deepEqual(link.addressesChanged(OTHER, at(10)), [], "nothing of ours has gone");
  assert.deepEqual(kinds(link.addressesChanged(GONE, at(20))), ["moved"]);
  assert.equal(link.path?.local, "0.0.0.0");
  const [beat] = link.wake(at(20));
  assert.equal(beat?.kind === "frame" && beat.action.kind === "tunnel" && beat.action.tunnel.src, "0.0.0.0");
  assert.deepEqual(link.addressesChanged(GONE, at(30)), []);
  assert.deepEqual(link.addressesChanged(OTHER, at(40)), []);
  assert.deepEqual(kinds(link.wake(at(40))), ["frame"], "now there is one to leave from");
  assert.equal(link.onHold, false);
  assert.deepEqual(kinds(link.addressesChanged(BACK, at(50))), ["moved"]);
  assert.equal(link.path?.local, "192.0.2.1");
});

Deno.test("FastdpLink that is sealed is on hold while this host lacks the address that it is sealed for", () => {
  const link = established(session(1, true));
  assert.deepEqual(kinds(link.addressesChanged(GONE, at(20))), ["health", "moved"]);
  assert.deepEqual([link.onHold, link.path?.local], [true, "192.0.2.1"]);
  assert.match(link.why(at(20))!, /no longer has the address 192\.0\.2\.1/);
  const back = link.addressesChanged(BACK, at(30));
  assert.deepEqual(back[0], { kind: "health", good: true, moving: true });
});

Deno.test("FastdpLink that is sealed is left at once when its peer is heard from another address; in clear it may be followed", () => {
  const elsewhere = "198.51.100.7" as Ip;
  assert.deepEqual(established().peerSeenAt(elsewhere, at(10)), []);
  const link = established(session(1, true));
  assert.deepEqual(link.peerSeenAt(REMOTE, at(10)), []);
  assert.deepEqual(link.peerSeenAt(elsewhere, at(10)), [{ kind: "health", good: false, moving: true }]);
  link.heard(REMOTE, at(1_000), { promise: 1_000, full: true });
  assert.deepEqual([link.onHold, link.heard(REMOTE, at(2_000), { promise: 1_000, full: true }).at(-1)], [
    true,
    {
      kind: "health",
      good: true,
    },
  ], "two in a row come from there: it was no move");
});
