import assert from "node:assert/strict";
import type { Ip, Mac } from "../../../../mod/core/addr.ts";
import { ERRNO } from "../../../../mod/core/errno.ts";
import type { LinkId } from "../../../../mod/core/overlay_port.ts";
import { CHUNK, FLOW, FLOW_GROUPS, KEY, MAX_OUTPUTS, SLOTS } from "../../../../mod/datapath/ebpf/layout.ts";
import { metersOf } from "../../../../mod/datapath/ovs_meters.ts";
import { Tables } from "../../../../mod/datapath/ebpf/tables_shell.ts";
import {
  type FlowAction,
  type FlowKey,
  FOREIGN_SLEEVE,
  type PortNo,
  type Ufid,
} from "../../../../mod/wire/netlink/ovs_keys.ts";
import type { Vni } from "../../../../mod/wire/packet/vxlan.ts";
import { emptyMaps } from "./fake_machine.ts";

const LOCAL: FlowKey = {
  inPort: 1 as PortNo,
  ethSrc: 0x02_00_00_00_00_01 as Mac,
  ethDst: 0x02_00_00_00_00_02 as Mac,
};
const TUNNEL = { id: 0x12_34_56 as Vni, src: "192.0.2.255" as Ip, dst: "198.51.100.1" as Ip };
const TUNNEL6 = { id: 0x12_34_57 as Vni, src: "2001:db8::ff" as Ip, dst: "fd50::1" as Ip };
const output = (port: number): FlowAction => ({ kind: "output", port: port as PortNo });
const ufid = (number: number) => number as Ufid;

/** Port n is interface 100 + n; 0 is the leg, 9 the TAP, 8 a tunnel. */
function tables(maps = emptyMaps(), gone: readonly number[] = []): Tables {
  const translator = {
    indexOf: (port: PortNo) => port < 90 ? 100 + port : undefined,
    portOf: (ifindex: number) => gone.includes(ifindex) ? undefined : ifindex - 100 as PortNo,
    tagOf: () => 7,
    isLeg: (ifindex: number) => ifindex === 100,
    kindOf: (ifindex: number) =>
      ifindex === 109 ? "tap" as const : ifindex === 108 ? "tunnel" as const : "local",
  };
  return new Tables(maps, translator, 2);
}

function install(
  into: Tables,
  id: number,
  actions: readonly FlowAction[],
  { key = LOCAL, replace = false }: { key?: FlowKey; replace?: boolean } = {},
): string | undefined {
  return into.install(ufid(id), { key, actions, replace, meter: undefined });
}

Deno.test("what was installed is read again by the next process, keys and actions", () => {
  const maps = emptyMaps();
  const flows: readonly (readonly [FlowKey, readonly FlowAction[]])[] = [
    [LOCAL, [output(2)]],
    [{ ...LOCAL, tagged: true }, []],
    [{ ...LOCAL, inPort: 8 as PortNo, tunnel: TUNNEL }, [output(0)]],
    [{ inPort: 8 as PortNo, tunnel: TUNNEL }, [{ kind: "tunnel", port: 8 as PortNo, tunnel: TUNNEL }]],
    [{ inPort: 8 as PortNo, tunnel: TUNNEL6, tagged: true }, [{
      ...{ kind: "tunnel", port: 8 as PortNo },
      tunnel: { ...TUNNEL6, src: "::" as Ip },
    }, { kind: "tunnel", port: 8 as PortNo, tunnel: TUNNEL }]],
    [{ ...LOCAL, ethDst: 0xffff_ffff_ffff as Mac }, Array.from({ length: 40 }, (_, i) => output(i))],
  ];
  const first = tables(maps);
  for (const [i, [key, actions]] of flows.entries()) {
    assert.equal(install(first, i + 1, actions, { key }), undefined);
  }
  const read = tables(maps).all();
  for (const [i, [key, actions]] of flows.entries()) {
    const found = read.find((flow) => flow.ufid === ufid(i + 1))!;
    const blank = {
      tunnel: undefined,
      sleeve: undefined,
      ethSrc: undefined,
      ethDst: undefined,
      tagged: undefined,
    };
    assert.deepEqual([found.key, found.actions], [{ ...blank, ...key }, actions]);
  }
});

