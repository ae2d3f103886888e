import assert from "node:assert/strict";
import type { LinkId } from "../../../mod/core/overlay_port.ts";
import type { Ip, Mac } from "../../../mod/core/addr.ts";
import { ERRNO } from "../../../mod/core/errno.ts";
import type { Millis } from "../../../mod/core/time.ts";
import type { DatapathEffect } from "../../../mod/overlay/ports/datapath_port.ts";
import { Dataplane } from "../../../mod/overlay/dataplane.ts";
import type { DataplaneEvent } from "../../../mod/overlay/ports/dataplane_types.ts";
import { OvsDatapath } from "../../../mod/datapath/ovs_shell.ts";
import { leftForKernel } from "../../../mod/datapath/tagged_links_shell.ts";
import type { SleeveNews } from "../../../mod/overlay/ports/sleeve_port.ts";
import { NetlinkWriter } from "../../../mod/wire/netlink/netlink_writer.ts";
import { OVS_CMD } from "../../../mod/wire/netlink/ovs.ts";
import { decodeFlow, writeFlowNew } from "../../../mod/wire/netlink/ovs_flow.ts";
import type { FlowAction, FlowKey, PortNo, SleeveKey, Ufid } from "../../../mod/wire/netlink/ovs_keys.ts";
import type { Vni } from "../../../mod/wire/packet/vxlan.ts";
import { FAMILIES } from "../wire/netlink/ovs_vectors.ts";
import { OVS_HOST } from "../overlay/ovs_host.ts";
import { DATAPATH_INDEX, FakeOvs, UPCALL_PID } from "./fake_ovs.ts";
import { CLOSED_LEG } from "./link_notices.ts";
import { FakePath, FakeTap } from "../overlay/fake_sleeve.ts";

const TAP_INDEX = 9;
const PORT = 1 as PortNo;
const key = (link: number, id: number): SleeveKey => ({ link: link as LinkId, id: id as Vni });
const send = (sleeve: SleeveKey): FlowAction => ({ kind: "sleeve", port: PORT, sleeve });
const ufid = (n: number) => n as Ufid;

/** An open datapath with user space's port, and everything it posted. */
function opened(fake = new FakeOvs()) {
  fake.tap = { name: "mesh-tap", index: TAP_INDEX, mtu: 1500, up: false };
  const tap = new FakeTap();
  let path: FakePath | undefined;
  const datapath = OvsDatapath.open(fake, {
    name: "meshnet",
    mtu: 1376,
    leg: CLOSED_LEG,
    userSpace: {
      tap,
      openPath: (take) => path = new FakePath(take),
      [Symbol.dispose]: () => tap[Symbol.dispose](),
    },
  });
  const posted: DataplaneEvent[] = [];
  const post = (event: DataplaneEvent) => void posted.push(event);
  post(datapath.start());
  const drain = (ready: (index: number) => boolean = () => true) =>
    datapath.drain(post, { now: 0 as Millis, isReady: ready });
  const perform = (effect: DatapathEffect) => datapath.perform(effect, post, 0 as Millis);
  const take = () => posted.splice(0);
  return { fake, datapath, drain, flush: () => datapath.flush(post), path: path!, perform, take, tap };
}

function frame(dst: number, ...rest: readonly number[]): Uint8Array {
  return Uint8Array.of(dst, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, ...rest, ...new Uint8Array(40).fill(7));
}
const IPV4 = [0x08, 0x00];
const tagged = (tag: number) => [0x81, 0x00, tag >> 8, tag & 255, ...IPV4];
const packet = (bytes: Uint8Array) => Uint8Array.of(...new Uint8Array(10), ...bytes);

/** A miss of user space's port, with the tag (the kernel sets its bit 12) and a tag of its own if asked for. */
function miss(tag: number, inPort = 1, own = false): Uint8Array {
  const writer = new NetlinkWriter().begin(FAMILIES.packet, 0).u8(1).u8(1).u16(0).u32(DATAPATH_INDEX);
  const opened = writer.open(2);
  writer.attrBytes(4, Uint8Array.of(2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2)).attrU32(3, inPort);
  if (tag !== 0) {
    const encap = writer.attrBe16(6, 0x8100).attrBe16(5, tag | 0x1000).open(1);
    if (own) {
      const inner = writer.attrBe16(6, 0x8100).attrBe16(5, 0x1005).open(1);
      writer.attrBe16(6, 0x0800).close(inner);
    } else writer.attrBe16(6, 0x0800);
    writer.close(encap);
  }
  writer.close(opened);
  return writer.attrBytes(1, frame(2, ...(tag === 0 ? IPV4 : tagged(tag)))).end().finish();
}

