import assert from "node:assert/strict";
import type { Ip, Mac } from "../../../mod/core/addr.ts";
import { ERRNO } from "../../../mod/core/errno.ts";
import type { Millis } from "../../../mod/core/time.ts";
import type { DatapathEffect } from "../../../mod/overlay/ports/datapath_port.ts";
import type { DataplaneEvent } from "../../../mod/overlay/ports/dataplane_types.ts";
import { OvsDatapath } from "../../../mod/datapath/ovs_shell.ts";
import { NetlinkWriter } from "../../../mod/wire/netlink/netlink_writer.ts";
import { OVS_CMD } from "../../../mod/wire/netlink/ovs.ts";
import { decodeFlow, writeFlowNew } from "../../../mod/wire/netlink/ovs_flow.ts";
import type { FlowAction, FlowKey, PortNo, TunnelKey, Ufid } from "../../../mod/wire/netlink/ovs_keys.ts";
import type { Vni } from "../../../mod/wire/packet/vxlan.ts";
import { attributesOf, u32Of } from "../kernel_messages.ts";
import { FAMILIES } from "../wire/netlink/ovs_vectors.ts";
import { CLOSED_LEG } from "./link_notices.ts";
import { DATAPATH_INDEX, FakeOvs, type FakePort, UPCALL_PID } from "./fake_ovs.ts";

const at = (ms: number) => ms as Millis;
const NAMED = { name: "meshnet", mtu: 1376, leg: CLOSED_LEG };
const KEY: FlowKey = { inPort: 1 as PortNo, ethSrc: 2 as Mac, ethDst: 4 as Mac };

const ALL = 0xffff_ffff_ffff as Mac;
const TUNNEL: TunnelKey = { id: 0x2001 as Vni, src: "192.0.2.1" as Ip, dst: "192.0.2.2" as Ip };

/** The meters among actions, which stand in front of what leaves for other hosts. */
function metersOf(actions: Uint8Array): number[] {
  const kinds = [...attributesOf(actions, 0)];
  return kinds.flatMap(([type, value]) => type === 19 ? [u32Of(value)] : []);
}

/** An open datapath and everything it posted. */
function opened(fake = new FakeOvs()) {
  const datapath = OvsDatapath.open(fake, NAMED);
  const posted: DataplaneEvent[] = [];
  const post = (event: DataplaneEvent) => void posted.push(event);
  post(datapath.start());
  const drain = (now = 0) => datapath.drain(post, { now: at(now), isReady: () => true });
  const perform = (effect: DatapathEffect, now = 0) => datapath.perform(effect, post, at(now));
  const wake = (now: number) => datapath.wake(post, at(now));
  const take = () => posted.splice(0);
  return { fake, datapath, drain, perform, wake, take };
}

function veth(port: number, pid = 0): FakePort {
  return { port, type: 1, name: `vmn${port}`, pid };
}

function miss(inPort: number): Uint8Array {
  const writer = new NetlinkWriter().begin(FAMILIES.packet, 0).u8(1).u8(1).u16(0).u32(DATAPATH_INDEX);
  const key = writer.open(2);
  writer.attrBytes(4, new Uint8Array(12).fill(2)).attrU32(3, inPort).close(key);
  return writer.attrBytes(1, new Uint8Array(60)).end().finish();
}

function flow(ufid: number, key: FlowKey = KEY): Uint8Array {
  const writer = new NetlinkWriter();
  writeFlowNew(writer, FAMILIES, DATAPATH_INDEX, { ufid: ufid as Ufid, key, actions: [] });
  return writer.finish();
}

/** A refusal of an installation, as the kernel returns it. */
function refused(errno: number, request: Uint8Array): Uint8Array {
  return new NetlinkWriter().begin(2, 0).u32(-errno).raw(request).end().finish();
}

Deno.test("OvsDatapath.open() makes a datapath whose misses all come to one socket", () => {
  const { fake, take } = opened();
  assert.deepEqual(fake.datapath, { name: "meshnet", features: 11, pids: [UPCALL_PID, UPCALL_PID] });
  assert.deepEqual(fake.link, { mtu: 1376, up: true });
  assert.equal(fake.ports.get(0)?.pid, UPCALL_PID);
  const [started] = take();
  assert.ok(started?.kind === "started");
  assert.deepEqual(started.ports.map((port) => [port.port, port.kind, port.name]), [[
    0,
    "internal",
    "meshnet",
  ]]);
});

