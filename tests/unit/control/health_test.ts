import assert from "node:assert/strict";
import { degradation, missing, reachedPeers } from "../../../mod/control/health.ts";
import type { ConnectionReport, PeerReport, StatusReport } from "../../../mod/control/api_types.ts";
import { EXAMPLE } from "./example_status.ts";

const [failing, working] = EXAMPLE.connections as [ConnectionReport, ConnectionReport];
const [connected, retrying] = EXAMPLE.targetStates as [
  typeof EXAMPLE.targetStates[0],
  typeof EXAMPLE.targetStates[0],
];

const WELL: StatusReport = {
  ...EXAMPLE,
  problems: [],
  targetStates: [connected],
  connections: [working],
  ipam: { ...EXAMPLE.ipam!, owners: EXAMPLE.ipam!.owners.map((one) => ({ ...one, reachable: true })) },
};

const FAULTS: readonly (readonly [name: string, change: Partial<StatusReport>, line: string | undefined])[] =
  [
    ["nothing", {}, undefined],
    ["a problem", { problems: EXAMPLE.problems }, EXAMPLE.problems[0]!.message],
    [
      "a target away, told by a problem",
      { problems: EXAMPLE.problems, targetStates: [connected, retrying] },
      EXAMPLE.problems[0]!.message,
    ],
    ["a target away", { targetStates: [retrying] }, `192.0.2.7:6783 is not connected: ${retrying.info}`],
    ["a target that is dialled for the first time", {
      targetStates: [{ ...retrying, state: "connecting", info: "" }],
    }, "192.0.2.7:6783 is not connected yet"],
    ["discovery cannot reach an address", {
      connections: [working, { ...failing, wanted: false, state: "failed" }],
    }, undefined],
    [
      "no overlay yet",
      { connections: [{ ...working, state: "pending", info: "it is being set up" }] },
      "host2 at 192.0.2.2:6783 is not reached yet: it is being set up",
    ],
    [
      "a silent peer",
      { connections: [{ ...working, silentMs: 12_400 }] },
      "host2 at 192.0.2.2:6783 is silent for 12 s",
    ],
    [
      "the only target is this host",
      { connections: [], targetStates: [{ ...connected, state: "itself" }] },
      "the only host that was named is this host itself",
    ],
    [
      "two faults",
      { problems: [...EXAMPLE.problems, { message: "b", hint: null }] },
      `${EXAMPLE.problems[0]!.message} (and 1 more, see \`meshnet status\`)`,
    ],
    ["alone on purpose", { connections: [], targetStates: [], targets: [] }, undefined],
  ];

for (const [name, change, line] of FAULTS) {
  Deno.test(`degradation() with ${name}`, () => assert.equal(degradation({ ...WELL, ...change }), line));
}

/** A peer that has established connections to these. */
function peer(name: string, ...others: readonly string[]): PeerReport {
  const connections = others.map((other) => ({
    ...EXAMPLE.peers[0]!.connections[0]!,
    peer: other,
    established: true,
  }));
  return { ...EXAMPLE.peers[0]!, name, nickname: `nick-${name}`, connections };
}

Deno.test("reachedPeers() goes over other hosts, and only where traffic does", () => {
  const peers = [peer("a", "b"), peer("b", "a", "c"), peer("c", "b"), peer("d")];
  const report = { ...WELL, name: "a", peers };
  assert.deepEqual([...reachedPeers(report)], ["b", "c"]);
  assert.equal(missing(report, { peers: 2, connected: ["nick-c"] }), undefined);
  assert.equal(missing(report, { peers: 3, connected: [] }), "2 of 3 other hosts are reached");
  assert.equal(missing(report, { peers: undefined, connected: ["d"] }), "d is not reached");
});

Deno.test("missing() takes addresses, of both families and however they are written, for hosts", () => {
  const at = (address: string) => ({ ...EXAMPLE.connections[0]!, peer: "b", address });
  const report = {
    ...WELL,
    name: "a",
    peers: [peer("a", "b"), peer("b", "a")],
    connections: [at("192.0.2.7:6783"), at("[fd00::2]:40000")],
  };
  const lacks = (host: string) => missing(report, { peers: undefined, connected: [host] });
  for (const host of ["192.0.2.7", "192.0.2.7:6783", "fd00::2", "fd00:0::2", "[fd00::2]:40000"]) {
    assert.equal(lacks(host), undefined, host);
  }
  for (const host of ["192.0.2.8", "192.0.2.7:1", "fd00::3"]) {
    assert.equal(lacks(host), `${host} is not reached`);
  }
});

Deno.test("degradation() tells of hosts that own addresses and are away: nobody has to name them as peers", () => {
  const owners = EXAMPLE.ipam!.owners.map((one) => ({ ...one, nickname: "host2", reachable: false }));
  const report = { ...WELL, ipam: { ...EXAMPLE.ipam!, owners: owners.slice(0, 1) } };
  assert.equal(degradation(report), "host2 is not reached and owns addresses of the range");
});