/** The tag that an installed flow puts on frames. */
function tagOfAction(message: Uint8Array): number {
  const at = message.findIndex((octet, i) =>
    octet === 8 && message[i + 2] === 4 && message[i + 4] === 0x81 && message[i + 5] === 0
  );
  return (message[at + 6]! << 8 | message[at + 7]!) & ~0x1000;
}

Deno.test("OvsDatapath makes the TAP a port, up and with room, which is nobody's local one", () => {
  const { datapath, fake, take } = opened();
  assert.deepEqual(fake.tap, { name: "mesh-tap", index: TAP_INDEX, mtu: 65_521, up: true });
  assert.deepEqual(fake.ports.get(1), {
    port: 1,
    type: 1,
    name: "mesh-tap",
    udpPort: undefined,
    pid: UPCALL_PID,
  });
  const [started] = take();
  assert.ok(started?.kind === "started");
  assert.deepEqual(started.ports.map((port) => `${port.port} ${port.kind}`), ["0 internal", "1 sleeve"]);
  assert.deepEqual(datapath.fds, [20, 21, 30, 22, 40, 41]);
});

Deno.test("OvsDatapath removes the port that a dead process left first", () => {
  const fake = new FakeOvs();
  fake.datapath = { name: "meshnet", features: 0, pids: [] };
  fake.ports.set(0, { port: 0, type: 2, name: "meshnet", pid: 0 });
  fake.ports.set(4, { port: 4, type: 1, name: "mesh-tap", pid: 3 });
  opened(fake);
  assert.deepEqual([...fake.ports.keys()], [0, 1]);
});

Deno.test("OvsDatapath goes on without user space when the TAP cannot become a port", () => {
  const fake = new FakeOvs();
  fake.refusals.push(ERRNO.EINVAL);
  const { datapath, drain, path, perform, take, tap } = opened(fake);
  assert.deepEqual([path, tap.disposed], [undefined, true]);
  assert.deepEqual(fake.logged, ["warn overlay/sleeve-unavailable"]);
  assert.deepEqual(datapath.fds, [20, 21]);
  take();
  perform({ kind: "sleeve-close", link: 1 as LinkId });
  perform({
    kind: "install",
    ufid: ufid(1),
    replace: false,
    key: { inPort: PORT, sleeve: key(1, 1) },
    actions: [],
    frame: undefined,
  });
  drain();
  assert.deepEqual(take().map((e) => e.kind), ["install-failed"]);
  assert.equal(datapath.counts().sleeve, undefined);
});

Deno.test("OvsDatapath never takes an interface of the TAP's name for a local port", () => {
  const fake = new FakeOvs();
  const datapath = OvsDatapath.open(fake, { name: "meshnet", mtu: 1376, leg: CLOSED_LEG });
  const left = { port: 3, type: 1, name: "mesh-tap", pid: UPCALL_PID };
  fake.notices.push(fake.portMessage(left));
  const posted: DataplaneEvent[] = [];
  posted.push(datapath.start());
  datapath.drain((event) => posted.push(event), { now: 0 as Millis, isReady: () => true });
  assert.deepEqual(posted.map((e) => e.kind === "port-appeared" ? e.port.kind : e.kind), [
    "started",
    "other",
  ]);
});

Deno.test("OvsDatapath carries packets from the TAP to the link of their tag, without the tag", () => {
  const { datapath, drain, fake, flush, path, perform, tap } = opened();
  perform({
    kind: "install",
    ufid: ufid(1),
    replace: false,
    key: { inPort: 2 as PortNo },
    actions: [send(key(7, 3))],
    frame: undefined,
  });
  flush();
  const tag = tagOfAction(fake.sends[0]![0]!.bytes);
  tap.queue.push(packet(frame(2, ...tagged(9)))); // a flow of an earlier process did that
  drain();
  assert.deepEqual(path.sent, []);
  tap.queue.push(packet(frame(2, ...tagged(tag))), packet(frame(1, ...tagged(tag))));
  tap.queue.push(packet(frame(2, ...tagged(99))), packet(frame(2, ...IPV4)));
  assert.equal(drain((index) => index === 2), false);
  assert.deepEqual(path.sent, [
    { key: key(7, 3), packet: packet(frame(2, ...IPV4)), broadcast: false },
    { key: key(7, 3), packet: packet(frame(1, ...IPV4)), broadcast: true },
  ]);
  assert.deepEqual(path.ready, [false, false]);
  assert.deepEqual(datapath.counts().sleeve?.dropped, {
    damaged: 5,
    untagged: 1,
    "unknown-tag": 2,
    "no-tag": 0,
    "kernel-refused": 0,
  });
});

