import assert from "node:assert/strict";
import type { Ip } from "../../../../mod/core/addr.ts";
import { fromHex, toHex } from "../../../../mod/core/bytes.ts";
import type { LinkId, OverlayName } from "../../../../mod/core/overlay_port.ts";
import type { Millis } from "../../../../mod/core/time.ts";
import {
  BlockedForwarder,
  type Forwarder,
  type ForwarderEvent,
} from "../../../../mod/overlay/links/forwarder.ts";
import { commonOverlays, LinkSwitch, SILENT_AFTER_MS } from "../../../../mod/overlay/links/link_switch.ts";
import type { Path } from "../../../../mod/overlay/paths/path.ts";
import type { PortNo } from "../../../../mod/wire/netlink/ovs_keys.ts";
import { fuzz } from "../../fuzz.ts";
import { loadVectors } from "../../vectors.ts";

const NOW = 0 as Millis;
/** When a puppet is quiet that was heard as it was made. */
const QUIET = 200 + SILENT_AFTER_MS;
const CLEAR = { sealed: false, bare: false, noFastdp: undefined };

/** A forwarder that does what it is told. */
class Puppet implements Forwarder {
  established = false;
  onHold = false;
  readonly mtu = 1376;
  rttMs = 1;
  rttAt = 100;
  heardAt = 200;
  path: Path | undefined;
  readonly likelyPath = undefined;
  lastResort: Path | undefined;
  lostAt = -Infinity;
  hereAt = -Infinity;
  provenAt = Infinity;
  readonly heard: string[] = [];
  ask?: () => readonly ForwarderEvent[];
  verified = 0;
  constructor(readonly overlay: OverlayName) {}
  why(): string | undefined {
    return this.established && !this.onHold ? undefined : `${this.overlay} does not work`;
  }
  confirm(): readonly ForwarderEvent[] {
    return [];
  }
  control(tag: number, payload: Uint8Array): readonly ForwarderEvent[] {
    this.heard.push(`${tag}:${toHex(payload)}`);
    return [];
  }
  verify(): readonly ForwarderEvent[] {
    this.verified++;
    return [];
  }
  wake(): readonly ForwarderEvent[] {
    return [];
  }
  nextWake(): number {
    return Infinity;
  }
}

for (const { name, hex } of loadVectors("dataplane-control").messages) {
  if (!hex.startsWith("07")) continue;
  Deno.test(`LinkSwitch reads and writes: ${name}`, () => {
    const message = fromHex(hex);
    const slots = [new Puppet("fastdp"), new Puppet("sleeve")];
    const link = new LinkSwitch(slots, CLEAR);
    link.control(message, NOW);
    const [index, tag] = [message[1]!, message[2]!];
    assert.deepEqual(slots[index]!.heard, [`${tag}:${toHex(message.subarray(3))}`]);
    const [sent] = link.take(index, [{ kind: "control", tag, payload: message.subarray(3) }], NOW);
    assert.equal(sent?.kind === "send" && toHex(sent.message), hex);
  });
}

Deno.test("LinkSwitch.control() ignores short messages, indexes out of range and other tags", () => {
  const slot = new Puppet("fastdp");
  const link = new LinkSwitch([slot], CLEAR);
  for (const hex of ["01", "03059e", "", "07", "0700", "070100", "07ff00", "060000"]) {
    link.control(fromHex(hex), NOW);
  }
  assert.deepEqual(slot.heard, []);
  fuzz((bytes) => link.control(bytes, NOW), [fromHex("070000"), fromHex("0701030586")]);
});

Deno.test("LinkSwitch of a very old peer reads and writes bare messages only", () => {
  const slot = new Puppet("sleeve");
  const link = new LinkSwitch([slot], { ...CLEAR, bare: true });
  for (const hex of ["", "00", "07", "070003059e", "04", "03059e"]) link.control(fromHex(hex), NOW);
  assert.deepEqual(slot.heard, ["3:059e"]);
  const [sent] = link.take(0, [{ kind: "control", tag: 3, payload: fromHex("059e") }], NOW);
  assert.equal(sent?.kind === "send" && toHex(sent.message), "03059e");
});

