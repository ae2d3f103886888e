/** The datapaths of this kernel, without a daemon. */
import assert from "node:assert/strict";
import type { Mac } from "../../../mod/core/addr.ts";
import { MeshnetError } from "../../../mod/core/errors.ts";
import { chooseDatapath } from "../../../mod/daemon/host/choose_datapath.ts";
import { whyNoEbpf } from "../../../mod/daemon/host/ebpf_host.ts";
import { MACHINE } from "../../../mod/daemon/threads/ebpf_parts.ts";
import type { Machine } from "../../../mod/datapath/ebpf/machine.ts";
import { MAPS } from "../../../mod/datapath/ebpf/layout.ts";
import type { Ufid } from "../../../mod/wire/netlink/ovs_keys.ts";
import { DatapathBench, frameOf } from "../common/datapath_bench.ts";
import { datapathContract } from "../common/datapath_contract.ts";

import { suite } from "../common/suite.ts";
import { DATAPATHS, declareTests } from "./host_lab.ts";

const prefix = (kind: string) => `mnl${Deno.pid}-${kind}`;
/** Flows that the map has room for. */
const FLOWS = MAPS.flows.entries;
const machine = (n: number) => 0x02_00_5f_00_00_00 + n as Mac;

const full = suite({ name: "datapath, full", open: () => DatapathBench.create("ebpf", prefix("full")) }, {
  "flows beyond what the map holds are refused and told; their frames are sent one by one; deleted ones make room":
    async (bench) => {
      const key = { inPort: bench.port("v1"), ethDst: machine(0) };
      const install = (i: number, frame?: Uint8Array) =>
        bench.install(i, { ...key, ethSrc: machine(i) }, [bench.toLink(7)], { frame });
      for (let i = 1; i <= FLOWS; i++) install(i);
      const frame = frameOf(machine(FLOWS + 1), key.ethDst);
      install(FLOWS + 1, frame);
      const { reason, ufid } = bench.next("install-failed");
      assert.match(reason, /no more room/);
      assert.deepEqual([ufid, bench.counts.refused > 0], [FLOWS + 1, true]);
      bench.turn(100);
      assert.deepEqual(bench.sent.splice(0), [{ link: 7, frame }]);
      bench.perform({ kind: "delete", ufid: 1 as Ufid });
      install(FLOWS + 1);
      bench.send(1, frame);
      await bench.until("it has come", () => bench.packets(FLOWS + 1) === 1);
      bench.noMiss(machine(FLOWS + 1));
    },
});

/** A kernel that finds fault with every program. */
const FAULTY: Machine = {
  ...MACHINE,
  loadClassifier: (name, code, maps) =>
    MACHINE.loadClassifier(name, Uint8Array.of(...code, ...UNREACHABLE), maps),
};
/** An instruction behind the last one. */
const UNREACHABLE = [0x95, 0, 0, 0, 0, 0, 0, 0];
const nothing = { explain: () => Promise.resolve(""), [Symbol.asyncDispose]: () => Promise.resolve() };

const refused = suite({ name: "datapath, refused", open: () => Promise.resolve(nothing) }, {
  "what the kernel's verifier says is the reason, and auto takes a bridge": () => {
    const words = /refuses programs of eBPF .*unreachable insn/;
    assert.match(whyNoEbpf(true, FAULTY) ?? "", words);
    assert.equal(whyNoEbpf(true), undefined);
    const host = {
      findOvs() {
        throw new MeshnetError("datapath/module-missing", "none");
      },
      ...{ whyNoEbpf: (fast: boolean) => whyNoEbpf(fast, FAULTY), present: undefined, tun: true },
    };
    const { kind, noBetter, noFastdp } = chooseDatapath({ datapath: "auto", fastdp: true }, host);
    assert.equal(kind, "bridge");
    assert.match(noBetter!, words);
    assert.match(noFastdp!, words);
    assert.throws(() => chooseDatapath({ datapath: "ebpf", fastdp: true }, host), { message: words });
    return Promise.resolve();
  },
});

declareTests(
  ...DATAPATHS.map((kind) => datapathContract(kind === "ebpf" ? "ebpf" : "bridge", prefix(kind))),
  ...DATAPATHS.includes("ebpf") ? [full, refused] : [],
);