Deno.test("OvsDatapath takes a bounded number of packets from the TAP, and says that there are more", () => {
  const { drain, path, tap } = opened();
  drain();
  path.arrived.push({ key: key(7, 3), packet: packet(frame(2, ...IPV4)) });
  drain();
  const [written] = tap.written;
  tap.queue.push(...Array.from({ length: 70 }, () => written!));
  assert.equal(drain(), true);
  assert.equal(path.sent.length, 64);
  assert.equal(drain(), false);
  assert.equal(path.sent.length, 70);
});

Deno.test("OvsDatapath writes packets of links to the TAP with a tag, and knows it in the miss", () => {
  const { datapath, drain, fake, path, take, tap } = opened();
  take();
  path.arrived.push({ key: key(7, 0x5004), packet: packet(frame(2, ...IPV4)) });
  drain();
  const [written] = tap.written;
  const tag = written![24]! << 8 | written![25]!;
  assert.deepEqual(written, packet(frame(2, ...tagged(tag))));
  fake.upcalls.push(miss(tag), miss(tag, 1, true), miss(4000), miss(0));
  drain();
  const seen = take().map((e) => e.kind === "miss" ? e.miss : undefined);
  const macs = { ethSrc: 0x020000000001 as Mac, ethDst: 0x020000000002 as Mac };
  assert.deepEqual(seen.map((m) => m?.key), [
    { inPort: 1, sleeve: key(7, 0x5004), ...macs, tagged: undefined },
    { inPort: 1, sleeve: key(7, 0x5004), ...macs, tagged: true },
  ]);
  assert.deepEqual(seen[0]!.frame, frame(2, ...IPV4));
  assert.equal(datapath.counts().sleeve?.dropped["unknown-tag"], 2);
  tap.takes = false;
  path.arrived.push({ key: key(7, 0x5004), packet: packet(frame(2, ...IPV4)) });
  drain();
  assert.equal(datapath.counts().sleeve?.dropped["kernel-refused"], 1);
});

Deno.test("OvsDatapath installs flows of user space's port by tag, and releases tags with their flows", () => {
  const { datapath, drain, fake, flush, path, perform, take } = opened();
  const from = { inPort: PORT, sleeve: key(7, 3), ethSrc: 2 as Mac, ethDst: 4 as Mac };
  const install = (id: number, flowKey: FlowKey, actions: readonly FlowAction[]) =>
    perform({
      kind: "install",
      ufid: ufid(id),
      replace: false,
      key: flowKey,
      actions,
      frame: frame(2, ...IPV4),
    });
  install(1, from, [{ kind: "output", port: 2 as PortNo }]);
  install(2, { inPort: 2 as PortNo }, [send(key(7, 3)), send(key(8, 3))]);
  flush();
  assert.deepEqual(fake.sends[0]!.map((m) => `${m.family} ${m.command}`), [
    "ovs_flow 1",
    "ovs_packet 3",
    "ovs_flow 1",
    "ovs_packet 3",
  ]);
  const tag = tagOfAction(fake.sends[0]![2]!.bytes);
  perform({ kind: "sleeve-close", link: 7 as LinkId });
  perform({ kind: "delete", ufid: ufid(1) });
  assert.deepEqual(path.performed, [{ kind: "sleeve-close", link: 7 }]);
  take();
  fake.upcalls.push(miss(tag));
  drain();
  assert.deepEqual(take(), []);
  assert.equal(datapath.counts().sleeve?.dropped["unknown-tag"], 1);
});

Deno.test("OvsDatapath hands effects to user space, posts its news and flushes it", () => {
  const { drain, flush, path, perform, take } = opened();
  take();
  const news: SleeveNews = { kind: "too-big", link: 7 as LinkId, interfaceMtu: 1400, routeMtu: 1400 };
  path.news.push(news);
  path.late.push(news);
  drain();
  assert.deepEqual(take(), [news, news]);
  const flushes = path.flushes;
  const effect = { kind: "special", link: 7 as LinkId, df: true, frame: {} } as unknown as DatapathEffect;
  perform(effect);
  flush();
  assert.deepEqual(path.performed, [effect]);
  assert.equal(path.flushes, flushes + 1);
});