Deno.test("OvsDatapath meters what containers send to all other hosts, where the kernel can", () => {
  for (const hasMeters of [true, false]) {
    const fake = new FakeOvs();
    fake.hasMeters = hasMeters;
    const { datapath, perform } = opened(fake);
    const out = { kind: "output", port: 2 as PortNo } as const;
    const away = { kind: "tunnel", port: 3 as PortNo, tunnel: TUNNEL } as const;
    const flows: readonly (readonly [FlowKey, readonly FlowAction[]])[] = [
      [{ ...KEY, ethDst: ALL }, [out, away]],
      [{ ...KEY, ethDst: ALL, ethSrc: 6 as Mac }, [out, away, away]],
      [{ ...KEY, ethDst: 0x0100_5e00_0001 as Mac }, [away]],
      [{ ...KEY, ethDst: ALL }, [out]],
      [KEY, [away]],
      [{ ...KEY, ethDst: ALL, tunnel: TUNNEL }, [out, away]],
    ];
    flows.forEach(([key, actions], i) =>
      perform({ kind: "install", ufid: i + 1 as Ufid, replace: false, key, actions, frame: undefined })
    );
    datapath.flush(() => {});
    assert.deepEqual(fake.meters, hasMeters ? [3, 4] : []);
    const sent = fake.sends.flat().map(({ bytes }) => bytes);
    const meters = sent.map((bytes) => metersOf(attributesOf(bytes, 24).get(2)!));
    assert.deepEqual(meters, hasMeters ? [[3], [3], [4], [], [], []] : [[], [], [], [], [], []]);
    const read = sent.map((bytes) => decodeFlow(bytes));
    assert.deepEqual(read.map((each) => each.ok && each.value.actions), flows.map(([, actions]) => actions));
  }
});

Deno.test("OvsDatapath.open() adopts what is there: ports, flows, features of others", () => {
  const fake = new FakeOvs();
  fake.datapath = { name: "meshnet", features: 4, pids: [] };
  fake.ports.set(0, { ...veth(0), type: 2, name: "meshnet" }).set(3, veth(3, 99));
  fake.flows = [flow(12)];
  const { take } = opened(fake);
  assert.equal(fake.datapath.features, 15);
  assert.equal(fake.ports.get(3)?.pid, UPCALL_PID);
  const [started] = take();
  assert.ok(started?.kind === "started");
  assert.deepEqual(started.flows.map(({ key, ufid }) => [ufid, key]), [[12, KEY]]);
  assert.equal(started.ports.length, 2);
  assert.equal(fake.requests.includes("ovs_datapath 1"), false);
});

Deno.test("OvsDatapath.open() goes by port where the kernel does not know dispatch by CPU", () => {
  const fake = new FakeOvs();
  fake.perCpu = false;
  opened(fake);
  assert.deepEqual(fake.datapath, { name: "meshnet", features: 3, pids: [] });
});

Deno.test("OvsDatapath.open() lets the kernel load its module, and names it when there is none", () => {
  const fake = new FakeOvs();
  fake.loaded = false;
  assert.throws(() => opened(fake), (error: { code: string; hint: string }) => {
    assert.equal(error.code, "datapath/module-missing");
    assert.match(error.hint, /modprobe openvswitch/);
    return true;
  });
  assert.equal(fake.open, 0); // nothing is left open
  fake.autoload = true;
  opened(fake);
});

Deno.test("OvsDatapath.open() refuses a name that another interface has", () => {
  const fake = new FakeOvs();
  fake.interfaces.add("meshnet");
  assert.throws(() => opened(fake), { code: "datapath/wrong-kind", hint: /ip link delete meshnet/ });
});

