import assert from "node:assert/strict";
import type { Ip, Mac } from "../../../../mod/core/addr.ts";
import { KEY, MAPS, NEWS, ORIGIN_SIZE, writeFlowKey } from "../../../../mod/datapath/ebpf/layout.ts";
import { Tables } from "../../../../mod/datapath/ebpf/tables_shell.ts";
import { WhereaboutsMaps } from "../../../../mod/datapath/ebpf/whereabouts_shell.ts";
import type { SwitchedEvent, WhereaboutsEffect } from "../../../../mod/overlay/ports/switched_types.ts";
import type { FlowAction, FlowKey, PortNo } from "../../../../mod/wire/netlink/ovs_keys.ts";
import type { Vni } from "../../../../mod/wire/packet/vxlan.ts";
import { emptyMaps, FakeRing } from "./fake_machine.ts";

const [ONE, TWO] = [0x02_00_00_00_00_01 as Mac, 0x02_00_00_00_00_02 as Mac];
const LOCAL: FlowKey = { inPort: 1 as PortNo };
const TUNNEL = { id: 0x12_34_56 as Vni, src: "2001:db8::ff" as Ip, dst: "fd50::1" as Ip };
const OUTPUT: FlowAction = { kind: "output", port: 2 as PortNo };
const NOTHING: WhereaboutsEffect = { kind: "whereabouts", macs: [], origins: [], ways: [] };

/** Port n is interface 100 + n; 8 is a tunnel. Ports from 90 on are gone. */
function made(maps = emptyMaps()) {
  const translator = {
    indexOf: (port: PortNo) => port < 90 ? 100 + port : undefined,
    portOf: (ifindex: number) => ifindex < 190 ? ifindex - 100 as PortNo : undefined,
    tagOf: () => 7,
    isLeg: () => false,
    kindOf: (ifindex: number) => ifindex === 108 ? "tunnel" as const : "local" as const,
  };
  const tables = new Tables(maps, translator, 1);
  const ring = new FakeRing(5);
  const whereabouts = new WhereaboutsMaps({ maps, translator: tables.translator, ring });
  return { maps, ring, tables, whereabouts };
}

const sizes = ({ maps }: ReturnType<typeof made>) =>
  [maps.origins, maps.places, maps.ways].map(({ elements }) => elements.size);

Deno.test("WhereaboutsMaps has the kernel know what it is told, until that is not known any more", () => {
  const it = made();
  it.whereabouts.perform({
    ...NOTHING,
    macs: [[ONE, 1], [TWO, 0x1_0007]],
    origins: [[LOCAL, 1], [{ inPort: 8 as PortNo, tunnel: TUNNEL }, 0x1_0007]],
    ways: [[2, OUTPUT]],
  });
  assert.deepEqual(sizes(it), [2, 2, 1]);
  assert.deepEqual(it.maps.places.elements.get("2 0 0 0 0 2 0 0"), Uint8Array.of(7, 0, 1, 0));
  it.whereabouts.perform({ ...NOTHING, macs: [[TWO, 3]] });
  assert.deepEqual(it.maps.places.elements.get("2 0 0 0 0 2 0 0"), Uint8Array.of(3, 0, 0, 0));
  it.whereabouts.perform({
    ...NOTHING,
    macs: [[ONE, undefined], [TWO, undefined]],
    origins: [[LOCAL, undefined], [{ inPort: 8 as PortNo, tunnel: TUNNEL }, undefined]],
    ways: [[2, undefined]],
  });
  assert.deepEqual(sizes(it), [0, 0, 0]);
});

Deno.test("WhereaboutsMaps: a way through a port that is gone is none, and takes the old one's place", () => {
  const it = made();
  it.whereabouts.perform({ ...NOTHING, ways: [[2, OUTPUT]] });
  it.whereabouts.perform({ ...NOTHING, ways: [[2, { kind: "output", port: 95 as PortNo }]] });
  it.whereabouts.perform({ ...NOTHING, origins: [[{ inPort: 95 as PortNo }, 95]] });
  assert.deepEqual(sizes(it), [0, 0, 0]);
});

Deno.test("WhereaboutsMaps: what there is no room for is not known", () => {
  const it = made();
  const { entries } = MAPS.places;
  const macs = Array.from({ length: entries + 10 }, (_, i) => [i + 1 as Mac, 1] as const);
  it.whereabouts.perform({ ...NOTHING, macs });
  assert.equal(it.maps.places.elements.size, entries);
});

Deno.test("WhereaboutsMaps: the next process begins with nothing", () => {
  const first = made();
  const told = { ...NOTHING, macs: [[ONE, 1] as const], origins: [[LOCAL, 1] as const] };
  first.whereabouts.perform({ ...told, ways: [[2, OUTPUT]] });
  assert.deepEqual(sizes(first), [1, 1, 1]);
  assert.deepEqual(sizes(made(first.maps)), [0, 0, 0]);
});

Deno.test("WhereaboutsMaps: news are frames that went, and what makes no sense is nothing", () => {
  const it = made();
  const news = (key: FlowKey) => {
    const record = new Uint8Array(NEWS.size);
    writeFlowKey(record, key, it.tables.translator);
    new DataView(record.buffer).setUint32(NEWS.bytes, 1_400, true);
    return record;
  };
  const local = { ...LOCAL, ethSrc: ONE, ethDst: TWO };
  const far = { inPort: 8 as PortNo, tunnel: TUNNEL, ethSrc: TWO, ethDst: ONE };
  const gone = news(local);
  new DataView(gone.buffer).setUint32(KEY.ifindex, 195, true);
  it.ring.records.push(news(local), new Uint8Array(7), gone, news(far));
  const events: SwitchedEvent[] = [];
  assert.equal(it.whereabouts.drain((event) => events.push(event)), false);
  const blank = { tunnel: undefined, sleeve: undefined, tagged: undefined };
  assert.deepEqual(events, [
    { kind: "switched", key: { ...blank, ...local }, bytes: 1_400 },
    { kind: "switched", key: { ...blank, ...far }, bytes: 1_400 },
  ]);
});

Deno.test("WhereaboutsMaps: addresses that only whereabouts name keep their numbers", () => {
  const it = made();
  const key = { inPort: 8 as PortNo, tunnel: TUNNEL };
  it.whereabouts.perform({ ...NOTHING, origins: [[key, 0x1_0007]] });
  const before = it.tables.translator.numberOf(TUNNEL.src);
  // So many others that numbers are taken back.
  for (let i = 0; i < 5_000; i++) it.tables.translator.numberOf(`2001:db8:1::${i.toString(16)}` as Ip);
  assert.equal(it.tables.translator.numberOf(TUNNEL.src), before);
  assert.equal([...it.maps.origins.elements.keys()][0]!.split(" ").length, ORIGIN_SIZE);
});

Deno.test("WhereaboutsMaps closes the ring, and leaves what the kernel knows", () => {
  const it = made();
  it.whereabouts.perform({ ...NOTHING, ways: [[2, OUTPUT]] });
  it.whereabouts[Symbol.dispose]();
  assert.equal(it.ring.disposed, 1);
  assert.deepEqual(sizes(it), [0, 0, 1]);
});
