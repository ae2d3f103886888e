import assert from "node:assert/strict";
import type { PortNo } from "../../../../mod/wire/netlink/ovs_keys.ts";
import { encodeLoopProbe } from "../../../../mod/wire/packet/loop_probe.ts";
import { FORGET_AGAIN_MS, HUSH_MS, STORM_MOVES } from "../../../../mod/overlay/loops/loop_guard.ts";
import { type Arrival, BROADCAST, Cluster } from "../cluster.ts";
import { at, established, kinds, local, made, miss, tunnel } from "../dataplane_made.ts";

const [ONE, TWO, OTHER] = [0x10, 0x20, 0x30];

/** Two hosts with a container each, and two more on the first one that may be bridged together. */
function trial() {
  const cluster = new Cluster(2);
  cluster.connect(0, 1);
  const [one, left, right] = [cluster.attach(0), cluster.attach(0), cluster.attach(0)];
  return { cluster, one, left, right, two: cluster.attach(1) };
}

function bridge(cluster: Cluster, ...ports: PortNo[]): void {
  for (const port of ports) {
    cluster.bridged.set(
      `0:${port}`,
      ports.filter((other) => other !== port).map((other): Arrival => `0:${other}`),
    );
  }
}

/** A container says something to all. Tells where it arrived, also by a loop. */
function shout(cluster: Cluster, host: number, port: PortNo, mac: number): Arrival[] {
  const arrivals = cluster.send(host, port, BROADCAST, mac);
  cluster.advance(100);
  return arrivals.sort();
}

const stopped = (cluster: Cluster) => cluster.hosts[0]!.core!.report(cluster.now).datapath.stopped;

Deno.test("LoopGuard stops one of two ports that are bridged together, and opens it when the loop has gone", () => {
  const { cluster, left, one, right, two } = trial();
  shout(cluster, 0, one, ONE);
  shout(cluster, 1, two, TWO);
  cluster.advance(3_000);
  bridge(cluster, left, right);
  const copies = shout(cluster, 0, one, ONE).filter((arrival) => arrival === `1:${two}`);
  assert.ok(copies.length >= 1 && copies.length < 20, `${copies.length} copies reached the other host`);
  assert.equal(stopped(cluster).length, 1);
  const [shut, open] = stopped(cluster)[0] === `vmn${left}` ? [left, right] : [right, left];
  assert.deepEqual(shout(cluster, 0, one, ONE), ["0:0", `0:${open}`, "1:0", `1:${two}`]);
  assert.deepEqual(cluster.send(1, two, ONE, TWO), [`0:${one}`], "where it is, not where the loop showed it");
  assert.deepEqual(shout(cluster, 0, shut, OTHER), [], "nothing of it is taken");
  cluster.check();

  cluster.advance(60_000);
  assert.equal(stopped(cluster).length, 1, "while there is a loop it stays stopped");
  cluster.bridged.clear();
  cluster.advance(60_000);
  assert.deepEqual(stopped(cluster), []);
  assert.deepEqual(shout(cluster, 0, one, ONE), ["0:0", `0:${left}`, `0:${right}`, "1:0", `1:${two}`]);
  cluster.check();
});

Deno.test("LoopGuard finds a loop by frames of other hosts alone", () => {
  const { cluster, left, right, two } = trial();
  bridge(cluster, left, right);
  shout(cluster, 1, two, TWO);
  assert.equal(stopped(cluster).length, 1);
  cluster.check();
});

Deno.test("LoopGuard stops all but one of several ports that are bridged together", () => {
  const { cluster, left, one, right, two } = trial();
  bridge(cluster, left, right, cluster.attach(0), cluster.attach(0));
  for (let i = 0; i < 4; i++) { // a hush may end a storm before the last port is found
    shout(cluster, 0, one, ONE);
    cluster.advance(1_000);
  }
  assert.equal(stopped(cluster).length, 3);
  assert.equal(shout(cluster, 0, one, ONE).filter((arrival) => arrival === `1:${two}`).length, 1);
  cluster.check();
});