Deno.test("a second flow with the key of another is refused, one that is replaced keeps its counts", () => {
  const maps = emptyMaps();
  const one = tables(maps);
  assert.equal(install(one, 1, [output(2)]), undefined);
  const [flow] = [...maps.flows.elements.values()];
  flow![FLOW.packets] = 5;
  assert.match(install(one, 2, [output(3)]) ?? "", /exists/);
  assert.match(
    install(one, 3, [], { key: { ...LOCAL, tagged: true }, replace: true }) ?? "",
    /no such entry/,
  );
  assert.equal(install(one, 1, [output(3), output(4)], { replace: true }), undefined);
  assert.deepEqual(one.counts().map(({ packets, ufid }) => [ufid, packets]), [[1, 5]]);
  assert.deepEqual(one.all()[0]?.actions, [output(3), output(4)]);
});

Deno.test("outputs of a flow go with it, and those that are too many before", () => {
  const maps = emptyMaps();
  const one = tables(maps);
  const many = Array.from({ length: CHUNK + 1 }, (_, i) => output(i));
  assert.equal(install(one, 1, many), undefined);
  assert.equal(maps.groups.elements.size, 2);
  assert.equal(install(one, 1, many.slice(1), { replace: true }), undefined);
  assert.equal(maps.groups.elements.size, 1);
  assert.equal(install(one, 1, [output(1)], { replace: true }), undefined);
  assert.equal(maps.groups.elements.size, 0);
  assert.equal(install(one, 1, many, { replace: true }), undefined);
  one.delete(ufid(1));
  one.delete(ufid(1));
  assert.deepEqual([maps.groups.elements.size, maps.flows.elements.size], [0, 0]);
});

Deno.test("a flow with too many outputs is none: each of its frames is a miss", () => {
  const maps = emptyMaps();
  const one = tables(maps);
  const tooMany = Array.from({ length: MAX_OUTPUTS + 1 }, () => output(1));
  assert.equal(install(one, 1, tooMany), undefined);
  assert.equal(maps.flows.elements.size, 0);
  assert.equal(install(one, 2, tooMany.slice(1)), undefined);
  assert.equal(install(one, 2, tooMany, { replace: true }), undefined);
  assert.deepEqual([maps.flows.elements.size, maps.groups.elements.size], [0, 0]);
});

Deno.test("a replace that the kernel refuses leaves no flow with outputs of both", () => {
  const maps = emptyMaps();
  const one = tables(maps);
  const many = (count: number) => Array.from({ length: count }, (_, i) => output(i));
  install(one, 1, many(2));
  const { put } = maps.groups;
  let puts = 0;
  maps.groups.put = (...what) => ++puts === 2 ? ERRNO.ENOMEM : put.apply(maps.groups, what);
  assert.match(install(one, 1, many(CHUNK + 1), { replace: true }) ?? "", /ENOMEM/);
  assert.deepEqual([maps.flows.elements.size, maps.groups.elements.size], [0, 0]);
});

Deno.test("a full map refuses, and leaves no outputs behind", () => {
  const maps = emptyMaps();
  const one = tables({ ...maps, flows: Object.assign(maps.flows, { put: () => 7 }) });
  assert.notEqual(install(one, 1, [output(1), output(2)]), undefined);
  assert.equal(maps.groups.elements.size, 0);
});

Deno.test("a flow with an output that is gone goes at the start: its next frame is decided anew", () => {
  const maps = emptyMaps();
  install(tables(maps), 1, [output(2), output(5)]);
  install(tables(maps), 2, [output(5)], { key: { ...LOCAL, tagged: true } });
  assert.deepEqual(tables(maps, [105]).all(), []);
  assert.deepEqual([maps.groups.elements.size, maps.flows.elements.size], [0, 0]);
});

Deno.test("flows of interfaces that are gone, and outputs of no flow, go at the start", () => {
  const maps = emptyMaps();
  const before = tables(maps);
  install(before, 1, [output(2), output(3)]);
  install(before, 2, [output(3)], { key: { ...LOCAL, inPort: 5 as PortNo } });
  before.slotOf([output(1)]);
  const orphans = maps.groups.elements.size;
  maps.flows.elements.delete([...maps.flows.elements.keys()][0]!);
  assert.equal(orphans, 2);
  assert.deepEqual(tables(maps, [105]).all(), []);
  assert.deepEqual([maps.groups.elements.size, maps.flows.elements.size], [0, 0]);
});