Deno.test("OvsDatapath posts ports that come, change and go, and directs their misses here", () => {
  const { drain, fake, take } = opened();
  take();
  const port = veth(1);
  fake.ports.set(1, port);
  fake.notices.push(fake.portMessage(port));
  fake.notices.push(fake.portMessage({ ...port, pid: UPCALL_PID }, OVS_CMD.set)); // our own change comes back
  fake.notices.push(fake.portMessage(veth(8), OVS_CMD.new, 9)); // of another datapath
  drain();
  assert.deepEqual(take().map((e) => e.kind === "port-appeared" && e.port.name), ["vmn1"]);
  assert.equal(port.pid, UPCALL_PID);
  fake.notices.push(fake.portMessage({ ...port, pid: 0 }, OVS_CMD.set)); // somebody takes its misses away
  port.pid = 0;
  drain();
  assert.equal(port.pid, UPCALL_PID);
  fake.notices.push(fake.portMessage({ ...port, name: "renamed", pid: UPCALL_PID }, OVS_CMD.set));
  fake.notices.push(fake.portMessage(port, OVS_CMD.del), fake.portMessage(port, OVS_CMD.del));
  drain();
  assert.deepEqual(take().map((e) => e.kind), ["port-removed", "port-appeared", "port-removed"]);
});

Deno.test("OvsDatapath compares ports after news were lost", () => {
  const { drain, fake, take } = opened();
  fake.ports.set(1, veth(1)).set(2, veth(2));
  fake.notices.push(fake.portMessage(veth(7)));
  drain();
  take();
  fake.notices.push("overrun");
  drain();
  assert.deepEqual(
    take().map((e) => e.kind === "port-appeared" ? e.port.port : e.kind === "port-removed" && -e.port),
    [
      -7,
      1,
      2,
    ],
  );
});

Deno.test("OvsDatapath meets a port whose frame was faster than its news", () => {
  const { drain, fake, take } = opened();
  take();
  fake.ports.set(4, veth(4));
  fake.upcalls.push(miss(4), miss(4), miss(5));
  assert.equal(drain(), false);
  assert.deepEqual(take().map((e) => e.kind), ["port-appeared", "miss", "miss", "miss"]);
  assert.equal(fake.ports.get(4)?.pid, UPCALL_PID);
});

Deno.test("OvsDatapath.drain() takes a bounded number of misses and says that there are more", () => {
  const { drain, fake, take } = opened();
  take();
  assert.equal(drain(10), false);
  fake.upcalls.push(...Array.from({ length: 66 }, () => miss(0)));
  assert.equal(drain(20), true);
  const first = take();
  assert.equal(first.length, 33);
  assert.deepEqual(first.at(-1), { kind: "backlog", since: 10 }, "since when some may be unread");
  assert.equal(drain(30), true);
  assert.equal(take().length, 32);
  assert.equal(drain(40), false);
  assert.deepEqual(take().map((event) => event.kind), ["miss", "miss", "backlog"]);
  fake.upcalls.push(...Array.from({ length: 34 }, () => miss(0)));
  assert.equal(drain(50), true);
  assert.deepEqual(take().at(-1), { kind: "backlog", since: 40 });
});

Deno.test("OvsDatapath reads more misses than it decides, and each port has its turn", () => {
  const { drain, fake, take } = opened(Object.assign(new FakeOvs(), { batchSize: 32 }));
  const ports = () => take().flatMap((event) => event.kind === "miss" ? [event.miss.key.inPort] : []);
  fake.ports.set(1, veth(1)).set(2, veth(2));
  fake.upcalls.push(...Array.from({ length: 100 }, () => miss(1)), miss(2));
  assert.equal(drain(), true);
  assert.deepEqual(ports(), new Array(64).fill(1));
  assert.equal(drain(), false);
  assert.deepEqual(ports().slice(0, 3), [1, 2, 1]);
});

