import assert from "node:assert/strict";
import type { Mac } from "../../../mod/core/addr.ts";
import type { LinkId } from "../../../mod/core/overlay_port.ts";
import type { Millis } from "../../../mod/core/time.ts";
import {
  BRIDGE_PORT,
  BridgeDatapath,
  type LoopWatch,
  SLEEVE_PORT,
} from "../../../mod/datapath/bridge_shell.ts";
import { Dataplane } from "../../../mod/overlay/dataplane.ts";
import type { DataplaneEvent } from "../../../mod/overlay/ports/dataplane_types.ts";
import type { SleeveEffect, SleevePort, TakePacket } from "../../../mod/overlay/ports/sleeve_port.ts";
import { TapKeeper } from "../../../mod/datapath/tap_keeper.ts";
import type { FlowAction, SleeveKey, Ufid } from "../../../mod/wire/netlink/ovs_keys.ts";
import type { Vni } from "../../../mod/wire/packet/vxlan.ts";
import { OVS_HOST } from "../overlay/ovs_host.ts";
import { DECIDED_MISSES, READ_PACKETS } from "../../../mod/datapath/miss_queue.ts";
import { FakeTap } from "../overlay/fake_sleeve.ts";
import { frameOf, numberOf } from "../overlay/kernel.ts";
import { SILENT } from "./link_notices.ts";
import { FakeNotices } from "../kernel_messages.ts";

const NOW = 0 as Millis;
const KEY: SleeveKey = { link: 3 as LinkId, id: 0x2001 as Vni };
const OUT: FlowAction = { kind: "output", port: BRIDGE_PORT };
const CARRY: FlowAction = { kind: "sleeve", port: SLEEVE_PORT, sleeve: KEY };
/** A virtio header that says something. */
const VIRTIO = Uint8Array.of(1, 1, 66, 0, 0x78, 5, 34, 0, 16, 0);

class FakeSleeve implements SleevePort {
  readonly fds = [11, 12];
  readonly sent: { key: SleeveKey; packet: Uint8Array; broadcast: boolean }[] = [];
  readonly performed: SleeveEffect[] = [];
  answer: Uint8Array<ArrayBuffer> | undefined;
  flushes = 0;
  constructor(readonly take: TakePacket) {}
  perform(effect: SleeveEffect): void {
    this.performed.push(effect);
  }
  sendTunnelled(): void {
    assert.fail("a bridge has no tunnels");
  }
  send(key: SleeveKey, bytes: Uint8Array, span: { from: number; to: number; broadcast: boolean }): void {
    this.sent.push({ key, packet: bytes.slice(span.from, span.to), broadcast: span.broadcast });
    const { answer } = this;
    this.answer = undefined;
    if (answer !== undefined) this.take({ link: KEY.link, id: 0x1002 as Vni }, answer, 16, answer.length);
  }
  /** What arrives in the next drain. */
  arriving: Uint8Array<ArrayBuffer> | undefined;
  drain(): boolean {
    const { arriving } = this;
    this.arriving = undefined;
    if (arriving !== undefined) {
      this.take({ link: 5 as LinkId, id: 0x1002 as Vni }, arriving, 16, arriving.length);
    }
    return false;
  }
  flush(): void {
    this.flushes++;
  }
  counts() {
    return { sentPackets: 0, sentBytes: 0, receivedPackets: 0, receivedBytes: 0, dropped: {} };
  }
  [Symbol.dispose](): void {}
}

function packetOf(dst: number, src: number, number = 0): Uint8Array<ArrayBuffer> {
  const frame = frameOf(dst, src, number);
  const packet = new Uint8Array(VIRTIO.length + frame.length);
  packet.set(VIRTIO);
  packet.set(frame, VIRTIO.length);
  return packet;
}

