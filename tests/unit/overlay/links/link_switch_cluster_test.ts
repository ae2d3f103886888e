import assert from "node:assert/strict";
import type { Millis } from "../../../../mod/core/time.ts";
import type { OverlayName } from "../../../../mod/core/overlay_port.ts";
import { SEED, seededRandom, withSeed } from "../../properties.ts";
import { BROADCAST, Cluster } from "../cluster.ts";
import { at, type Box, box, chain, everywhereBut, say } from "../cluster_talk.ts";

const BOTH: readonly OverlayName[] = ["fastdp", "sleeve"];
const SLEEVE: readonly OverlayName[] = ["sleeve"];

/** Everybody to everybody, once with learning and once over flows. */
function traffic(cluster: Cluster, boxes: readonly Box[]): void {
  for (let round = 0; round < 2; round++) {
    for (const from of boxes) {
      assert.deepEqual(say(cluster, from, BROADCAST), everywhereBut(cluster, from));
    }
    for (const from of boxes) {
      for (const to of boxes) if (from !== to) assert.deepEqual(say(cluster, from, to.mac), at(to));
    }
  }
  cluster.check();
}

function overlayOf(cluster: Cluster, host: number): (string | undefined)[] {
  return cluster.hosts[host]!.core!.report(cluster.now).links.map(({ status }) => status.overlay);
}

function blockFastdp(cluster: Cluster, a: number, b: number, blocked: boolean): void {
  const ips = [cluster.hosts[a]!.ip, cluster.hosts[b]!.ip];
  for (const way of [`${ips[0]}>${ips[1]}`, `${ips[1]}>${ips[0]}`]) {
    if (blocked) cluster.blocked.add(way);
    else cluster.blocked.delete(way);
  }
}

for (
  const [title, overlays] of [
    ["fastdp and sleeve everywhere", [BOTH, BOTH, BOTH]],
    ["sleeve everywhere", [SLEEVE, SLEEVE, SLEEVE]],
    ["sleeve at one end", [BOTH, BOTH, SLEEVE]],
    ["sleeve in the middle", [BOTH, SLEEVE, BOTH]],
    ["fastdp at one end", [SLEEVE, SLEEVE, BOTH]],
    ["fastdp alone at one end", [["fastdp"], BOTH, SLEEVE]],
  ] as const
) {
  Deno.test(`Dataplane carries frames along a chain with ${title}`, () => {
    const { cluster, boxes } = chain(3, overlays);
    traffic(cluster, boxes);
    const misses = cluster.hosts.map((host) => host.kernel.misses);
    traffic(cluster, boxes);
    assert.deepEqual(cluster.hosts.map((host) => host.kernel.misses), misses, "flows carry it all");
  });
}

for (const [title, overlays] of [["sleeve", SLEEVE], ["fastdp", ["fastdp"]], ["both", BOTH]] as const) {
  Deno.test(`Dataplane carries what is for a new neighbour before the mesh counts on the link: ${title}`, () => {
    const cluster = new Cluster(3, {}, [overlays, overlays, overlays]);
    cluster.connect(0, 1);
    cluster.advance(1_000);
    const boxes = [box(cluster, 0), box(cluster, 1), box(cluster, 2)] as const;
    assert.deepEqual(say(cluster, boxes[1], boxes[2].mac), everywhereBut(cluster, boxes[1], [0, 1]));
    cluster.quiet = true;
    cluster.connect(1, 2);
    const [, , last] = boxes;
    // What others say is not passed on yet: they would have to agree who does it.
    assert.deepEqual(say(cluster, boxes[1], BROADCAST), everywhereBut(cluster, boxes[1]));
    assert.deepEqual(say(cluster, last, BROADCAST), everywhereBut(cluster, last, [1, 2]));
    assert.deepEqual(say(cluster, last, boxes[1].mac), at(boxes[1]));
    assert.deepEqual(say(cluster, boxes[1], last.mac), at(last));
    cluster.check();
    cluster.quiet = false;
    cluster.publish();
    traffic(cluster, boxes);
  });
}

