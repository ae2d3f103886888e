import assert from "node:assert/strict";
import type { ConnectionReport, StatusReport } from "../../../mod/control/api_types.ts";
import { connectionFaults, ownerFaults, problemsWithOwners } from "../../../mod/doctor/status_faults.ts";
import { EXAMPLE } from "../control/example_status.ts";
import { NO_IPSEC_HERE } from "../../../mod/ipsec/xfrm_shell.ts";

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
  assert.deepEqual(
    messages({ overlay: "sleeve", info: `no fastdp: ${why}` }, { noFastdp: why }),
    [],
  );
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
    ...{ connections: [], lost: [], refused: [] },
    ipam: { ...EXAMPLE.ipam!, owners: reachable.map((one) => ({ ...owner, reachable: one })) },
  });
  assert.deepEqual(ownerFaults({ ...ipam(), ipam: null }), []);
  assert.deepEqual(ownerFaults(ipam(true, true)), []);
  const [one] = ownerFaults(ipam(true, false));
  assert.match(one!.message, /^host2 cannot be reached and owns 512 addresses/);
  assert.match(one!.hint!, /meshnet rmpeer host2`/);
  const [many] = ownerFaults(ipam(false, false, false, false, false));
  assert.match(many!.message, /^host2, host2, host2, host2 and 1 more cannot be reached and own 2560 /);
});

Deno.test("an owner to which a connection is missed is one fault, with what gives its addresses to others", () => {
  const owner = { nickname: "host2", reachable: false, addresses: 512, free: 0, percent: 50 };
  const connection = {
    ...WELL,
    state: "retrying",
    wanted: true,
    address: "192.0.2.2:6783",
    info: "nobody listens",
  } as const;
  const state = (change: Partial<ConnectionReport> = {}) => ({
    ...{ connections: [{ ...connection, ...change }], lost: [], refused: [] },
    ipam: { ...EXAMPLE.ipam!, owners: [{ ...owner, peer: connection.peer! }] },
    problems: [{ message: "No connection to 192.0.2.2: nobody listens", hint: null }, {
      message: "m",
      hint: "h",
    }],
  });
  assert.deepEqual(ownerFaults(state()), []);
  const [problem, other] = problemsWithOwners(state());
  assert.match(problem!.hint!, /it owns 512 addresses: .*`meshnet rmpeer host2`/);
  assert.deepEqual(other, { message: "m", hint: "h" });
  assert.equal(ownerFaults(state({ wanted: false })).length, 1);
  assert.equal(problemsWithOwners(state({ wanted: false }))[0]!.hint, null);
});

Deno.test("connectionFaults() names IPsec that could be loaded, and none that this kernel cannot have", () => {
  const found = (canLoad: (module: string, ...rest: readonly undefined[]) => boolean) =>
    connectionFaults({
      connections: [{ ...WELL, overlay: "sleeve", info: `no fastdp: ${NO_IPSEC_HERE}` }],
      datapath: { ...EXAMPLE.datapath, mtu: 1410, noFastdp: null },
    }, canLoad);
  assert.deepEqual(found((module) => module !== "esp4"), []);
  assert.match(
    found((_module, ...rest) => rest.length === 0)[0]!.hint!,
    /`modprobe -a xfrm_user esp4 esp6 gcm`/,
  );
});

Deno.test("commands call a host by its nickname only where that is a plain word to a shell", () => {
  const connection = { ...WELL, state: "pending", info: "no answer", nickname: "h2; reboot" } as const;
  const [fault] = connectionFaults({ connections: [connection], datapath: EXAMPLE.datapath });
  assert.match(fault!.message, /to h2; reboot and back/);
  assert.match(fault!.hint!, new RegExp(`^\`meshnet check ${connection.peer}\``));
  const [option] = connectionFaults({
    connections: [{ ...connection, nickname: "--json" }],
    datapath: EXAMPLE.datapath,
  });
  assert.match(option!.hint!, new RegExp(`^\`meshnet check ${connection.peer}\``));
  const owner = {
    peer: connection.peer!,
    nickname: "$(reboot)",
    reachable: false,
    addresses: 5,
    free: 0,
    percent: 1,
  };
  const [lost] = ownerFaults({
    connections: [],
    lost: [],
    refused: [],
    ipam: { ...EXAMPLE.ipam!, owners: [owner] },
  });
  assert.match(lost!.hint!, new RegExp(`\`meshnet rmpeer ${owner.peer}\``));
});

Deno.test("rmpeer is not proposed for hosts that are there, nor by a host that is itself cut off", () => {
  const owner = { reachable: false, addresses: 512, free: 0, percent: 50 };
  const [two, three] = ["8a:3e:11:02:9c:02", "8a:3e:11:02:9c:03"];
  const owners = [{ ...owner, peer: two!, nickname: "host2" }, { ...owner, peer: three!, nickname: "" }];
  const missed = { ...WELL, state: "retrying", wanted: true, address: "192.0.2.2:6783", peer: two! } as const;
  const why = (info: string) => ({
    connections: [{ ...missed, info }],
    ipam: { ...EXAMPLE.ipam!, owners: owners.slice(0, 1) },
    problems: [{ message: `No connection to 192.0.2.2: ${info}`, hint: null }],
  });
  assert.match(
    problemsWithOwners(why("no answer from 192.0.2.2:6783 within 10 s"))[0]!.hint!,
    /rmpeer host2/,
  );
  for (
    const there of ["the passwords differ", "no route to 192.0.2.2:6783", "Incompatible IP allocation ranges"]
  ) {
    assert.equal(problemsWithOwners(why(there))[0]!.hint, null, there);
  }
  const cut = { ...why("no answer"), ipam: { ...EXAMPLE.ipam!, owners }, lost: [], refused: [] };
  assert.equal(problemsWithOwners(cut)[0]!.hint, null);
  assert.deepEqual(ownerFaults(cut), []);
  const refused = {
    address: "192.0.2.3",
    peer: null,
    nickname: null,
    reason: "password",
    count: 1,
    agoMs: 1,
  };
  const left = { peer: three!, nickname: null, address: "192.0.2.3:6783", reason: "it closed", agoMs: 9 };
  const one = { connections: [WELL], ipam: { ...EXAMPLE.ipam!, owners: owners.slice(1) }, lost: [left] };
  assert.equal(ownerFaults({ ...one, refused: [] }).length, 1);
  assert.deepEqual(ownerFaults({ ...one, refused: [refused] }), []);
  assert.deepEqual(ownerFaults({ ...one, lost: [], refused: [{ ...refused, peer: three! }] }), []);
});
