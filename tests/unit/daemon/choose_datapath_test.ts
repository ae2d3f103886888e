import assert from "node:assert/strict";
import { MeshnetError } from "../../../mod/core/errors.ts";
import { chooseDatapath, type HostAbilities } from "../../../mod/daemon/host/choose_datapath.ts";

const found = () => {};
const lacking = () => {
  throw new MeshnetError("datapath/module-missing", "This kernel has no Open vSwitch");
};
const host = (more: Partial<HostAbilities> = {}): HostAbilities => ({
  findOvs: found,
  whyNoEbpf: () => undefined,
  present: undefined,
  tun: true,
  ...more,
});

const refusing = { whyNoEbpf: () => "no hooks" };
const slow = { whyNoEbpf: (fast: boolean) => fast ? "no JIT" : undefined };
const BRIDGE = { name: "meshnet", kind: "bridge" };
const DATAPATH = { name: "meshnet", kind: "openvswitch" };

const CASES = [
  ["auto", true, host(), "ovs", "fastdp sleeve", undefined],
  ["auto", true, host({ findOvs: lacking }), "ebpf", "fastdp sleeve", undefined],
  ["auto", false, host({ findOvs: lacking }), "ebpf", "sleeve", /--no-fastdp/],
  [
    "auto",
    true,
    host({ findOvs: lacking, ...refusing }),
    "bridge",
    "sleeve",
    /no Open vSwitch.*, and no hooks/,
  ],
  ["auto", true, host({ findOvs: lacking, ...slow }), "bridge", "sleeve", /no Open vSwitch.*, and no JIT/],
  ["auto", true, host({ present: BRIDGE }), "ovs", "fastdp sleeve", undefined],
  ["ovs", true, host({ present: BRIDGE }), "ovs", "fastdp sleeve", undefined],
  ["ebpf", true, host({ present: DATAPATH }), "ebpf", "fastdp sleeve", undefined],
  ["bridge", true, host({ present: DATAPATH }), "bridge", "sleeve", /--datapath bridge/],
  ["ebpf", true, host({ findOvs: lacking, ...slow }), "ebpf", "fastdp sleeve", undefined],
  ["auto", true, host({ tun: false }), "ovs", "fastdp", undefined],
  ["auto", false, host(), "ovs", "sleeve", /--no-fastdp/],
  ["bridge", true, host(), "bridge", "sleeve", /--datapath bridge/],
  [
    "ovs",
    true,
    host({ present: DATAPATH }),
    "ovs",
    "fastdp sleeve",
    undefined,
  ],
] as const;

for (const [datapath, fastdp, abilities, kind, overlays, why] of CASES) {
  Deno.test(`chooseDatapath() takes ${kind} with ${overlays} for ${datapath}, fastdp ${fastdp}: ${why}`, () => {
    const choice = chooseDatapath({ datapath, fastdp }, abilities);
    assert.deepEqual([choice.kind, choice.overlays.join(" ")], [kind, overlays]);
    if (why === undefined) assert.equal(choice.noFastdp, undefined);
    else assert.match(choice.noFastdp!, why);
    assert.equal(choice.noSleeve === undefined, overlays !== "fastdp");
  });
}

for (
  const [datapath, fastdp, abilities] of [
    ["ovs", true, host({ findOvs: lacking })],
    ["ebpf", true, host(refusing)],
    ["ebpf", true, host({ tun: false })],
    ["auto", true, host({ findOvs: lacking, tun: false })],
    ["auto", false, host({ tun: false })],
    ["bridge", true, host({ tun: false })],
  ] as const
) {
  Deno.test(`chooseDatapath() refuses ${datapath}, fastdp ${fastdp}, tun ${abilities.tun} with the fix`, () => {
    assert.throws(() => chooseDatapath({ datapath, fastdp }, abilities), { code: "datapath/module-missing" });
  });
}

for (
  const [datapath, kind, hint] of [
    ["ovs", "veth", /ip link delete meshnet/],
    ["auto", "veth", /ip link delete meshnet/],
    ["bridge", undefined, /ip link delete meshnet/],
  ] as const
) {
  Deno.test(`chooseDatapath() refuses ${datapath} while ${kind} has the name, with the fix`, () => {
    const abilities = host({ present: { name: "meshnet", kind } });
    assert.throws(() => chooseDatapath({ datapath, fastdp: true }, abilities), (thrown) => {
      assert.ok(thrown instanceof MeshnetError);
      assert.equal(thrown.code, "datapath/wrong-kind");
      assert.match(thrown.hint!, hint);
      return true;
    });
  });
}
