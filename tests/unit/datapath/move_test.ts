import assert from "node:assert/strict";
import { type MoveParts, SwitchMove } from "../../../mod/datapath/move_shell.ts";
import { FakeRoute } from "./ebpf/fake_route.ts";
import { FakeOvs } from "./fake_ovs.ts";
import { SILENT } from "./link_notices.ts";

const OURS = 9;

/** A host with two containers and something that somebody put on its switch, of the kind `kind`. */
function host(kind: "openvswitch" | "bridge" | "veth", more: Partial<MoveParts> = {}) {
  const route = new FakeRoute();
  const ovs = new FakeOvs();
  const master = kind === "bridge" ? 1 : undefined;
  route.add({ index: 1, name: "meshnet", kind });
  for (const [i, name] of ["vmn1", "vmn2", "other0"].entries()) {
    route.add({ index: 2 + i, name, kind: "veth", master });
    ovs.ports.set(3 + i, { port: 3 + i, type: 1, name, pid: 0 });
  }
  ovs.datapath = kind === "openvswitch" ? { name: "meshnet", features: 0, pids: [] } : undefined;
  ovs.ports.set(7, { port: 7, type: 4, name: "vxlan-6784", pid: 0, udpPort: 6784 });
  route.add({ index: 6, name: "mesh-tap", kind: "tun" });
  route.add({ index: 7, name: "else0", kind: "veth", master: OURS });
  const added: string[] = [];
  const move = new SwitchMove({
    openRoute: () => route.socket(),
    openGeneric: () => ovs.openControl(),
    loadDropAll: () => ({ fd: 33, [Symbol.dispose]() {} }),
    isOwn: (name) => name.startsWith("vmn"),
    ...{ name: "meshnet", tap: "mesh-tap", log: SILENT, ...more },
  });
  const arrive = () => move.arrive(() => ({ add: (name) => void added.push(name), [Symbol.dispose]() {} }));
  return { added, arrive, move, ovs, route };
}

const SHUT = ["shut vmn1", "shut vmn2", "shut other0"];
const OPENED = ["open vmn1", "open vmn2", "open other0"];

Deno.test("SwitchMove shuts the ports of Open vSwitch, removes it, and opens them when they are ports again", () => {
  for (const kind of ["ebpf", "bridge"] as const) {
    const { added, arrive, move, ovs, route } = host("openvswitch");
    move.leave(kind);
    assert.deepEqual([route.changes, ovs.datapath, added], [SHUT, undefined, []]);
    arrive();
    assert.deepEqual(added, ["vmn1", "vmn2", "other0"]);
    assert.deepEqual(route.changes, [...SHUT, ...OPENED]);
    assert.deepEqual([route.open, ovs.open], [0, 0]);
  }
});

Deno.test("SwitchMove takes programs and tunnels off a bridge before it removes that", () => {
  const { added, arrive, move, route } = host("bridge");
  route.add({ index: 20, name: "vxlan-6784", kind: "vxlan", master: 1, udpPort: 6784 });
  for (const place of ["2 in", "20 in", "1 out"]) {
    route.filters.set(place, { name: "meshnet 1 x", program: 1 });
  }
  move.leave("ovs");
  assert.deepEqual(route.changes, [
    ...SHUT,
    ...["filter off 1 out", "filter off 2 in", "remove vxlan-6784", "remove meshnet"],
  ]);
  arrive();
  assert.deepEqual(added, ["vmn1", "vmn2", "other0"]);
});

Deno.test("SwitchMove leaves a switch of the wanted kind, and what is no switch, as they are", () => {
  for (
    const [present, wanted] of [
      ["openvswitch", "ovs"],
      ["bridge", "bridge"],
      ["bridge", "ebpf"],
      ["veth", "ovs"],
      ["veth", "bridge"],
    ] as const
  ) {
    const { added, arrive, move, route } = host(present);
    move.leave(wanted);
    arrive();
    assert.deepEqual([route.changes, added], [[], []], `${present} to ${wanted}`);
  }
});

Deno.test("SwitchMove opens ports that a crash in the middle left shut, and no interface of others", () => {
  const { arrive, route } = host("bridge");
  for (const link of route.links) link.shut = true;
  arrive();
  assert.deepEqual(route.changes, ["open vmn1", "open vmn2"]);
});

Deno.test("SwitchMove leaves the program of somebody else on an interface of somebody else", () => {
  const { added, arrive, move, route } = host("openvswitch");
  route.links.find(({ name }) => name === "other0")!.shut = true;
  move.leave("bridge");
  arrive();
  assert.deepEqual(added, ["vmn1", "vmn2", "other0"]);
  assert.deepEqual(route.changes, [...SHUT.slice(0, 2), ...OPENED.slice(0, 2)]);
});

Deno.test("SwitchMove goes on where a port has gone, and where the kernel has no programs", () => {
  const told: string[] = [];
  const warn = (text: string) => void told.push(text);
  const refuses = () => {
    throw new Error("no bpf");
  };
  const { move } = host("openvswitch", { loadDropAll: refuses, log: { info() {}, warn } });
  move.leave("ebpf");
  const add = (name: string) => assert.equal(name, "vmn2", "it is gone");
  move.arrive(() => ({ add, [Symbol.dispose]() {} }));
  assert.deepEqual(told, [
    "containers can reach this host while it moves to another switch",
    ...["overlay/port-not-moved", "overlay/port-not-moved"],
  ]);
});