Deno.test("OvsDatapath sends flow and frame together, everything of a batch at once", () => {
  const { datapath, fake, perform } = opened();
  const frame = new Uint8Array(60).fill(7);
  const actions = [{ kind: "output", port: 2 as PortNo }] as const;
  perform({ kind: "install", ufid: 1 as Ufid, replace: false, key: KEY, actions, frame });
  perform({ kind: "install", ufid: 1 as Ufid, replace: true, key: KEY, actions, frame: undefined });
  perform({ kind: "install", ufid: 2 as Ufid, replace: false, key: KEY, actions: [], frame });
  perform({ kind: "execute", frame, inPort: 1 as PortNo, actions });
  perform({ kind: "delete", ufid: 1 as Ufid });
  const foreign = decodeFlow(flow(3));
  assert.ok(foreign.ok);
  perform({ kind: "delete-foreign", handle: foreign.value.handle });
  assert.equal(fake.sends.length, 0);
  datapath.flush(() => {});
  datapath.flush(() => {});
  assert.deepEqual(fake.sends.map((send) => send.map((m) => `${m.family} ${m.command}`)), [[
    "ovs_flow 1",
    "ovs_packet 3",
    "ovs_flow 4",
    "ovs_flow 1",
    "ovs_packet 3",
    "ovs_flow 2",
    "ovs_flow 2",
  ]]);
});

Deno.test("OvsDatapath does not gather more than one send can carry", () => {
  const { datapath, fake, perform } = opened();
  const frame = new Uint8Array(65_000);
  const actions = [{ kind: "output", port: 2 as PortNo }] as const;
  for (let i = 0; i < 4; i++) perform({ kind: "execute", frame, inPort: 1 as PortNo, actions });
  datapath.flush(() => {});
  assert.deepEqual(fake.sends.map((send) => send.length), [2, 2]);
});

Deno.test("OvsDatapath sends request by request what the kernel does not take at once, and counts what it never takes", () => {
  const { datapath, fake, perform } = opened();
  const actions = [{ kind: "output", port: 2 as PortNo }] as const;
  const post = () => {};
  fake.sendLimit = 2_000;
  for (const length of [1_500, 3_000, 1_501]) {
    perform({ kind: "execute", frame: new Uint8Array(length), inPort: 1 as PortNo, actions });
  }
  datapath.flush(post);
  assert.equal(fake.sends.length, 2, "all but the one that is too long by itself");
  assert.equal(datapath.counts().refused, 1);
  assert.ok(fake.logged.includes("warn overlay/send-failed"), fake.logged.join());
  fake.sendLimit = Infinity;
  datapath.flush(post);
  assert.equal(fake.sends.length, 2, "nothing is sent twice");
});

Deno.test("OvsDatapath answers a dump after what was asked before", () => {
  const { fake, perform, take } = opened();
  take();
  fake.flows = [flow(5)];
  perform({ kind: "delete", ufid: 1 as Ufid });
  perform({ kind: "dump-flows" });
  assert.equal(fake.sends.length, 1);
  assert.deepEqual(take().map((e) => e.kind === "flows" && e.flows.map((f) => f.ufid)), [[5]]);
});

Deno.test("OvsDatapath posts refused installations, and no vanished deletions", () => {
  const { datapath, drain, fake, take } = opened();
  take();
  fake.upcalls.push(refused(ERRNO.EINVAL, flow(41)));
  const writer = new NetlinkWriter().begin(FAMILIES.flow, 1).u8(OVS_CMD.del).u8(1).u16(0).u32(DATAPATH_INDEX);
  fake.upcalls.push(refused(ERRNO.ENOENT, writer.end().finish()), Uint8Array.of(1, 2, 3));
  drain();
  assert.deepEqual(take(), [{
    kind: "install-failed",
    ufid: 41 as Ufid,
    reason: "invalid argument (EINVAL)",
  }]);
  const { damaged, refused: counted } = datapath.counts();
  assert.deepEqual([damaged, counted], [1, 1]);
});

Deno.test("OvsDatapath makes a vxlan port, once", () => {
  const { fake, perform, take } = opened();
  take();
  perform({ kind: "ensure-vxlan", udpPort: 6784 });
  perform({ kind: "ensure-vxlan", udpPort: 6784 });
  assert.deepEqual(take().map((e) => e.kind), ["port-appeared", "vxlan-ready", "vxlan-ready"]);
  assert.deepEqual(fake.ports.get(1), {
    port: 1,
    type: 4,
    name: "vxlan-6784",
    udpPort: 6784,
    pid: UPCALL_PID,
  });
});