Deno.test("commonOverlays() keeps our order and only what both have", () => {
  assert.deepEqual(commonOverlays(["fastdp", "sleeve"], ["sleeve", "fastdp"]), ["fastdp", "sleeve"]);
  assert.deepEqual(commonOverlays(["fastdp"], ["fastdp", "sleeve"]), ["fastdp"]);
  assert.deepEqual(commonOverlays(["fastdp"], ["sleeve"]), []);
});

Deno.test("LinkSwitch takes the first overlay that works, else the first that may", () => {
  const [fastdp, sleeve] = [new Puppet("fastdp"), new Puppet("sleeve")];
  const link = new LinkSwitch([fastdp, sleeve], CLEAR);
  assert.equal(link.best(), fastdp);
  assert.equal(link.status(NOW).overlay, undefined);
  sleeve.established = true;
  assert.equal(link.best(), sleeve);
  assert.equal(link.status(NOW).why, "no fastdp: fastdp does not work");
  fastdp.established = true;
  assert.deepEqual(link.status(NOW), {
    overlay: "fastdp",
    mtu: 1376,
    encrypted: false,
    rttMs: 1,
    why: undefined,
  });
  fastdp.onHold = true;
  assert.equal(link.best(), sleeve);
  assert.deepEqual(link.take(0, [{ kind: "health", good: false }], NOW).map((event) => event.kind), [
    "changed",
  ]);
});

Deno.test("LinkSwitch fails a link that carried traffic and cannot any more, once", () => {
  const slot = new Puppet("fastdp");
  const link = new LinkSwitch([slot], CLEAR);
  slot.established = true;
  const said = link.take(0, [{ kind: "established" }, { kind: "established" }], NOW);
  assert.deepEqual(said.map((event) => event.kind), ["established", "changed", "changed"]);
  slot.onHold = true;
  assert.deepEqual(link.take(0, [{ kind: "health", good: false }], NOW), [
    { kind: "changed" },
    { kind: "failed", reason: "no overlay works: no fastdp: fastdp does not work" },
  ]);
  assert.deepEqual(link.take(0, [{ kind: "health", good: false }], NOW), [{ kind: "changed" }]);
});

Deno.test("LinkSwitch never fails a link that never worked", () => {
  const slot = new Puppet("fastdp");
  const link = new LinkSwitch([slot], CLEAR);
  slot.onHold = true;
  assert.deepEqual(link.take(0, [{ kind: "health", good: false }], NOW), [{ kind: "changed" }]);
  const blocked = new LinkSwitch([new BlockedForwarder("fastdp", "it must not")], CLEAR);
  assert.equal(blocked.status(NOW).why, "no fastdp: it must not");
  assert.deepEqual(blocked.confirm(NOW), []);
});

Deno.test("LinkSwitch.ages() tells of the overlay in use, and of silence only when something should have come", () => {
  const [fastdp, sleeve] = [new Puppet("fastdp"), new Puppet("sleeve")];
  const link = new LinkSwitch([fastdp, sleeve], CLEAR);
  const at = (ms: number) => ms as Millis;
  assert.deepEqual(link.ages(at(90_000)), { rttAgeMs: undefined, silentMs: undefined }, "nothing works");
  fastdp.established = true;
  assert.deepEqual(link.ages(at(11_200)), { rttAgeMs: 11_100, silentMs: undefined });
  assert.deepEqual(link.ages(at(20_200)), { rttAgeMs: 20_100, silentMs: 20_000 });
  fastdp.onHold = sleeve.established = true;
  sleeve.heardAt = 20_000;
  assert.deepEqual(link.ages(at(20_200)), { rttAgeMs: 20_100, silentMs: undefined });
});