class Trial {
  readonly tap = new FakeTap();
  sleeve!: FakeSleeve;
  readonly notices = new FakeNotices();
  /** What puts everything in its place; says whether it had to. */
  put = () => false;
  readonly keeper = new TapKeeper({
    ...{ tap: this.tap, notices: this.notices, names: ["meshnet", "mesh-tap"], log: SILENT },
    put: () => this.put(),
  });
  readonly datapath: BridgeDatapath;
  readonly events: DataplaneEvent[] = [];
  /** What the core does with a miss. */
  onMiss: (event: Extract<DataplaneEvent, { kind: "miss" }>) => void = () => {};
  readonly post = (event: DataplaneEvent): void => {
    this.events.push(event);
    if (event.kind === "miss") this.onMiss(event);
  };
  constructor(watch?: LoopWatch) {
    this.datapath = new BridgeDatapath(
      this.tap,
      (take) => this.sleeve = new FakeSleeve(take),
      this.keeper,
      watch,
    );
  }
  now: Millis = NOW;
  drain(isReady: (index: number) => boolean = () => true): boolean {
    return this.datapath.drain(this.post, { now: this.now, isReady });
  }
  /** Rounds of the loop until nothing waits. */
  drainAll(): void {
    while (this.drain() || this.tap.queue.length > 0);
  }
  install(ufid: number, actions: readonly FlowAction[]): void {
    this.onMiss = ({ miss: { key, frame } }) => {
      const effect = { kind: "install", ufid: ufid as Ufid, replace: false, key, actions, frame } as const;
      this.datapath.perform(effect, this.post, NOW);
    };
  }
}

Deno.test("BridgeDatapath starts with the bridge and user space as ports, and no flows", () => {
  const { datapath } = new Trial();
  const started = datapath.start();
  assert.ok(started.kind === "started");
  assert.deepEqual(started.ports.map(({ port, kind, name }) => [port, kind, name]), [
    [1, "netdev", "mesh-tap"],
    [2, "sleeve", "sleeve"],
  ]);
  assert.deepEqual([started.flows, datapath.fds], [[], [30, 22, 11, 12]]);
});

Deno.test("BridgeDatapath asks about the first packet and carries it and those that follow, headers and all", () => {
  const trial = new Trial();
  trial.install(1, [CARRY]);
  trial.tap.queue.push(packetOf(2, 1, 100), packetOf(2, 1, 101), packetOf(2, 1, 102));
  trial.drainAll();
  assert.equal(trial.events.length, 1);
  const [event] = trial.events;
  assert.ok(event?.kind === "miss");
  assert.deepEqual({ ...event.miss.key }, { inPort: BRIDGE_PORT, ethSrc: 1 as Mac, ethDst: 2 as Mac });
  assert.deepEqual(trial.sleeve.sent.map(({ packet }) => numberOf(packet.subarray(10))), [100, 101, 102]);
  for (const { key, packet, broadcast } of trial.sleeve.sent) {
    assert.deepEqual([key, packet.subarray(0, 10), broadcast], [KEY, VIRTIO, false]);
  }
  trial.datapath.perform({ kind: "dump-flows" }, trial.post, NOW);
  const dump = trial.events.at(-1)!;
  assert.ok(dump.kind === "flows");
  assert.deepEqual(dump.flows.map(({ ufid, packets }) => [ufid, packets]), [[1, 2]]);
  trial.datapath.perform({ kind: "delete", ufid: 1 as Ufid }, trial.post, NOW);
  trial.tap.queue.push(packetOf(2, 1));
  trial.drain();
  assert.equal(trial.events.filter(({ kind }) => kind === "miss").length, 2);
});