Deno.test("LoopGuard gives a stopped port one flow, which drops, and no address, and forgets it when it goes", () => {
  const { cluster, left, one, right } = trial();
  bridge(cluster, left, right);
  shout(cluster, 0, one, ONE);
  const port = stopped(cluster)[0] === `vmn${left}` ? left : right;
  for (let i = 0; i < 50; i++) shout(cluster, 0, port, 0x1000 + 2 * i);
  const { core, kernel } = cluster.hosts[0]!;
  const flows = [...kernel.flows.values()].filter(({ key }) => key.inPort === port);
  assert.deepEqual(flows.map(({ actions, key }) => [key.ethSrc, actions]), [[undefined, []]]);
  assert.ok(core!.report(cluster.now).macs.local < 10);
  cluster.bridged.clear();
  cluster.detach(0, port);
  assert.deepEqual(stopped(cluster), []);
  cluster.check();
});

Deno.test("LoopGuard forgets what a port shows at which another host's probe comes in", () => {
  const core = made();
  miss(core, local(ONE, BROADCAST, 1), 0);
  miss(core, local(TWO, BROADCAST, 0), 0);
  const remembered = () => core.report(at(0)).macs.local;
  assert.equal(remembered(), 2);
  miss(core, local(OTHER, BROADCAST, 1), 10, encodeLoopProbe(2 ** 39));
  assert.equal(remembered(), 2, "the other port's, and that of the probe");
  miss(core, local(ONE, BROADCAST, 1), 20);
  core.step({ kind: "wake" }, at(10 + FORGET_AGAIN_MS[0]));
  assert.equal(remembered(), 1, "what still went round");
  miss(core, local(ONE, BROADCAST, 1), 400);
  miss(core, local(OTHER, BROADCAST, 1), 500, encodeLoopProbe(2 ** 39));
  assert.equal(remembered(), 3, "not again so soon, whoever forges them");
  let forgotten = 0;
  for (let now = 1_000; now < 61_000; now += 100) {
    miss(core, local(ONE, BROADCAST, 1), now);
    const before = remembered();
    miss(core, local(OTHER, BROADCAST, 1), now, encodeLoopProbe(2 ** 39));
    if (remembered() < before) forgotten++;
  }
  assert.ok(forgotten >= 3 && forgotten <= 6, `ever more rarely: ${forgotten} times in a minute`);
});

Deno.test("LoopGuard forgets containers of this host that a loop has shown at a peer, though they do not speak", () => {
  const core = made();
  established(core);
  miss(core, local(ONE, BROADCAST, 0), 0);
  const fromPeer = (ethSrc: number, ethDst: number, now: number) =>
    miss(core, { ...local(ethSrc, ethDst, 9), tunnel: tunnel(0x1002) }, now);
  /** By another container of this host. */
  const reached = (now: number) => {
    const effect = miss(core, local(TWO, ONE, 1), now).at(-1);
    const actions = effect?.kind === "execute" || effect?.kind === "install" ? effect.actions : [];
    return actions.some(({ kind, port }) => kind === "output" && port === 0);
  };
  assert.ok(reached(10));
  fromPeer(ONE, BROADCAST, 20);
  assert.ok(!reached(30), "it seems to be at the peer");
  miss(core, local(OTHER, BROADCAST, 1), 40, encodeLoopProbe(2 ** 39));
  assert.ok(reached(50), "the probe tells of the loop");
  for (const ms of FORGET_AGAIN_MS) {
    fromPeer(ONE, BROADCAST, 60 + ms - 30);
    core.step({ kind: "wake" }, at(40 + ms));
    assert.ok(reached(45 + ms), `and after ${ms} ms`);
  }
});

Deno.test("LoopGuard forgets what a loop has shown when the datapath says that it cut it", () => {
  const core = made();
  established(core);
  miss(core, local(ONE, BROADCAST, 0), 0);
  miss(core, { ...local(ONE, BROADCAST, 9), tunnel: tunnel(0x1002) }, 10);
  assert.deepEqual(core.report(at(10)).macs, { local: 0, remote: 1 });
  core.step({ kind: "loop-cut", port: 0 as PortNo }, at(20));
  assert.deepEqual(core.report(at(20)).macs, { local: 0, remote: 0 });
});