Deno.test("LinkSwitch has the others prove at once that they work when one is lost, but not when an end has moved", () => {
  const [fast, user] = [new Puppet("fastdp"), new Puppet("sleeve")];
  const link = new LinkSwitch([fast, user], CLEAR);
  [fast.established, user.established] = [true, true];
  link.take(0, [{ kind: "established" }], NOW);
  fast.onHold = true;
  link.take(0, [{ kind: "health", good: false, moving: true }], NOW);
  assert.equal(user.verified, 0, "it follows, which takes a moment");
  link.take(0, [{ kind: "health", good: false }], NOW);
  assert.equal(user.verified, 1);
});

/** A link over a tunnel whose peer fell silent at 1000 ms, and sleeve, which last proved itself before. */
function silentLink() {
  const [fastdp, sleeve] = [new Puppet("fastdp"), new Puppet("sleeve")];
  const link = new LinkSwitch([fastdp, sleeve], CLEAR);
  const tunnel: Path = {
    kind: "tunnel",
    port: 1 as PortNo,
    local: "192.0.2.1" as Ip,
    remote: "192.0.2.2" as Ip,
  };
  fastdp.path = tunnel;
  sleeve.path = { kind: "sleeve", port: 2 as PortNo, link: 1 as LinkId };
  fastdp.established = sleeve.established = true;
  sleeve.provenAt = 500;
  link.take(0, [{ kind: "established" }], NOW);
  fastdp.onHold = true;
  fastdp.lostAt = 1_000;
  fastdp.lastResort = tunnel;
  const take = (index: number, events: readonly ForwarderEvent[], ms: number) =>
    link.take(index, events, ms as Millis).map(({ kind }) => kind);
  assert.deepEqual(take(0, [{ kind: "health", good: false }], 1_000), ["changed"]);
  return { fastdp, sleeve, link, take };
}
const HERE = fromHex("070004");

Deno.test("LinkSwitch leaves a silent tunnel when the other overlay has proven itself, and not before", () => {
  const { link, sleeve, take } = silentLink();
  assert.equal(sleeve.verified, 1);
  assert.equal(link.path()?.kind, "tunnel");
  sleeve.provenAt = 1_001;
  assert.deepEqual(take(1, [], 1_001), ["changed"]);
  assert.equal(link.path()?.kind, "sleeve");
  assert.equal(link.hangs, false);
});

Deno.test("LinkSwitch keeps the tunnel when both overlays are silent, and the daemon does not say that it is there", () => {
  const { fastdp, link, sleeve, take } = silentLink();
  sleeve.onHold = true;
  assert.deepEqual(take(1, [{ kind: "health", good: false }], 1_600), ["changed", "unanswered"]);
  assert.deepEqual([link.path()?.kind, link.hangs, link.status(NOW).overlay], ["tunnel", true, "fastdp"]);
  assert.match(link.status(NOW).why!, /the daemon there does not answer/);
  assert.equal(link.ages(1_700 as Millis).silentMs, 1_500, "told from the beginning");
  assert.deepEqual(take(1, [{ kind: "health", good: false }], 1_700), ["changed"], "once");
  fastdp.onHold = false;
  fastdp.lastResort = undefined;
  assert.deepEqual(take(0, [{ kind: "health", good: true }], 90_000), ["changed"]);
  assert.deepEqual([link.path()?.kind, link.hangs, link.nextWake()], ["tunnel", false, QUIET]);
});

Deno.test("LinkSwitch fails a link at once whose daemon says that it is there while nothing arrives", () => {
  const { fastdp, link, sleeve, take } = silentLink();
  fastdp.hereAt = 1_002;
  assert.equal(link.path()?.kind, "sleeve");
  sleeve.onHold = true;
  assert.ok(take(1, [{ kind: "health", good: false }], 1_600).includes("failed"));
  assert.equal(link.path(), undefined);
});

