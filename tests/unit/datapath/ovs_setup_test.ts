import assert from "node:assert/strict";
import { type OvsPresent, type OvsWanted, planOvs, wantedDispatch } from "../../../mod/datapath/ovs_setup.ts";
import type { DatapathInfo } from "../../../mod/wire/netlink/ovs.ts";
import type { PortNo } from "../../../mod/wire/netlink/ovs_keys.ts";
import { vport } from "../overlay/kernel.ts";

const PID = 4711;
const WANTED: OvsWanted = { dispatch: wantedDispatch(PID, 2, true), upcallPid: PID, mtu: 1376 };
const OLD_KERNEL: OvsWanted = { ...WANTED, dispatch: wantedDispatch(PID, 2, false) };

function present(
  datapath: Partial<DatapathInfo> = {},
  more: Partial<OvsPresent> = {},
): OvsPresent {
  const counts = { hits: 0, misses: 0, lost: 0, flows: 0, masks: 0 };
  return {
    datapath: { ifindex: 5, name: "meshnet", features: 11, perCpuPids: [PID, PID], ...counts, ...datapath },
    ports: [{ ...vport(0, "internal", "meshnet"), upcallPids: [PID] }],
    link: { index: 5, mtu: 1376, up: true },
    ...more,
  };
}

Deno.test("wantedDispatch() names the receiver for every CPU, by port only where by CPU is unknown", () => {
  assert.deepEqual(WANTED.dispatch, { features: 11, perCpuPids: [PID, PID] });
  assert.deepEqual(wantedDispatch(PID, 0, true).perCpuPids, [PID]);
  assert.deepEqual(OLD_KERNEL.dispatch, { features: 3, perCpuPids: [] });
});

const ROWS:
  readonly (readonly [name: string, wanted: OvsWanted, is: OvsPresent, changes: readonly unknown[]])[] = [
    ["nothing when all is well", WANTED, present(), []],
    ["nothing when others set more features", WANTED, present({ features: 15 }), []],
    ["features that a tool took away, harmlessly", WANTED, present({ features: 9 }), [
      { kind: "dispatch", dispatch: { features: 11, perCpuPids: [PID, PID] }, deaf: false },
    ]],
    ["features and receivers of a fresh datapath", WANTED, present({ features: 3, perCpuPids: [] }), [
      { kind: "dispatch", dispatch: { features: 11, perCpuPids: [PID, PID] }, deaf: true },
    ]],
    [
      "receivers of somebody else, and keeps their features",
      WANTED,
      present({ features: 15, perCpuPids: [1, 2] }),
      [
        { kind: "dispatch", dispatch: { features: 15, perCpuPids: [PID, PID] }, deaf: true },
      ],
    ],
    [
      "nothing on an old kernel that tells no receivers",
      OLD_KERNEL,
      present({ features: 3, perCpuPids: [] }),
      [],
    ],
    ["features lost on an old kernel", OLD_KERNEL, present({ features: 1, perCpuPids: [] }), [
      { kind: "dispatch", dispatch: { features: 3, perCpuPids: [] }, deaf: true },
    ]],
    ["ports whose misses go elsewhere", WANTED, {
      ...present(),
      ports: [vport(1, "netdev", "vmn1"), { ...vport(2, "netdev", "vmn2"), upcallPids: [PID, 9] }],
    }, [{ kind: "upcall", port: 1, pid: PID }, { kind: "upcall", port: 2, pid: PID }]],
    ["an interface that is down or has another MTU", WANTED, {
      ...present(),
      link: { index: 5, mtu: 1500, up: false },
    }, [{ kind: "link", index: 5, mtu: 1376, up: true }]],
  ];

for (const [name, wanted, is, changes] of ROWS) {
  Deno.test(`planOvs() plans ${name}`, () => {
    assert.deepEqual(planOvs(wanted, is), changes);
  });
}

Deno.test("planOvs() has nothing to plan after its plan was carried out", () => {
  let is = present({ features: 0, perCpuPids: [] }, {
    ports: [vport(3, "netdev", "vmn3")],
    link: { index: 5, mtu: 65535, up: false },
  });
  for (const change of planOvs(WANTED, is)) {
    if (change.kind === "dispatch") is = { ...is, datapath: { ...is.datapath, ...change.dispatch } };
    if (change.kind === "link") is = { ...is, link: change };
    if (change.kind === "upcall") {
      const heard = (port: PortNo) => port === change.port ? { upcallPids: [change.pid] } : {};
      is = { ...is, ports: is.ports.map((port) => ({ ...port, ...heard(port.port) })) };
    }
  }
  assert.deepEqual(planOvs(WANTED, is), []);
});