Deno.test("what leads to user space of an earlier process is told as such, also when its TAP is gone", () => {
  const maps = emptyMaps();
  const before = tables(maps);
  install(before, 1, [{ kind: "sleeve", port: 9 as PortNo, sleeve: { link: 4 as LinkId, id: 5 as Vni } }]);
  const [flow] = tables(maps, [109]).all();
  assert.deepEqual(flow?.actions, [{ kind: "sleeve", port: 0, sleeve: FOREIGN_SLEEVE }]);
});

Deno.test("a handle deletes its flow, whoever made it", () => {
  const maps = emptyMaps();
  install(tables(maps), 1, [output(2)]);
  const next = tables(maps);
  const [foreign] = next.counts();
  assert.equal(foreign!.ufid, undefined);
  next.deleteHandle(foreign!.handle);
  assert.equal(maps.flows.elements.size, 0);
});

Deno.test("frames of user space take turns in the slots, and one without outputs has none", () => {
  const one = tables();
  assert.deepEqual([one.slotOf([output(1)]), one.slotOf([output(2)]), one.slotOf([output(95)])], [
    1,
    2,
    0,
  ]);
});

Deno.test("a frame that goes the way of the one before has its slot, until another one came between", () => {
  const maps = emptyMaps();
  const one = tables(maps);
  const slots = [[1, 2], [1, 2], [1], [1, 2], [1, 3], [1, 3]].map((ports) => one.slotOf(ports.map(output)));
  assert.deepEqual(slots, [1, 1, 2, 3, 4, 4]);
  assert.equal(maps.groups.elements.size, 4);
});

Deno.test("frames of user space have their slots however many outputs flows have", () => {
  const maps = emptyMaps();
  const one = tables(maps);
  const many = Array.from({ length: CHUNK + 1 }, (_, i) => output(i));
  const keyOf = (i: number) => ({ ...LOCAL, ethSrc: i as Mac });
  let flows = 0;
  while (install(one, flows + 1, many, { key: keyOf(flows) }) === undefined) flows++;
  assert.equal(flows, FLOW_GROUPS / 2);
  assert.equal(install(one, 70_000, [output(1)], { key: keyOf(70_000) }), undefined); // needs none
  for (let i = 0; i < SLOTS; i++) assert.ok(one.slotOf([...many.slice(1), output(i % 2)])! > 0);
  one.delete(ufid(1));
  assert.equal(install(one, 1, many, { key: keyOf(0) }), undefined);
});

Deno.test("rates and meters of interfaces that went while nobody looked go, others stay", () => {
  const maps = emptyMaps();
  const one = tables(maps);
  for (const ifindex of [5, 6]) {
    one.putRate("rates", ifindex, 1);
    for (const meter of metersOf(ifindex)) one.putRate("meters", meter, 1);
  }
  one.putRate("meters", metersOf(7)[1], 1);
  one.keepRates(new Set([5]));
  assert.deepEqual([...maps.rates.elements.keys()], ["5 0 0 0"]);
  assert.deepEqual([...maps.meters.elements.keys()], metersOf(5).map((meter) => `${meter} 0 0 0`));
});

Deno.test("misses that were taken are told to the programs: so many, or all that were given", () => {
  const maps = emptyMaps();
  const one = tables(maps);
  const words = (index: number) => {
    const value = new Uint8Array(8);
    maps.config.get(new Uint8Array(Uint32Array.of(index).buffer), value);
    return [...new Uint32Array(value.buffer)];
  };
  one.directMisses(77);
  one.tookMisses({ all: false, count: 3 });
  assert.deepEqual(words(0), [77, 3]);
  maps.config.put(new Uint8Array(Uint32Array.of(1).buffer), new Uint8Array(Uint32Array.of(9, 0).buffer));
  one.tookMisses({ all: true });
  assert.deepEqual(words(0), [77, 9]);
  let puts = 0;
  const { put } = maps.config;
  maps.config.put = (...what) => (puts++, put.apply(maps.config, what));
  one.tookMisses({ all: true });
  assert.equal(puts, 0, "nothing has changed");
  one.tookMisses({ all: false, count: 2 });
  assert.deepEqual(words(0), [77, 11]);
});

Deno.test("keys have the size that the programs look for", () => assert.equal(KEY.size, 32));
