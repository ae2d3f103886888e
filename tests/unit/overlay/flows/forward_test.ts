import assert from "node:assert/strict";
import type { Mac } from "../../../../mod/core/addr.ts";
import type { ShortId } from "../../../../mod/core/names.ts";
import type { Millis } from "../../../../mod/core/time.ts";
import {
  decide,
  decideUnlearnt,
  type Decision,
  orderedActions,
  sourcePlace,
} from "../../../../mod/overlay/flows/forward.ts";
import { PortTable } from "../../../../mod/overlay/paths/port_table.ts";
import { peerPlace, type Place } from "../../../../mod/overlay/flows/place.ts";
import type { FlowAction, FlowKey, PortNo } from "../../../../mod/wire/netlink/ovs_keys.ts";
import { hostIp, vport } from "../kernel.ts";
import { ALL, AT_B, AT_C, AT_E, BOX, local, NOBODY, OTHER, out, remote, tun, world } from "../small_mesh.ts";

const BRIDGES = 0x0180_c200_0000 as Mac;
const NOW = 10_000 as Millis;

/** The same, arrived at another of our addresses. */
const elsewhere = (key: FlowKey): FlowKey => ({ ...key, tunnel: { ...key.tunnel!, dst: hostIp(200) } });

type Row = readonly [
  name: string,
  key: FlowKey,
  verdict: Decision["verdict"],
  actions: FlowAction[],
  dropped?: string,
];

const ROWS: readonly Row[] = [
  ["local to another local port", local(BOX, OTHER), "flow", [out(2)]],
  ["local to its own port", local(BOX, BOX), "flow", [], "hairpin"],
  ["local to a neighbour", local(BOX, AT_B), "flow", [tun(1, 2, 2)]],
  ["local to a peer behind a neighbour", local(BOX, AT_C), "flow", [tun(1, 3, 2)]],
  ["local to a peer that cannot be reached", local(BOX, AT_E), "flow", [], "no-route"],
  ["local to everybody", local(BOX, ALL), "flow", [out(0), out(2), tun(1, 2, 2), tun(1, 4, 4)]],
  ["local to nobody knows whom", local(BOX, NOBODY), "once", [out(0), out(2), tun(1, 2, 2), tun(1, 4, 4)]],
  ["local to the bridges", local(BOX, BRIDGES), "flow", [out(0), out(2)]],
  ["local from a group address", local(ALL, OTHER), "flow", [], "bad-source"],
  ["local from the zero address", local(0 as Mac, OTHER), "flow", [], "bad-source"],
  ["local from an address that another port has", local(OTHER, BOX), "none", []],
  ["local from an unknown port", local(BOX, OTHER, 77), "none", [], "unknown-port"],
  ["from a neighbour to a local port", remote(2, 1, 2, AT_B, BOX), "flow", [out(1)]],
  ["from afar to a local port", remote(3, 1, 2, AT_C, BOX), "flow", [out(1)]],
  ["from a neighbour to everybody", remote(2, 1, 2, AT_B, ALL), "flow", [
    out(0),
    out(1),
    out(2),
    tun(2, 4, 4),
  ]],
  ["from afar to everybody", remote(3, 1, 2, AT_C, ALL), "flow", [out(0), out(1), out(2), tun(3, 4, 4)]],
  ["from a neighbour to nobody knows whom", remote(2, 1, 2, AT_B, NOBODY), "once", [
    out(0),
    out(1),
    out(2),
    tun(2, 4, 4),
  ]],
  ["flooded to us for a peer we know", remote(2, 1, 2, AT_B, AT_C), "once", [tun(2, 4, 4)]],
  ["to one that we thought to be there where it comes from", remote(2, 1, 2, NOBODY, AT_B), "none", []],
  ["in transit", remote(2, 4, 2, NOBODY, ALL), "flow", [tun(2, 4, 4)]],
  ["in transit to where it came from", remote(4, 3, 2, NOBODY, ALL), "flow", [], "hairpin"],
  ["in transit to a peer that cannot be reached", remote(2, 5, 2, NOBODY, ALL), "flow", [], "no-route"],
  ["from a stranger's address", remote(2, 1, 77, AT_B, BOX), "none", [], "stranger"],
  ["from a sealed link's address", remote(5, 1, 4, AT_E, BOX), "flow", [out(1)]],
  [
    "from a sealed link's address, to one of ours that is not guarded",
    elsewhere(remote(5, 1, 4, AT_E, BOX)),
    "none",
    [],
    "stranger",
  ],
  ["to an address of ours that a clear link does not use", elsewhere(remote(2, 1, 2, AT_B, BOX)), "flow", [
    out(1),
  ]],
  ["from a short id nobody owns", remote(99, 1, 2, AT_B, BOX), "none", [], "unknown-peer"],
  ["to a short id nobody owns", remote(2, 99, 2, AT_B, BOX), "none", [], "unknown-peer"],
  ["in our own name", remote(1, 4, 2, BOX, ALL), "none", [], "own-source"],
  ["in our own name to a peer's address", remote(1, 2, 2, AT_B, AT_C), "none", [], "own-source"],
  ["the kernel's own answer to one of ours", remote(1, 2, 2, AT_B, BOX), "once", [out(1)]],
  ["from a peer under a group address", remote(2, 1, 2, ALL, BOX), "flow", [], "bad-source"],
];