Deno.test("LinkSwitch gives a daemon that is there again three seconds to show that an overlay works", () => {
  for (const recovers of [true, false]) {
    const { fastdp, link, sleeve, take } = silentLink();
    sleeve.onHold = true;
    take(1, [{ kind: "health", good: false }], 1_600);
    fastdp.hereAt = 9_000;
    assert.deepEqual(link.control(HERE, 9_000 as Millis), []);
    assert.deepEqual([link.path()?.kind, link.nextWake()], ["tunnel", 12_000]);
    if (recovers) {
      sleeve.onHold = false;
      sleeve.provenAt = 9_100;
      assert.deepEqual(take(1, [{ kind: "health", good: true }], 9_100), ["changed"]);
      assert.deepEqual([link.path()?.kind, link.nextWake()], ["sleeve", QUIET]);
    } else {
      assert.deepEqual(link.wake(11_999 as Millis, 11_999 as Millis), []);
      assert.deepEqual(link.wake(12_000 as Millis, 12_000 as Millis).map(({ kind }) => kind), ["failed"]);
      assert.deepEqual([link.path(), link.nextWake()], [undefined, Infinity]);
    }
  }
});

Deno.test("LinkSwitch tells the round trip that was measured last, over whichever overlay", () => {
  const [fastdp, sleeve] = [new Puppet("fastdp"), new Puppet("sleeve")];
  const link = new LinkSwitch([fastdp, sleeve], CLEAR);
  const told = () => [link.status(NOW).rttMs, link.ages(20_000 as Millis).rttAgeMs];
  fastdp.established = sleeve.established = true;
  fastdp.rttMs = 26;
  assert.deepEqual(told(), [26, 19_900]);
  sleeve.rttMs = 0.2;
  sleeve.rttAt = 15_000;
  assert.deepEqual(told(), [0.2, 5_000]);
  sleeve.onHold = true;
  assert.deepEqual(told(), [26, 19_900], "what does not work measures nothing");
});

Deno.test("LinkSwitch tells once that a link nobody uses is quiet, and again after the next sign", () => {
  const slot = new Puppet("sleeve");
  const link = new LinkSwitch([slot], CLEAR);
  slot.established = true;
  link.take(0, [{ kind: "established" }], NOW);
  const at = (ms: number) => ms as Millis;
  const told = (ms: number) => link.wake(at(ms), at(ms)).filter(({ kind }) => kind === "unanswered").length;
  for (const heardAt of [200, 50_000]) {
    slot.heardAt = heardAt;
    assert.equal(link.nextWake(), heardAt + SILENT_AFTER_MS);
    assert.deepEqual([-1, 0, 1, 60_000].map((late) => told(heardAt + SILENT_AFTER_MS + late)), [0, 1, 0, 0]);
    assert.equal(link.nextWake(), Infinity);
  }
});

Deno.test("LinkSwitch asks a quiet peer for a sign first, and heeds signs over any overlay and what waits to be read", () => {
  const [fastdp, sleeve] = [new Puppet("fastdp"), new Puppet("sleeve")];
  const link = new LinkSwitch([fastdp, sleeve], CLEAR);
  fastdp.established = sleeve.established = true;
  link.take(0, [{ kind: "established" }], NOW);
  const asks = [{ kind: "control", tag: 9, payload: new Uint8Array() }] as const;
  sleeve.ask = () => asks;
  const wake = (ms: number, readUntil = ms) =>
    link.wake(ms as Millis, readUntil as Millis).map(({ kind }) => kind);
  sleeve.heardAt = 5_000;
  assert.deepEqual(wake(5_000 + SILENT_AFTER_MS - 1), [], "sleeve was heard later than the tunnel");
  assert.deepEqual(wake(5_000 + SILENT_AFTER_MS, 6_000), [], "a sign may wait to be read");
  assert.deepEqual(wake(5_000 + SILENT_AFTER_MS), ["send"]);
  sleeve.heardAt = 18_100;
  assert.equal(link.nextWake(), 18_100 + SILENT_AFTER_MS, "it has answered");
  assert.deepEqual(wake(18_100 + SILENT_AFTER_MS), ["send"]);
  assert.deepEqual(wake(18_100 + SILENT_AFTER_MS + 499), []);
  assert.deepEqual(wake(18_100 + SILENT_AFTER_MS + 500), ["unanswered"]);
  assert.equal(link.nextWake(), Infinity);
});
