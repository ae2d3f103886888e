import assert from "node:assert/strict";
import type { ConnectionReport, StatusReport } from "../../../mod/control/api_types.ts";
import { connectionFaults, ownerFaults } from "../../../mod/doctor/status_faults.ts";
import { EXAMPLE } from "../control/example_status.ts";

const WELL: ConnectionReport = {
  ...EXAMPLE.connections[1]!,
  ...{ state: "established", overlay: "fastdp", info: "", mtu: 1430, silentMs: null },
};

function messages(change: Partial<ConnectionReport>, datapath: Partial<StatusReport["datapath"]> = {}) {
  const found = connectionFaults({
    connections: [{ ...WELL, ...change }],
    datapath: { ...EXAMPLE.datapath, mtu: 1410, noFastdp: null, ...datapath },
  });
  return found.map(({ message }) => message);
}

Deno.test("connectionFaults() says nothing of what works, is being set up, or cannot be otherwise", () => {
  const well: Partial<ConnectionReport>[] = [
    {},
    { mtu: null },
    { mtu: 1410 },
    { state: "pending", info: "" },
    { state: "retrying", info: "nobody listens" }, // a problem of the status
    { overlay: "sleeve", info: "no fastdp: testing the path with full-size VXLAN heartbeats on UDP 6784" },
  ];
  for (const change of well) assert.deepEqual(messages(change), [], JSON.stringify(change));
  const why = "this host's kernel has no Open vSwitch (module openvswitch)";
  assert.deepEqual(messages({ overlay: "sleeve", info: `no fastdp: ${why}` }, { noFastdp: why }), []);
});

Deno.test("connectionFaults() names what is wrong with a connection, and the peer", () => {
  const cases: [Partial<ConnectionReport>, RegExp][] = [
    [{ state: "pending", info: "no answer to heartbeats" }, /^No traffic flows to host2 and back: no answer/],
    [
      { overlay: "sleeve", info: "no fastdp: a firewall blocks UDP 6784" },
      /host2 goes through user space: a firewall/,
    ],
    [{ mtu: 1280 }, /to host2 carries packets of 1280 bytes and containers here send up to 1410/],
    [{ silentMs: 14_200 }, /Nothing has come from host2 for 14 s/],
    [{ nickname: null, mtu: 1280 }, /to 8a:3e:11:02:9c:02 carries/],
  ];
  for (const [change, words] of cases) {
    const found = messages(change);
    assert.equal(found.length, 1, JSON.stringify(change));
    assert.match(found[0]!, words);
  }
});

Deno.test("ownerFaults() names owners that are away, with what gives their addresses to others", () => {
  const owner = { peer: "8a:3e:11:02:9c:02", nickname: "host2", addresses: 512, free: 0, percent: 50 };
  const ipam = (...reachable: boolean[]) => ({
    ipam: { ...EXAMPLE.ipam!, owners: reachable.map((one) => ({ ...owner, reachable: one })) },
  });
  assert.deepEqual(ownerFaults({ ipam: null }), []);
  assert.deepEqual(ownerFaults(ipam(true, true)), []);
  const [one] = ownerFaults(ipam(true, false));
  assert.match(one!.message, /^host2 cannot be reached and owns 512 addresses/);
  assert.match(one!.hint!, /meshnet rmpeer host2`/);
  const [many] = ownerFaults(ipam(false, false, false, false, false));
  assert.match(many!.message, /^host2, host2, host2, host2 and 1 more cannot be reached and own 2560 /);
});