for (const [name, key, verdict, actions, dropped] of ROWS) {
  Deno.test(`decide() ${name}: ${dropped ?? verdict}`, () => {
    const decision = decide(key, world(), NOW);
    assert.deepEqual([decision.verdict, decision.actions, decision.dropped], [verdict, actions, dropped]);
    assert.equal(decision.wide, name.startsWith("in transit"));
    assert.deepEqual(orderedActions([...actions].reverse()), actions);
  });
}

Deno.test("decide() drops a remote address at a local port for as long as the loop guard says", () => {
  const context = world();
  context.macs.learn(AT_B, peerPlace(2 as ShortId), 9_000 as Millis);
  const decision = decide(local(AT_B, OTHER), context, NOW);
  assert.deepEqual([decision.verdict, decision.dropped, decision.until], ["flow", "loop-guard", 11_000]);
});

Deno.test("decideUnlearnt() serves a frame whose source is not learnt, without a flow", () => {
  const context = world();
  assert.equal(decide(local(NOBODY, OTHER), context, NOW).verdict, "none");
  const decision = decideUnlearnt(local(NOBODY, OTHER), context);
  assert.deepEqual([decision.verdict, decision.actions], ["once", [out(2)]]);
  assert.equal(decideUnlearnt(remote(2, 1, 2, NOBODY, BOX), context).verdict, "once");
});

Deno.test("sourcePlace() learns only from frames that are ours to take", () => {
  const context = world();
  assert.equal(sourcePlace(local(NOBODY, ALL), context), 1);
  assert.equal(sourcePlace(remote(3, 1, 2, NOBODY, ALL), context), peerPlace(3 as ShortId));
  const refused = [
    local(NOBODY, ALL, 77),
    local(ALL, ALL),
    remote(2, 4, 2, NOBODY, ALL),
    remote(2, 1, 77, NOBODY, ALL),
    remote(99, 1, 2, NOBODY, ALL),
    remote(1, 1, 2, NOBODY, ALL),
  ];
  for (const key of refused) assert.equal(sourcePlace(key, context), undefined, JSON.stringify(key));
});

Deno.test("the switch's own leg is no local port: nothing goes there, nothing is taken from it", () => {
  const ports = new PortTable();
  ports.add(vport(0, "internal", "meshnet"));
  ports.add(vport(1, "netdev", "vmn1"));
  assert.deepEqual(ports.locals, [1]);
  assert.equal(ports.isLocal(0 as PortNo), false);
});

Deno.test("the switch's own leg is a port like others while it is open", () => {
  const context = world();
  context.ports.add(vport(8, "internal", "meshnet"));
  assert.equal(decide(local(NOBODY, BOX, 8), context, NOW).dropped, "unknown-port");
  context.ports.setLegOpen(true);
  assert.deepEqual(context.ports.locals, [0, 1, 2, 8]);
  context.macs.learn(NOBODY, 8 as Place, NOW);
  assert.deepEqual(decide(local(NOBODY, BOX, 8), context, NOW).actions, [out(1)]);
  assert.deepEqual(decide(remote(2, 1, 2, AT_B, NOBODY), context, NOW).actions, [out(8)]);
  assert.equal(context.ports.setLegOpen(false)?.port, 8);
  assert.deepEqual(context.ports.locals, [0, 1, 2]);
});
