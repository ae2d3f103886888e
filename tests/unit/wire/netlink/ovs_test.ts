import assert from "node:assert/strict";
import type { PortNo } from "../../../../mod/wire/netlink/ovs_keys.ts";
import * as ovs from "../../../../mod/wire/netlink/ovs.ts";
import { fuzz } from "../../fuzz.ts";
import { assertSends, FAMILIES as F, messagesOf } from "./ovs_vectors.ts";

const DP = 5;
const UPCALL = 0x81ca7c81;

Deno.test("datapath requests are what was seen", () => {
  const plain = { features: ovs.OVS_FEATURE.unaligned | ovs.OVS_FEATURE.vportPids, perCpuPids: [] };
  assertSends(ovs.encodeDatapathNew(F, "datapath", plain), "datapath new");
  assertSends(ovs.encodeDatapathGet(F, "datapath"), "datapath get by name");
  assertSends(ovs.encodeDatapathDelete(F, DP), "datapath del");
  const perCpu = { features: plain.features | ovs.OVS_FEATURE.perCpuDispatch, perCpuPids: [732] };
  assertSends(ovs.encodeDatapathSet(F, DP, perCpu), "datapath set per-cpu dispatch (hand-made)");
});

Deno.test("vport requests are what was seen", () => {
  assertSends(
    ovs.encodeVportNew(F, DP, { kind: "netdev", name: "va1", upcallPid: 0 }),
    "vport new netdev",
  );
  assertSends(
    ovs.encodeVportNew(F, DP, { kind: "vxlan", name: "vxlan-6784", udpPort: 6784, upcallPid: 0 }),
    "vport new vxlan 6784",
  );
  assertSends(ovs.encodeVportGet(F, DP, { port: 2 as PortNo }), "vport get by number");
  assertSends(ovs.encodeVportDump(F, DP), "vport dump");
  assertSends(ovs.encodeVportDelete(F, DP, 2 as PortNo), "vport del");
  const step = "vport set upcall pid (per port) + multicast notifications";
  for (const port of [0, 1, 2]) {
    const upcall = { port: port as PortNo, pid: UPCALL };
    assertSends(ovs.encodeVportUpcall(F, DP, upcall), step, port + 1);
  }
});

Deno.test("decodeDatapath() reads every captured datapath", () => {
  const base = { ifindex: DP, name: "datapath", features: 3, perCpuPids: [] };
  const counts = { hits: 0, misses: 0, lost: 0, flows: 0, masks: 0 };
  for (const step of ["datapath new", "datapath get by name"]) {
    assert.deepEqual(ovs.decodeDatapath(messagesOf(step, "RX")[0]!), {
      ok: true,
      value: { ...base, ...counts },
    });
  }
  assert.deepEqual(ovs.decodeDatapath(messagesOf("datapath set per-cpu dispatch (hand-made)", "RX")[0]!), {
    ok: true,
    value: { ...base, ...counts, features: 11, perCpuPids: [732] },
  });
});

Deno.test("decodeVport() reads answers and notifications alike", () => {
  const step = "vport set upcall pid (per port) + multicast notifications";
  const ports = messagesOf(step, "RX").filter((m) => m[4] === F.vport).map(ovs.decodeVport);
  assert.equal(ports.length, 9);
  assert.deepEqual(ports.slice(-3).map((p) => p.ok && p.value), [
    {
      command: ovs.OVS_CMD.set,
      datapath: DP,
      vport: {
        port: 0,
        kind: "internal",
        name: "datapath",
        ifindex: 5,
        udpPort: undefined,
        upcallPids: [UPCALL],
      },
    },
    {
      command: ovs.OVS_CMD.set,
      datapath: DP,
      vport: { port: 1, kind: "netdev", name: "va1", ifindex: 4, udpPort: undefined, upcallPids: [UPCALL] },
    },
    {
      command: ovs.OVS_CMD.set,
      datapath: DP,
      vport: { port: 2, kind: "vxlan", name: "vxlan-6784", ifindex: 6, udpPort: 6784, upcallPids: [UPCALL] },
    },
  ]);
});

Deno.test("decodeVport() keeps kinds it does not know", () => {
  const geneve = messagesOf("vport new netdev", "RX")[0]!;
  geneve[24 + 8 + 4] = 5;
  const decoded = ovs.decodeVport(geneve);
  assert.ok(decoded.ok);
  assert.equal(decoded.value.vport.kind, "other");
});

Deno.test("openOvs() refuses wrong lengths", () => {
  assert.deepEqual(ovs.openOvs(new Uint8Array(23)), { ok: false, reason: "message needs 24 bytes, has 23" });
  assert.deepEqual(ovs.openOvs(new Uint8Array(24)), { ok: false, reason: "message length is 0" });
});

Deno.test("decodeDatapath() and decodeVport() return for whatever they get", () => {
  const samples = [
    messagesOf("datapath set per-cpu dispatch (hand-made)", "RX"),
    messagesOf("vport dump", "RX"),
  ];
  fuzz((bytes) => [ovs.decodeDatapath(bytes), ovs.decodeVport(bytes)], samples.flat());
});