Deno.test("OvsDatapath tries a busy UDP port again, five times in all", () => {
  const { datapath, fake, perform, take, wake } = opened();
  take();
  fake.refusals.push(ERRNO.EADDRINUSE, ERRNO.EADDRINUSE);
  perform({ kind: "ensure-vxlan", udpPort: 6784 }, 100);
  assert.equal(datapath.nextWake(), 110);
  wake(109);
  assert.deepEqual(take(), []);
  wake(110);
  wake(120);
  assert.deepEqual(take().map((e) => e.kind), ["port-appeared", "vxlan-ready"]);
  assert.equal(datapath.nextWake(), Infinity);
  fake.refusals.push(...Array<number>(5).fill(ERRNO.EADDRINUSE));
  perform({ kind: "ensure-vxlan", udpPort: 7001 }, 200);
  for (let now = 210; datapath.nextWake() < Infinity; now += 10) wake(now);
  assert.deepEqual(take(), [
    { kind: "vxlan-failed", udpPort: 7001, reason: "UDP port 7001 is in use by another program" },
  ]);
  assert.equal(fake.refusals.length, 0);
});

Deno.test("OvsDatapath takes a vxlan interface that stays down for a port that is in use", () => {
  const { fake, perform, take, wake } = opened();
  take();
  fake.down.add("vxlan-6784");
  perform({ kind: "ensure-vxlan", udpPort: 6784 });
  assert.deepEqual([...fake.ports.keys()], [0]); // removed again
  fake.down.clear();
  wake(10);
  assert.deepEqual(take().map((e) => e.kind), ["port-appeared", "vxlan-ready"]);
});

Deno.test("OvsDatapath says at once what no retry can mend", () => {
  const { fake, perform, take } = opened();
  take();
  fake.refusals.push(ERRNO.EAFNOSUPPORT, ERRNO.EEXIST);
  perform({ kind: "ensure-vxlan", udpPort: 6784 });
  perform({ kind: "ensure-vxlan", udpPort: 6784 });
  assert.deepEqual(take().map((e) => e.kind === "vxlan-failed" && e.reason), [
    "kernel's Open vSwitch has no VXLAN: load its module with modprobe vport-vxlan",
    "another VXLAN interface uses UDP port 6784 or the name vxlan-6784",
  ]);
});

Deno.test("OvsDatapath sets dispatch back when another program changed it", () => {
  const { datapath, drain, fake, wake } = opened();
  fake.datapath = { ...fake.datapath!, features: 9 };
  fake.notices.push(fake.datapathMessage(OVS_CMD.set));
  drain(1_000);
  assert.equal(datapath.nextWake(), 1_000);
  wake(1_000);
  assert.equal(fake.datapath.features, 11);
  fake.datapath = { ...fake.datapath, pids: [1, 1] };
  fake.notices.push(fake.datapathMessage(OVS_CMD.set));
  drain(1_001);
  assert.equal(datapath.nextWake(), 1_200); // not in a race with a program that insists
  wake(1_200);
  assert.deepEqual(fake.datapath.pids, [UPCALL_PID, UPCALL_PID]);
  assert.deepEqual(fake.logged, [
    "debug overlay/datapath-opened-by-others dispatch",
    "warn overlay/datapath-changed-by-others dispatch",
  ]);
  assert.equal(datapath.counts().repaired, 2);
});

Deno.test("OvsDatapath ends when somebody removes the datapath", () => {
  const { drain, fake } = opened();
  fake.notices.push(fake.datapathMessage(OVS_CMD.del, 9)); // another one
  drain();
  fake.notices.push(fake.datapathMessage(OVS_CMD.del));
  assert.throws(() => drain(), { code: "datapath/unavailable", message: /removed by another program/ });
});

Deno.test("OvsDatapath closes its sockets and leaves the kernel as it is", () => {
  const { datapath, fake } = opened();
  const before = fake.requests.length;
  datapath[Symbol.dispose]();
  assert.equal(fake.open, 0);
  assert.equal(fake.requests.length, before);
});