Deno.test("BridgeDatapath delivers packets of links to the bridge, and relays them to links", () => {
  const trial = new Trial();
  trial.install(1, [OUT, CARRY]);
  trial.drain(); // whoever drains is told
  const packet = new Uint8Array([...new Uint8Array(16), ...packetOf(0xffff_ffff_ffff, 9, 7)]);
  for (let i = 0; i < 2; i++) {
    trial.sleeve.take({ link: 5 as LinkId, id: 0x1002 as Vni }, packet, 16, packet.length);
  }
  assert.equal(trial.events.length, 1);
  assert.deepEqual(trial.tap.written.map((each) => numberOf(each.subarray(10))), [7, 7]);
  assert.deepEqual(trial.sleeve.sent.map(({ broadcast }) => broadcast), [true, true]);
});

Deno.test("BridgeDatapath runs actions on frames of its own, with an empty header", () => {
  const trial = new Trial();
  const frame = frameOf(2, 1, 55);
  trial.datapath.perform({ kind: "execute", frame, inPort: SLEEVE_PORT, actions: [OUT] }, trial.post, NOW);
  assert.deepEqual(trial.tap.written[0]!.subarray(0, 10), new Uint8Array(10));
  assert.equal(numberOf(trial.tap.written[0]!.subarray(10)), 55);
});

Deno.test("BridgeDatapath keeps an answer to a packet under way until its turn, and the packet until its end", () => {
  const trial = new Trial();
  const answer = new Uint8Array([...new Uint8Array(16), ...packetOf(1, 2, 77)]);
  const queued: DataplaneEvent[] = [];
  trial.onMiss = ({ miss: { key, frame } }) => {
    if (queued.length > 0) return;
    trial.sleeve.answer = answer;
    const collect = (event: DataplaneEvent) => void queued.push(event);
    // As the loop does: what is posted while effects are performed waits.
    (trial as { post: unknown }).post = collect;
    trial.datapath.wake(collect, NOW);
    const effect = {
      kind: "install",
      ufid: 1 as Ufid,
      replace: false,
      key,
      actions: [CARRY, OUT],
      frame,
    } as const;
    trial.datapath.perform(effect, collect, NOW);
  };
  trial.tap.queue.push(packetOf(2, 1, 66));
  trial.drain();
  assert.equal(
    numberOf(trial.tap.written[0]!.subarray(10)),
    66,
    "the rest of its actions are carried out on it",
  );
  const [event] = queued;
  answer.fill(0);
  assert.ok(event?.kind === "miss");
  assert.equal(numberOf(event.miss.frame), 77, "a copy");
});

Deno.test("BridgeDatapath takes a bounded part of what waits and says that there is more", () => {
  const trial = new Trial();
  trial.drain(); // what follows comes in a row
  const count = READ_PACKETS + DECIDED_MISSES;
  for (let i = 0; i < count; i++) trial.tap.queue.push(packetOf(2, 1, i));
  assert.equal(trial.drain(), true);
  assert.deepEqual([trial.tap.queue.length, trial.events.length], [DECIDED_MISSES, DECIDED_MISSES]);
  trial.drainAll();
  assert.equal(trial.drain(), false);
  trial.tap.queue.push(new Uint8Array(12));
  trial.drain();
  assert.equal(trial.events.length, count, "runts are no frames");
});

Deno.test("BridgeDatapath sends a packet that comes alone at once, and gathers those that come in a row", () => {
  const trial = new Trial();
  trial.install(1, [CARRY]);
  const order: string[] = [];
  const read = trial.tap.read.bind(trial.tap);
  trial.tap.read = (at) => {
    const length = read(at);
    order.push(length === 0 ? "none" : "packet");
    return length;
  };
  trial.sleeve.flush = () => void order.push("sent");
  const round = (after: number, packets: number): readonly string[] => {
    trial.now = trial.now + after as Millis;
    for (let i = 0; i < packets; i++) trial.tap.queue.push(packetOf(2, 1, i));
    trial.drain();
    trial.datapath.flush(() => {}); // as the loop does at the end of each round
    return order.splice(0);
  };
  assert.deepEqual(round(5, 1), ["packet", "sent"], "waiting tells whether there is another");
  assert.deepEqual(round(5, 3), ["packet", "sent"]);
  assert.deepEqual(round(0.1, 0), ["packet", "packet", "none", "sent"]);
  assert.deepEqual(round(0.1, 2), ["packet", "packet", "none", "sent"]);
  assert.equal(round(0.1, 100).filter((each) => each === "packet").length, 64);
  assert.equal(
    round(5, 0).filter((each) => each === "packet").length,
    36,
    "there was more, however long ago",
  );
  assert.deepEqual(round(5, 1), ["packet", "sent"]);
  const rounds = [round(5, 100), round(5, 0), round(5, 0), round(5, 0), round(5, 0)];
  const taken = rounds.map((each) => each.filter((what) => what === "packet").length);
  assert.deepEqual(taken, [1, 1, 1, 64, 33], "long rounds do not mean that nothing waits");
});

