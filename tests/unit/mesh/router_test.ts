import assert from "node:assert/strict";
import type { Ip } from "../../../mod/core/addr.ts";
import { type Decoded, good } from "../../../mod/core/brand.ts";
import type { PeerName } from "../../../mod/core/names.ts";
import type { GossipChannel } from "../../../mod/core/ports.ts";
import type { AttemptId, SocketId } from "../../../mod/mesh/mesh_ids.ts";
import { RouterCore } from "../../../mod/mesh/router.ts";
import type { RouterEffect } from "../../../mod/mesh/router_types.ts";
import { decodeGossipFrame, encodeGossipFrame } from "../../../mod/wire/mesh/mesh_message.ts";
import { Attacked } from "./attacked.ts";
import { at, gossip, record, routerConfig, RouterParts, US } from "./router_parts.ts";

const B = "02:00:00:00:00:02" as PeerName;
const NOW = at(1_000);

function router(changes = {}): RouterCore {
  const core = new RouterCore(routerConfig(changes), at(0));
  core.step({ kind: "wake" }, at(0));
  return core;
}

/** Dials and look-ups among effects. */
function dials(effects: readonly RouterEffect[]): string[] {
  return effects.flatMap((one) =>
    one.kind === "dial" ? [`${one.address.ip}:${one.address.port}`] : one.kind === "resolve" ? [one.host] : []
  );
}

/** A channel that tells what it hears. */
class Listening implements GossipChannel {
  readonly heard: string[] = [];
  constructor(readonly name: string) {}
  onUnicast(source: PeerName, payload: Uint8Array): Decoded<undefined> {
    return this.#hear(`unicast ${source.slice(-2)} ${payload}`);
  }
  onBroadcast(source: PeerName, payload: Uint8Array): Decoded<undefined> {
    return this.#hear(`broadcast ${source.slice(-2)} ${payload}`);
  }
  onGossip(payload: Uint8Array): Decoded<undefined> {
    return this.#hear(`gossip ${payload}`);
  }
  onPeersRemoved(peers: readonly PeerName[]): void {
    this.#hear(`removed ${peers.map((peer) => peer.slice(-2))}`);
  }
  fullState(): undefined {
    return undefined;
  }
  #hear(what: string): Decoded<undefined> {
    this.heard.push(what);
    return good(undefined);
  }
}

Deno.test("RouterCore tells the data plane of the mesh in its first step, and repeats nothing", () => {
  const core = new RouterCore(routerConfig(), at(0));
  assert.deepEqual(RouterParts.requests(core.step({ kind: "wake" }, at(0))).map(({ kind }) => kind), [
    "topology",
  ]);
  assert.deepEqual(core.step({ kind: "wake" }, at(0)), []);
  assert.deepEqual(core.step({ kind: "wake" }, at(5)), [], "a wake that nothing asked for");
});

Deno.test("RouterCore dials the targets it is given, at once, and says which it cannot use", () => {
  const core = router();
  const change = { connect: ["192.0.2.7", "192.0.2.8:7000", "host.example", "192.0.2.9:99999"] };
  assert.deepEqual(core.targetsAfter(change), change.connect.slice(0, 3));
  const effects = core.step({ kind: "targets", change }, NOW);
  assert.deepEqual(dials(effects).sort(), ["192.0.2.7:6783", "192.0.2.8:7000", "host.example"]);
  assert.deepEqual(RouterParts.logs(effects).map((line) => line.split(":")[0]), [
    "warn mesh/target-refused port of target is not 1..65535",
  ]);
  assert.deepEqual(core.snapshot(NOW).targets.map(({ target }) => target), change.connect.slice(0, 3));
});

Deno.test("RouterCore dials what a name stands for, and tries again when it cannot be reached", () => {
  const core = router();
  const [resolve] = core.step({ kind: "targets", change: { connect: ["host.example"] } }, NOW);
  assert.ok(resolve?.kind === "resolve");
  const { attempt } = resolve;
  const [dial] = core.step({ kind: "resolved", attempt, answer: ["192.0.2.7" as Ip] }, NOW);
  assert.ok(dial?.kind === "dial");
  const failed = core.step(
    { kind: "dial-failed", attempt: dial.attempt, failure: "refused", message: "no" },
    NOW,
  );
  assert.match(RouterParts.logs(failed)[0]!, /^info mesh\/dial-failed /);
  const due = core.nextWake();
  assert.ok(due > NOW && due <= NOW + 1_000, `${due}`);
  let again: readonly RouterEffect[] = [];
  for (let now = due; dials(again).length === 0 && now < NOW + 2_000; now = core.nextWake()) {
    again = core.step({ kind: "wake" }, at(now));
  }
  assert.deepEqual(dials(again), ["host.example"]);
});

Deno.test("RouterCore forgets targets, all or some", () => {
  const core = router();
  core.step({ kind: "targets", change: { connect: ["192.0.2.7", "192.0.2.8"] } }, NOW);
  core.step({ kind: "targets", change: { forget: ["192.0.2.7"] } }, NOW);
  assert.deepEqual(core.snapshot(NOW).targets.map(({ target }) => target), ["192.0.2.8"]);
  core.step({ kind: "targets", change: { connect: ["192.0.2.9"], replace: true } }, NOW);
  assert.deepEqual(core.snapshot(NOW).targets.map(({ target }) => target), ["192.0.2.9"]);
});

