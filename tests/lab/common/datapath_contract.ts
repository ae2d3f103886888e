/** What every datapath does, whatever the kernel has: one table of scenarios, run on all kinds. */
import assert from "node:assert/strict";
import type { Mac } from "../../../mod/core/addr.ts";
import type { DatapathKind } from "../../../mod/overlay/ports/dataplane_types.ts";
import type { Ufid } from "../../../mod/wire/netlink/ovs_keys.ts";
import { DatapathBench, frameOf, keyOf, type Sent } from "./datapath_bench.ts";
import { ip } from "./process.ts";
import { type Suite, suite } from "./suite.ts";

const EVERYBODY = 0xffff_ffff_ffff as Mac;
/** A machine that no other scenario uses. */
const machine = (scenario: number, n: number) => 0x02_00_5e_00_00_00 + scenario * 256 + n as Mac;
const FAR = 7;
const OTHER = 8;

function linksOf(sent: readonly Sent[]): readonly number[] {
  return sent.map(({ link }) => link);
}

/** The contract of one kind; `prefix` begins the names of namespaces. */
export function datapathContract(kind: DatapathKind, prefix: string): Suite {
  const name = kind === "ovs" ? "Open vSwitch" : kind === "ebpf" ? "eBPF" : "a bridge";
  return suite({ name: `datapath contract, ${name}`, open: () => DatapathBench.create(kind, prefix) }, {
    "a frame without a flow misses; what answers it happens to that frame and to all after it, which are counted":
      async (bench) => {
        const [src, dst] = [machine(1, 1), machine(1, 2)];
        bench.send(1, frameOf(src, dst, { number: 1 }));
        const miss = bench.miss(src);
        assert.deepEqual([miss.key.inPort, miss.key.ethDst, miss.key.tagged, miss.key.sleeve], [
          ...[bench.port("v1"), dst, undefined, undefined],
        ]);
        assert.deepEqual(miss.frame, frameOf(src, dst, { number: 1 }));
        const hits = bench.counts.hits;
        bench.install(101, miss.key, [bench.toLink(FAR)], { frame: miss.frame });
        bench.send(1, frameOf(src, dst, { number: 2 }), frameOf(src, dst, { number: 3 }));
        await bench.until("all three are sent", () => bench.sent.length === 3);
        bench.noMiss(src);
        assert.deepEqual(
          bench.sent.splice(0),
          [1, 2, 3].map((number) => ({ link: FAR, frame: frameOf(src, dst, { number }) })),
        );
        assert.equal(bench.packets(101), 2);
        assert.ok(bench.counts.hits >= hits + 2 && bench.counts.misses > 0);
      },
    "a frame of a link misses with its link, and goes to the container": async (bench) => {
      const [src, dst] = [machine(2, 1), machine(2, 2)];
      bench.give(FAR, frameOf(src, dst));
      const miss = bench.miss(src);
      assert.deepEqual([miss.key.inPort, miss.key.sleeve], [bench.sleevePort, keyOf(FAR)]);
      bench.install(201, miss.key, [bench.toContainer("v1")], { frame: miss.frame });
      for (let i = 0; i < 2; i++) bench.give(FAR, frameOf(src, dst));
      await bench.until("all three arrive", () => bench.got(1, src) === 3);
      bench.noMiss(src);
      bench.give(OTHER, frameOf(src, dst)); // of another link: no flow
      assert.deepEqual(bench.miss(src).key.sleeve, keyOf(OTHER));
    },
    "from link to link it goes as it came": async (bench) => {
      const [src, dst] = [machine(3, 1), machine(3, 2)];
      bench.give(FAR, frameOf(src, dst));
      const miss = bench.miss(src);
      bench.install(301, miss.key, [bench.toLink(OTHER)], { frame: miss.frame });
      bench.give(FAR, frameOf(src, dst, { number: 5 }));
      await bench.until("both are relayed", () => bench.sent.length === 2);
      assert.deepEqual(bench.sent.splice(0), [
        ...[0, 5].map((number) => ({ link: OTHER, frame: frameOf(src, dst, { number }) })),
      ]);
    },
    "frames for everybody reach each of many outputs once": async (bench) => {
      const src = machine(4, 1);
      bench.send(1, frameOf(src, EVERYBODY));
      const miss = bench.miss(src);
      // A bridge gives its own containers what is for everybody by itself.
      const near = kind === "bridge" ? [] : [bench.toContainer("v2")];
      bench.install(401, miss.key, [...near, bench.toLink(FAR), bench.toLink(OTHER)], { frame: miss.frame });
      bench.send(1, frameOf(src, EVERYBODY, { number: 1 }));
      await bench.until("all arrive", () => bench.sent.length === 4 && bench.got(2, src) >= 2);
      bench.noMiss(src);
      assert.equal(bench.got(2, src), 2);
      assert.equal(bench.got(1, src), 0);
      assert.deepEqual(linksOf(bench.sent.splice(0)).toSorted(), [FAR, FAR, OTHER, OTHER]);
    },
    "frames with a VLAN tag have a flow of their own, for whichever tag, and keep it": async (bench) => {
      const [src, dst] = [machine(5, 1), machine(5, 2)];
      bench.send(1, frameOf(src, dst, { vlan: 5 }));
      const miss = bench.miss(src);
      assert.equal(miss.key.tagged, true);
      assert.deepEqual(miss.frame, frameOf(src, dst, { vlan: 5 }));
      bench.install(501, miss.key, [bench.toLink(FAR)], { frame: miss.frame });
      bench.send(1, frameOf(src, dst, { vlan: 6 }));
      await bench.until("both are sent", () => bench.sent.length === 2);
      assert.deepEqual(bench.sent.splice(0).map(({ frame }) => frame), [
        ...[5, 6].map((vlan) => frameOf(src, dst, { vlan })),
      ]);
      bench.send(1, frameOf(src, dst));
      assert.equal(bench.miss(src).key.tagged, undefined);
    },
    "a frame of our own goes where it is to, without a flow": async (bench) => {
      const [src, dst] = [machine(6, 1), machine(6, 2)];
      const frame = frameOf(src, dst);
      const inPort = bench.sleevePort;
      bench.perform({ kind: "execute", frame, inPort, actions: [bench.toContainer("v1")] });
      await bench.until("it arrives", () => bench.got(1, src) === 1);
      bench.perform({ kind: "execute", frame, inPort: bench.port("v1"), actions: [bench.toLink(FAR)] });
      await bench.until("it is sent", () => bench.sent.length === 1);
      assert.deepEqual(bench.sent.splice(0), [{ link: FAR, frame }]);
      bench.noMiss(src);
    },
    "a flow gets other outputs under its id; deleted, it misses; deleted twice, it is no error": async (
      bench,
    ) => {
      const [src, dst] = [machine(7, 1), machine(7, 2)];
      const key = { inPort: bench.port("v1"), ethSrc: src, ethDst: dst };
      bench.install(701, key, [bench.toLink(FAR)]);
      bench.install(701, key, [bench.toLink(OTHER)], { replace: true });
      bench.send(1, frameOf(src, dst));
      await bench.until("it is sent", () => bench.sent.length === 1);
      assert.deepEqual(linksOf(bench.sent.splice(0)), [OTHER]);
      assert.equal(bench.packets(701), 1);
      bench.perform({ kind: "delete", ufid: 701 as Ufid }, { kind: "delete", ufid: 701 as Ufid });
      bench.send(1, frameOf(src, dst));
      assert.equal(bench.miss(src).key.ethDst, dst);
      assert.equal(bench.packets(701), undefined);
    },
    "a flow without outputs swallows": async (bench) => {
      const [src, dst] = [machine(8, 1), machine(8, 2)];
      bench.install(801, { inPort: bench.port("v1"), ethSrc: src, ethDst: dst }, []);
      bench.send(1, frameOf(src, dst), frameOf(src, dst));
      await bench.until("it has both", () => bench.packets(801) === 2);
      bench.noMiss(src);
      assert.deepEqual(bench.sent, []);
    },
    "a flow for all that comes from a link has every frame of it, and none of another": async (bench) => {
      const [src, dst] = [machine(9, 1), machine(9, 2)];
      bench.install(901, { inPort: bench.sleevePort, sleeve: keyOf(FAR + 20) }, [bench.toLink(OTHER)]);
      bench.give(FAR + 20, frameOf(src, dst));
      bench.give(FAR + 20, frameOf(dst, src));
      await bench.until("both are relayed", () => bench.sent.length === 2);
      assert.deepEqual(linksOf(bench.sent.splice(0)), [OTHER, OTHER]);
      bench.give(FAR + 21, frameOf(src, dst));
      assert.deepEqual(bench.miss(src).key.sleeve, keyOf(FAR + 21));
    },
    "misses in masses: none is told twice, and the links go on": async (bench) => {
      const [src, known] = [machine(10, 1), machine(10, 2)];
      const key = { inPort: bench.sleevePort, sleeve: keyOf(FAR), ethSrc: known, ethDst: src };
      bench.install(1_001, key, [bench.toContainer("v1")]);
      const frames = Array.from({ length: 200 }, (_, i) => frameOf(src, machine(11, i)));
      bench.send(1, ...frames);
      const told = new Set<Mac>();
      while (told.size < frames.length) {
        const { ethDst } = bench.miss(src).key;
        assert.ok(!told.has(ethDst!), `${ethDst} twice`);
        told.add(ethDst!);
      }
      bench.give(FAR, frameOf(known, src));
      await bench.until("it arrives", () => bench.got(1, known) === 1);
    },
    "a restart: what the kernel keeps goes on and is found, what went to links is told as such": async (
      bench,
    ) => {
      const [src, dst] = [machine(12, 1), machine(12, 2)];
      const key = { inPort: bench.port("v1"), ethSrc: src, ethDst: dst };
      const actions = [bench.toContainer("v2")];
      if (bench.keepsFlows) bench.install(1_201, key, actions);
      bench.install(1_202, { ...key, ethDst: src }, [bench.toLink(FAR)]);
      const { flows, ports } = bench.open();
      assert.ok(ports.some((port) => port.kind === "sleeve"));
      assert.equal(flows.length > 0, bench.keepsFlows);
      if (!bench.keepsFlows) return;
      const found = flows.find(({ ufid }) => ufid === 1_201);
      // Numbers of ports may be others by now.
      const { ethDst, ethSrc, inPort } = found?.key ?? {};
      assert.deepEqual([inPort, ethSrc, ethDst], [bench.port("v1"), src, dst]);
      assert.deepEqual(found?.actions, [bench.toContainer("v2")]);
      const stale = flows.filter((flow) => flow.actions?.some((action) => action.kind === "sleeve"));
      assert.ok(stale.length > 0, "a flow to a link is not told");
      bench.send(1, frameOf(src, dst));
      await bench.until("it arrives without a miss", () => bench.got(2, src) === 1);
      bench.noMiss(src);
      bench.perform(...stale.map(({ handle }) => ({ kind: "delete-foreign", handle }) as const));
      bench.send(1, frameOf(src, src));
      assert.equal(bench.miss(src).key.ethDst, src);
    },
    "ports that come and go are told": async (bench) => {
      if (kind === "bridge") return; // it is one port, whatever hangs on it
      await ip(["link add v3 type veth peer name v4", "link set v3 up", "link set v4 up"], bench.netns);
      bench.addPort("v3");
      const port = bench.port("v3");
      await ip(["link del v3"], bench.netns);
      assert.equal(bench.next("port-removed", { fits: (event) => event.port === port }).port, port);
    },
    "tunnels are made, kept, and refused in words": async (bench) => {
      bench.perform({ kind: "ensure-vxlan", udpPort: 6784 });
      if (kind === "bridge") return void assert.match(bench.next("vxlan-failed").reason, /no tunnel/);
      const { port } = bench.next("vxlan-ready");
      bench.perform({ kind: "ensure-vxlan", udpPort: 6784 });
      assert.equal(bench.next("vxlan-ready").port, port);
      await ip(["link add other type vxlan dstport 7001 external", "link set other up"], bench.netns);
      bench.perform({ kind: "ensure-vxlan", udpPort: 7001 });
      assert.match(bench.next("vxlan-failed").reason, /UDP port 7001/);
      await ip(["link del other"], bench.netns);
    },
  });
}
