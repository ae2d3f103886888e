/** Frames to and from name servers: each serves the containers of its own host, and no frame of it goes further. */
import assert from "node:assert/strict";
import type { Mac } from "../../../../mod/core/addr.ts";
import { NAME_SERVER_MAC } from "../../../../mod/core/name_leg.ts";
import type { Millis } from "../../../../mod/core/time.ts";
import { decide, decideUnlearnt, sourcePlace } from "../../../../mod/overlay/flows/forward.ts";
import type { FlowAction, FlowKey, PortNo } from "../../../../mod/wire/netlink/ovs_keys.ts";
import { vport } from "../kernel.ts";
import { ALL, AT_B, BOX, local, NOBODY, OTHER, out, remote, world } from "../small_mesh.ts";

const NAMES = 7;
const NOW = 10_000 as Millis;

function withNames() {
  const context = world();
  context.ports.add(vport(NAMES, "names", "mesh-dns"));
  return context;
}

const ROWS: readonly (readonly [
  name: string,
  key: FlowKey & { readonly ethSrc: Mac; readonly ethDst: Mac },
  verdict: string,
  actions: readonly FlowAction[],
  dropped?: string,
])[] = [
  ["a container's query", local(BOX, NAME_SERVER_MAC), "flow", [out(NAMES)]],
  ["an answer", local(NAME_SERVER_MAC, BOX, NAMES), "flow", [out(1)]],
  ["a question of the server's to all", local(NAME_SERVER_MAC, ALL, NAMES), "flow", [out(0), out(1), out(2)]],
  ["an answer to nobody knows whom", local(NAME_SERVER_MAC, NOBODY, NAMES), "once", [out(0), out(1), out(2)]],
  ["an answer to another host's container", local(NAME_SERVER_MAC, AT_B, NAMES), "flow", [], "name-server"],
  [
    "what the server's namespace sends under another name",
    local(OTHER, BOX, NAMES),
    "flow",
    [],
    "bad-source",
  ],
  ["a query of another host", remote(2, 1, 2, AT_B, NAME_SERVER_MAC), "flow", [], "name-server"],
  ["an answer of another host", remote(2, 1, 2, NAME_SERVER_MAC, BOX), "flow", [], "bad-source"],
  ["a container that poses as the server", local(NAME_SERVER_MAC, OTHER), "flow", [], "bad-source"],
  ["a broadcast of a container does not go there", local(BOX, ALL), "flow", [
    ...[out(0), out(2)],
    ...decide(local(BOX, ALL), world(), NOW).actions.slice(2),
  ]],
];

for (const [name, key, verdict, actions, dropped] of ROWS) {
  Deno.test(`name servers: ${name}: ${dropped ?? verdict}`, () => {
    const decision = decide(key, withNames(), NOW);
    assert.deepEqual([decision.verdict, decision.actions, decision.dropped], [verdict, actions, dropped]);
  });
}

Deno.test("name servers: without a port for one, nothing that is for it leaves the host", () => {
  const context = world();
  for (const decided of [decide(local(BOX, NAME_SERVER_MAC), context, NOW)]) {
    assert.deepEqual([decided.verdict, decided.actions, decided.dropped], ["flow", [], "name-server"]);
    assert.equal(decided.locals, true); // decided again when the port is there
  }
  assert.deepEqual(decideUnlearnt(local(NOBODY, NAME_SERVER_MAC), context).actions, []);
  assert.deepEqual(decideUnlearnt(local(NOBODY, NAME_SERVER_MAC), withNames()).actions, [out(NAMES)]);
});

Deno.test("name servers: their address is learnt nowhere", () => {
  const context = withNames();
  for (
    const key of [
      local(NAME_SERVER_MAC, ALL),
      local(NAME_SERVER_MAC, ALL, NAMES),
      local(BOX, ALL, NAMES),
      remote(2, 1, 2, NAME_SERVER_MAC, ALL),
    ]
  ) assert.equal(sourcePlace(key, context), undefined, JSON.stringify(key));
  context.ports.remove(NAMES as PortNo);
  assert.equal(context.ports.names, undefined);
});