Deno.test("Dataplane answers a neighbour that was heard although its own end of the link does not work yet", () => {
  const cluster = new Cluster(2, {}, [SLEEVE, SLEEVE]);
  const boxes = [box(cluster, 0), box(cluster, 1)] as const;
  cluster.lostControls = "1>0";
  cluster.connect(0, 1);
  const ends = cluster.hosts.map(({ events }) => events.some(({ kind }) => kind === "established"));
  assert.deepEqual(ends, [false, true]);
  assert.deepEqual(say(cluster, boxes[1], BROADCAST), everywhereBut(cluster, boxes[1]));
  assert.deepEqual(say(cluster, boxes[0], boxes[1].mac), at(boxes[1]));
  cluster.check();
});

Deno.test("Dataplane falls back to sleeve without stale flows, and returns", () => {
  const { cluster, boxes } = chain(3, [BOTH, BOTH, BOTH]);
  traffic(cluster, boxes);
  assert.deepEqual(overlayOf(cluster, 1), ["fastdp", "fastdp"]);
  blockFastdp(cluster, 0, 1, true);
  cluster.advance(61_000);
  assert.deepEqual(overlayOf(cluster, 0), ["sleeve"]);
  assert.match(
    cluster.hosts[0]!.core!.report(cluster.now).links[0]!.status.why!,
    /^no fastdp: no VXLAN heartbeat/,
  );
  assert.deepEqual(overlayOf(cluster, 1), ["sleeve", "fastdp"]);
  traffic(cluster, boxes);
  blockFastdp(cluster, 0, 1, false);
  cluster.advance(11_000);
  assert.deepEqual(overlayOf(cluster, 0), ["fastdp"]);
  traffic(cluster, boxes);
  const tables = cluster.hosts.map((host) => [...host.kernel.flows.values()]);
  assert.ok(
    tables.every((flows) => flows.every(({ actions }) => actions.every(({ kind }) => kind !== "sleeve"))),
    "nothing goes out by sleeve",
  );
});

Deno.test("Dataplane ends a link that has lost both overlays, and not one that has one left", () => {
  const { cluster } = chain(2, [BOTH, BOTH]);
  const failed = () => cluster.hosts[0]!.events.filter((event) => event.kind === "failed");
  cluster.blockedSleeve.add("1>0");
  cluster.advance(120_000);
  assert.deepEqual([overlayOf(cluster, 0), failed()], [["fastdp"], []]);
  blockFastdp(cluster, 0, 1, true);
  cluster.advance(61_000);
  assert.match(JSON.stringify(failed()), /no overlay works/);
});

Deno.test("Dataplane keeps a link whose heartbeats may wait to be read, until all has been read", () => {
  const { cluster } = chain(2, [["fastdp"], ["fastdp"]]);
  const pass = (ms: number) => {
    cluster.now = cluster.now + ms as Millis;
    cluster.step(0, { kind: "wake" });
  };
  cluster.step(0, { kind: "backlog", since: cluster.now });
  pass(62_000);
  pass(300); // once it may have been asleep itself
  assert.deepEqual(overlayOf(cluster, 0), ["fastdp"]);
  cluster.step(0, { kind: "backlog", since: undefined });
  assert.deepEqual(overlayOf(cluster, 0), [undefined]);
});

for (
  const [title, overlays] of [["sleeve alone", SLEEVE], ["both overlays at once", BOTH]] as const
) {
  Deno.test(`Dataplane ends a link between ends that watch it within three seconds of losing ${title}`, () => {
    const extensions = ["fastdp-beat", "sleeve-beat"];
    const cluster = new Cluster(2, { extensions }, [overlays, overlays]);
    cluster.connect(0, 1);
    cluster.advance(3_000);
    const boxes = [box(cluster, 0), box(cluster, 1)];
    traffic(cluster, boxes);
    const failed = () => cluster.hosts[0]!.events.filter((event) => event.kind === "failed");
    const talk = (ms: number) => {
      for (let left = ms; left > 0; left -= 100) {
        say(cluster, boxes[0]!, boxes[1]!.mac);
        cluster.advance(100);
      }
    };
    talk(10_300);
    cluster.blockedSleeve.add("1>0");
    if (overlays === BOTH) {
      talk(10_000);
      assert.deepEqual([overlayOf(cluster, 0), failed()], [["fastdp"], []]);
      blockFastdp(cluster, 0, 1, true);
    }
    talk(3_000);
    assert.match(JSON.stringify(failed()), /no overlay works.*the peer has not answered/);
  });
}