Deno.test("LoopGuard stops one of two ports of different hosts that are wired together, and stays with it", () => {
  const cluster = new Cluster(2);
  cluster.connect(0, 1);
  const [one, two] = [cluster.attach(0), cluster.attach(1)];
  const others = [cluster.attach(0), cluster.attach(1)];
  cluster.bridged.set(`0:${one}`, [`1:${two}`]);
  cluster.bridged.set(`1:${two}`, [`0:${one}`]);
  const stopped = () => cluster.hosts.map(({ core }) => core!.report(cluster.now).datapath.stopped.length);
  const seen = new Set<string>();
  for (let second = 0; second < 60; second++) {
    for (const [host, port] of others.entries()) shout(cluster, host, port, host === 0 ? ONE : TWO);
    for (let part = 0; part < 10; part++) {
      cluster.advance(100);
      if (second >= 5) seen.add(stopped().join(" "));
    }
  }
  assert.equal([...seen].length, 1, `one stays stopped: ${[...seen].join(", ")}`);
  assert.equal(stopped()[0]! + stopped()[1]!, 1);
  const [first, second] = [shout(cluster, 0, others[0]!, ONE), shout(cluster, 1, others[1]!, TWO)];
  assert.equal(first.filter((arrival) => arrival === `1:${others[1]}`).length, 1, "each frame once");
  assert.equal(second.filter((arrival) => arrival === `0:${others[0]}`).length, 1, "each frame once");
});

Deno.test("LoopGuard leaves the one port behind which all containers are to the bridge", () => {
  const cluster = new Cluster(2, { kind: "bridge" });
  cluster.connect(0, 1);
  const [one, two] = [cluster.attach(0), cluster.attach(1)];
  // Containers of both hosts are bridged together: what is for all comes back by the other host.
  for (const [host, port] of [[0, one], [1, two]] as const) {
    cluster.bridged.set(`${host}:${port}`, [`${host}:${port}`]);
  }
  for (let i = 0; i < 5; i++) {
    shout(cluster, 1, two, TWO);
    cluster.advance(2_500);
  }
  for (const { core } of cluster.hosts) {
    const { counters, datapath } = core!.report(cluster.now);
    assert.deepEqual(datapath.stopped, []);
    assert.ok(counters.macMoves + counters.dropped["loop-guard"] > 0, "addresses did move");
  }
});

Deno.test("LoopGuard only probes where a container has moved, ever more rarely", () => {
  const core = made();
  let probes = 0;
  for (let now = 0; now < 60_000; now += 100) {
    const effects = miss(core, local(ONE, BROADCAST, now / 100 % 2), now);
    probes += effects.filter((effect) => effect.kind === "execute").length;
  }
  assert.ok(probes >= 2 && probes <= 2 * 9, `${probes} probes`);
  assert.deepEqual(core.report(at(60_000)).datapath.stopped, []);
});

Deno.test("LoopGuard hushes who feigns a storm three times, and takes no probe that it did not send", () => {
  const core = made();
  let hushed = 0;
  for (let now = 0; now < 30_000; now++) {
    if (core.nextWake() <= now) core.step({ kind: "wake" }, at(now));
    const before = core.report(at(now)).counters.dropped.nobody;
    miss(core, local(ONE, BROADCAST, now % 2), now);
    if (core.report(at(now)).counters.dropped.nobody > before) hushed++;
  }
  assert.ok(hushed >= STORM_MOVES && hushed <= 3 * (HUSH_MS + 1), `${hushed} ms of hush`);
  const forged = encodeLoopProbe(2 ** 39);
  assert.equal(kinds(miss(core, local(OTHER, BROADCAST), 30_001, forged)).at(-1), "install");
  assert.deepEqual(core.report(at(30_001)).datapath.stopped, []);
});