Deno.test("OvsDatapath has user space send tunnel packets with DF, which the kernel may refuse; without it they have none", () => {
  const tunnel = { id: 0x2001 as Vni, src: "192.0.2.1" as Ip, dst: "192.0.2.2" as Ip };
  const action: FlowAction = { kind: "tunnel", port: 3 as PortNo, tunnel };
  const fake = new FakeOvs();
  fake.ports.set(3, { port: 3, type: 4, name: "vxlan-6784", pid: 0, udpPort: 6784 });
  const { flush, path, perform } = opened(fake);
  const order = { kind: "execute", frame: new Uint8Array(1_390).fill(1), inPort: PORT } as const;
  perform({ ...order, actions: [{ ...action, df: true }] });
  flush();
  assert.deepEqual(path.tunnelled, [{ frame: order.frame, tunnel, udpPort: 6784 }]);
  assert.equal(fake.sends.length, 0);
  perform({ ...order, actions: [action] });
  flush();
  assert.deepEqual([path.tunnelled.length, fake.sends.length], [1, 1]);
  const whole = { ...order, actions: [{ ...action, df: true as const }] };
  assert.deepEqual(leftForKernel(whole, undefined, new Map())?.actions, [action]);
});

Deno.test("OvsDatapath disposes user space, TAP included", () => {
  const { datapath, path, tap } = opened();
  datapath[Symbol.dispose]();
  assert.deepEqual([path.disposed, tap.disposed], [true, true]);
});

Deno.test("flows of user space that an earlier process left are deleted at the start", () => {
  const fake = new FakeOvs();
  const flow = (id: number, flowKey: FlowKey, actions: readonly FlowAction[]) => {
    const writer = new NetlinkWriter();
    const tagOf = () => 5;
    writeFlowNew(writer, FAMILIES, DATAPATH_INDEX, { ufid: ufid(id), key: flowKey, actions }, { tagOf });
    return writer.finish();
  };
  const macs = { ethSrc: 0x020000000001 as Mac, ethDst: 0x020000000002 as Mac };
  fake.flows = [
    flow(11, { inPort: PORT, sleeve: key(1, 1), ...macs }, [{ kind: "output", port: 2 as PortNo }]),
    flow(12, { inPort: 2 as PortNo, ...macs }, [send(key(1, 1))]),
    flow(13, { inPort: 2 as PortNo, ...macs }, [{ kind: "output", port: 3 as PortNo }]),
  ];
  for (const port of [2, 3]) fake.ports.set(port, { port, type: 1, name: `vmn${port}`, pid: 0 });
  const { datapath, flush, perform, take } = opened(fake);
  const core = new Dataplane({ ...OVS_HOST, overlays: ["fastdp", "sleeve"] });
  const [started] = take();
  for (const effect of core.step(started!, 0 as Millis)) {
    const { kind } = effect;
    if (
      kind !== "overlay" && kind !== "address-used" && kind !== "log" && kind !== "ensure-vxlan" &&
      kind !== "xfrm"
    ) perform(effect);
  }
  flush();
  const deleted = fake.sends.flat().filter((m) => m.family === "ovs_flow" && m.command === OVS_CMD.del);
  assert.deepEqual(deleted.map((m) => decodeFlow(m.bytes)).map((d) => d.ok && d.value.ufid), [11, 12]);
  datapath[Symbol.dispose]();
});

Deno.test("OvsDatapath makes user space's port again when somebody removes it, or the TAP", () => {
  const { datapath, drain, fake, perform, take, tap } = opened();
  const wake = (now: number) => datapath.wake(() => {}, now as Millis);
  take();
  const told = (command: number) => fake.notices.push(fake.portMessage(fake.ports.get(1)!, command));
  const removed = () => {
    told(OVS_CMD.del);
    fake.ports.delete(1);
    fake.ports.set(1, { port: 1, type: 1, name: "vmn1", pid: UPCALL_PID }); // somebody else has the number now
    told(OVS_CMD.new);
  };
  removed();
  drain();
  assert.deepEqual(take().map(({ kind }) => kind), ["port-removed", "port-appeared"]);
  wake(datapath.nextWake());
  assert.equal(fake.ports.get(2)?.name, "mesh-tap");
  fake.notices.push(fake.portMessage(fake.ports.get(2)!));
  drain();
  const [appeared] = take();
  assert.ok(appeared?.kind === "port-appeared");
  assert.deepEqual([appeared.port.port, appeared.port.kind], [2, "sleeve"]);
  assert.equal(datapath.counts().repaired, 1);

  // The interface itself: the kernel takes the port away as well.
  fake.ports.delete(2);
  fake.tap = { name: "mesh-tap", index: TAP_INDEX + 1, mtu: 1500, up: false };
  tap.gone = true;
  drain();
  assert.equal(tap.remade, 1);
  assert.deepEqual([fake.ports.get(2)?.name, fake.tap.up, fake.tap.mtu], ["mesh-tap", true, 65_521]);
  perform({ kind: "dump-flows" });
});