Deno.test("Dataplane lets every peer hear of a change of address, once for many in a row", () => {
  const extensions = ["sleeve-beat"];
  const cluster = new Cluster(3, { extensions }, [SLEEVE, SLEEVE, SLEEVE]);
  cluster.connect(0, 1);
  cluster.connect(2, 0);
  cluster.advance(3_000);
  const sent = () => cluster.hosts[0]!.core!.report(cluster.now).counters.heartbeatsSent;
  const before = sent();
  for (let i = 0; i < 5; i++) cluster.step(0, { kind: "addresses-changed", gone: [], come: [] });
  assert.equal(sent() - before, 2);
  cluster.advance(1_000);
  assert.equal(sent() - before, 4);
});

Deno.test("Dataplane ends a link whose key is used up, so that a new one gets another", () => {
  const { cluster } = chain(2, [BOTH, BOTH]);
  const [link] = cluster.links[0]!.ids;
  cluster.step(0, { kind: "key-used-up", link });
  const failed = cluster.hosts[0]!.events.filter((event) => event.kind === "failed");
  assert.match(JSON.stringify(failed), /as many packets as it may/);
});

Deno.test("Dataplane deletes the flows of a sleeve link that ends, and closes it", () => {
  const { cluster, boxes } = chain(2, [SLEEVE, SLEEVE]);
  traffic(cluster, boxes);
  cluster.disconnect(0, 1, false);
  for (const { kernel, open } of cluster.hosts) {
    assert.equal(open.size, 0);
    const left = [...kernel.flows.values()].filter(({ key, actions }) =>
      key.sleeve !== undefined || actions.some((action) => action.kind === "sleeve")
    );
    assert.deepEqual(left, []);
  }
  cluster.connect(0, 1);
  traffic(cluster, boxes);
});

Deno.test("Dataplane keeps no flow of user space from an earlier run", () => {
  const { cluster, boxes } = chain(3, [BOTH, BOTH, SLEEVE]);
  traffic(cluster, boxes);
  cluster.crash(1);
  cluster.boot(1);
  const left = [...cluster.hosts[1]!.kernel.flows.values()];
  const ofUserSpace = left.filter(({ key, actions }) =>
    key.sleeve !== undefined || actions.some((action) => action.kind === "sleeve")
  );
  assert.deepEqual(ofUserSpace, []);
  assert.ok(left.length > 0, "those of the kernel alone stay");
  cluster.publish();
  cluster.connect(0, 1);
  cluster.connect(1, 2);
  cluster.advance(4_000);
  traffic(cluster, boxes);
});

Deno.test("Dataplane delivers every frame once, whatever overlays hosts have and lose", () => {
  for (let round = 0; round < 10; round++) withSeed(() => randomOverlays(SEED + round));
});

function randomOverlays(seed: number): void {
  const random = seededRandom(seed);
  const count = 3 + random.below(3);
  const overlays = Array.from({ length: count }, () => random.below(3) === 0 ? SLEEVE : BOTH);
  const cluster = new Cluster(count, {}, overlays);
  const pairs: [number, number][] = [];
  for (let i = 1; i < count; i++) pairs.push([random.below(i), i]);
  if (random.below(2) === 0) pairs.push([0, count - 1]);
  for (const [a, b] of pairs) cluster.connect(a, b);
  cluster.advance(4_000);
  const boxes = Array.from({ length: count + 2 }, () => box(cluster, random.below(count)));
  for (let change = 0; change < 8; change++) {
    for (const [a, b] of pairs) blockFastdp(cluster, a, b, random.below(3) === 0);
    cluster.advance(61_000 + random.below(20_000));
    traffic(cluster, boxes);
  }
}