Deno.test("BridgeDatapath takes the answer to what it delivered in the same round", () => {
  const trial = new Trial();
  trial.install(1, [OUT]);
  const links = (index: number) => index === 2;
  trial.drain(links);
  trial.sleeve.arriving = new Uint8Array([...new Uint8Array(16), ...packetOf(1, 2, 7)]);
  const write = trial.tap.write.bind(trial.tap);
  trial.tap.write = (...packet) => {
    if (trial.tap.written.length === 0) trial.tap.queue.push(packetOf(2, 1, 8)); // as a kernel does with an echo
    return write(...packet);
  };
  trial.drain(links);
  assert.deepEqual(trial.events.map(({ kind }) => kind), ["miss", "miss"]);
  assert.equal(trial.tap.queue.length, 0);
});

Deno.test("BridgeDatapath is woken when the watch for loops is due that a packet set", () => {
  let due = Infinity;
  const trial = new Trial({
    storm: (now) => void (due = now + 50),
    returned: () => "strange",
    strange: () => {},
    unlearn: () => {},
    stopped: [],
    nextWake: () => due,
  });
  assert.equal(trial.datapath.nextWake(), Infinity);
  for (let i = 0; i < 600; i++) trial.tap.queue.push(packetOf(0xff_ff_ff_ff_ff_ff, 1, i));
  trial.drainAll();
  assert.equal(trial.datapath.nextWake(), NOW + 50);
  trial.datapath.wake(trial.post, NOW); // from here on the loop asks the watch itself
  assert.equal(trial.datapath.nextWake(), Infinity);
});

Deno.test("BridgeDatapath has the kernel's bridge forget what the core does not believe any more", () => {
  const forgotten: [Mac, Millis][] = [];
  const trial = new Trial({
    storm: () => {},
    returned: () => "strange",
    strange: () => {},
    unlearn: (mac, now) => void forgotten.push([mac, now]),
    stopped: [],
    nextWake: () => Infinity,
  });
  trial.datapath.perform({ kind: "unlearn", mac: 0x20 as Mac }, trial.post, NOW);
  assert.deepEqual(forgotten, [[0x20, NOW]]);
});

Deno.test("BridgeDatapath with the data plane's core sends nothing back to the bridge, and asks once about what is known", () => {
  const { datapath, tap } = new Trial();
  const core = new Dataplane({
    ...{ ...OVS_HOST, mtu: 1410 },
    ...{ kind: "bridge", overlays: ["sleeve"], noFastdp: "the kernel has no Open vSwitch" },
  });
  const post = (event: DataplaneEvent): void => {
    for (const effect of core.step(event, NOW)) {
      assert.ok(effect.kind !== "overlay" && effect.kind !== "log" && effect.kind !== "xfrm");
      assert.ok(effect.kind !== "address-used");
      datapath.perform(effect, post, NOW);
    }
  };
  post(datapath.start());
  const [one, two, nobody, group] = [
    0x02_00_00_00_00_01,
    0x02_00_00_00_00_02,
    0x02_00_00_00_00_09,
    0xff_ff_ff_ff_ff_ff,
  ];
  // What a bridge floods: groups, and what it has forgotten; and last what nobody has.
  const known = [[group, one], [group, two], [two, one], [one, two]] as const;
  for (let round = 0; round < 3; round++) {
    for (const [dst, src] of known) tap.queue.push(packetOf(dst, src));
    tap.queue.push(packetOf(nobody, one));
    while (tap.queue.length > 0) datapath.drain(post, { now: NOW, isReady: () => true });
  }
  assert.equal(tap.written.length, 0);
  const { hits, misses } = datapath.counts();
  assert.deepEqual([hits, misses], [2 * known.length, known.length + 3]);
  assert.equal(core.report(NOW).datapath.flows, known.length);
});