Deno.test("RouterCore answers a connection in the same step: greeting, then what it led to", () => {
  const core = router();
  const ends = {
    local: { ip: "192.0.2.1" as Ip, port: 6783 },
    remote: { ip: "192.0.2.9" as Ip, port: 40_000 },
  };
  const effects = core.step({ kind: "accepted", socket: 5 as SocketId, ...ends }, NOW);
  assert.deepEqual(effects.map(({ kind }) => kind), ["write", "log"]);
  const refused = core.step({ kind: "bytes", socket: 5 as SocketId, data: new Uint8Array(64) }, NOW);
  assert.deepEqual(refused.map(({ kind }) => kind), ["close", "log"]);
  assert.deepEqual(core.step({ kind: "closed", socket: 5 as SocketId, reason: "late" }, NOW), []);
});

Deno.test("RouterCore ignores what is about nothing it knows", () => {
  const core = router();
  const [socket, attempt] = [99 as SocketId, 99 as AttemptId];
  assert.deepEqual([
    ...core.step({ kind: "bytes", socket, data: Uint8Array.of(1) }, NOW),
    ...core.step({ kind: "written", socket, count: 1 }, NOW),
    ...core.step({ kind: "closed", socket, reason: "x" }, NOW),
    ...core.step({ kind: "dial-failed", attempt, failure: "other", message: "x" }, NOW),
    ...core.step({ kind: "resolved", attempt, answer: "x" }, NOW),
  ], []);
});

Deno.test("RouterCore brings gossip of channels to neighbours, and theirs to channels, in the same step", () => {
  const channel = new Listening("test");
  const bench = new Attacked({ channels: [channel] });
  const friend = bench.call().introduce(B, { shortId: 2 });
  friend.messages(gossip(B, [record(B, 2, [US])]));
  bench.advance(1_000);
  const sent: string[] = [];
  const decode = friend.codec!;
  const take = friend.take.bind(friend);
  friend.take = (data) => {
    const fed = decode.feed(data.slice());
    for (const message of fed.ok ? fed.value : []) {
      const frame = decodeGossipFrame(message);
      if (frame.ok && frame.value.channel === "test") sent.push(`${frame.value.tag} ${frame.value.payload}`);
    }
    take(data);
  };
  bench.post({ kind: "unicast", channel: "test", destination: B, payload: Uint8Array.of(1) });
  assert.deepEqual(sent, ["unicast 1"]);
  friend.messages(
    encodeGossipFrame({
      tag: "unicast",
      channel: "test",
      source: B,
      destination: US,
      payload: Uint8Array.of(2),
    }),
    encodeGossipFrame({ tag: "broadcast", channel: "test", source: B, payload: Uint8Array.of(3) }),
    encodeGossipFrame({ tag: "gossip", channel: "test", source: B, payload: Uint8Array.of(4) }),
  );
  assert.deepEqual(channel.heard, ["unicast 02 2", "broadcast 02 3", "gossip 4"]);
});

Deno.test("RouterCore tries what failed soon when this host's network has changed", () => {
  const core = router();
  const [dial] = core.step({ kind: "targets", change: { connect: ["192.0.2.7"] } }, NOW);
  assert.ok(dial?.kind === "dial");
  let now = NOW;
  let { attempt } = dial;
  for (let failures = 0; failures < 12; failures++) {
    core.step({ kind: "dial-failed", attempt, failure: "unreachable", message: "no" }, now);
    for (let again: readonly RouterEffect[] = []; again.length === 0;) {
      now = at(Math.max(now, core.nextWake()));
      again = core.step({ kind: "wake" }, now).filter(({ kind }) => kind === "dial");
      if (again[0]?.kind === "dial") attempt = again[0].attempt;
    }
  }
  core.step({ kind: "dial-failed", attempt, failure: "unreachable", message: "no" }, now);
  assert.deepEqual(dials(core.step({ kind: "wake" }, at(now + 1_000))), [], "it waits for long");
  core.step({ kind: "network-changed", gone: [], come: ["192.0.2.1" as Ip] }, at(now + 1_000));
  assert.deepEqual(dials(core.step({ kind: "wake" }, at(now + 1_200))), ["192.0.2.7:6783"]);
});

Deno.test("RouterCore wakes for the earliest of its parts", () => {
  const core = router();
  assert.equal(core.nextWake(), 30_000, "gossip");
  const ends = {
    local: { ip: "192.0.2.1" as Ip, port: 6783 },
    remote: { ip: "192.0.2.9" as Ip, port: 40_000 },
  };
  core.step({ kind: "accepted", socket: 5 as SocketId, ...ends }, NOW);
  assert.equal(core.nextWake(), NOW + 10_000, "an introduction");
  core.step({ kind: "targets", change: { connect: ["192.0.2.7"] } }, at(2_000));
  core.step({ kind: "targets", change: { connect: ["192.0.2.8"] } }, at(2_001));
  assert.ok(core.nextWake() < 2_100, "the connection maker");
});