Deno.test("BridgeDatapath: what has a flow waits for no miss, and a known sender's miss for one of a flood", () => {
  const trial = new Trial();
  const [known, peer, stranger] = [0x10, 0x20, 0x30];
  trial.install(1, [CARRY]);
  trial.tap.queue.push(packetOf(peer, known, 0)); // its flow
  trial.drainAll();
  trial.onMiss = () => {};
  trial.events.length = trial.sleeve.sent.length = 0;
  trial.now = 1 as Millis;
  trial.drain();
  for (let i = 0; i < 3 * DECIDED_MISSES; i++) trial.tap.queue.push(packetOf(0x1_0000 + i, 0x2_0000 + i, i));
  trial.drain();
  trial.drain();
  // Now some wait. Next come another one of the flood, one of the known sender and one that has a flow.
  const seen = trial.events.length;
  trial.tap.queue.push(packetOf(1, stranger), packetOf(stranger, known), packetOf(peer, known, 55));
  trial.drain();
  assert.deepEqual(trial.sleeve.sent.map(({ packet }) => numberOf(packet.subarray(10))), [55]);
  const sources = trial.events.slice(seen).flatMap((event) =>
    event.kind === "miss" ? [event.miss.key.ethSrc] : []
  );
  assert.ok(sources.indexOf(known as Mac) <= 1, `after ${sources.indexOf(known as Mac)} of the flood`);
  trial.drainAll();
  const all = trial.events.flatMap((event) => event.kind === "miss" ? [event.miss.key.ethSrc] : []);
  assert.deepEqual([all.length, all.at(-1)], [3 * DECIDED_MISSES + 2, stranger]);
});

Deno.test("BridgeDatapath: packets of misses that wait are carried whole, by the flow that came meanwhile", () => {
  const trial = new Trial();
  let ufid = 10;
  trial.onMiss = ({ miss: { key, frame } }) => {
    const effect = {
      kind: "install",
      ufid: ufid++ as Ufid,
      replace: false,
      key,
      actions: [CARRY],
      frame,
    } as const;
    trial.datapath.perform(effect, trial.post, NOW);
  };
  trial.drain();
  for (let i = 0; i < DECIDED_MISSES; i++) trial.tap.queue.push(packetOf(1_000 + i, 2, i));
  trial.drain();
  trial.drain(() => false); // a round begins
  for (let i = 0; i < DECIDED_MISSES; i++) {
    trial.sleeve.take(KEY, filled(5_000 + i, i), 16, filled(0, 0).length);
  }
  for (let i = 0; i < 3; i++) trial.sleeve.take(KEY, filled(9_999, 70 + i), 16, filled(0, 0).length);
  const before = trial.events.length;
  trial.drainAll();
  assert.equal(trial.events.length, before + 1, "one miss for the three packets of one flow");
  const last = trial.sleeve.sent.slice(-3).map(({ packet }) => [packet[0], numberOf(packet.subarray(10))]);
  assert.deepEqual(last, [[1, 70], [1, 71], [1, 72]]);
});

/** A packet that arrives over a link, where links have it. */
function filled(dst: number, number: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array([...new Uint8Array(16), ...packetOf(dst, 9, number)]);
}
