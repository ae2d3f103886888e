import assert from "node:assert/strict";
import type { Mac } from "../../../../mod/core/addr.ts";
import type { Millis } from "../../../../mod/core/time.ts";
import type { ShortId } from "../../../../mod/core/names.ts";
import { decide } from "../../../../mod/overlay/flows/forward.ts";
import { FLOW_IDLE_MS, FlowKeeper } from "../../../../mod/overlay/flows/flow_keeper.ts";
import { localPlace, peerPlace } from "../../../../mod/overlay/flows/place.ts";
import { newCounters } from "../../../../mod/overlay/ports/counters.ts";
import type { DataplaneEffect, DataplaneLimits } from "../../../../mod/overlay/ports/dataplane_types.ts";
import type {
  FlowAction,
  FlowHandle,
  FlowKey,
  FlowRecord,
  Miss,
  PortNo,
  Ufid,
} from "../../../../mod/wire/netlink/ovs_keys.ts";
import { hostIp } from "../kernel.ts";
import {
  ALL,
  AT_B,
  AT_C,
  BOX,
  linksTo,
  local,
  NOBODY,
  OTHER,
  out,
  remote,
  tun,
  world,
} from "../small_mesh.ts";

const NOW = 10_000 as Millis;
const FRAME = new Uint8Array(60);
const LIMITS: DataplaneLimits = {
  flows: 8,
  flowsPerSource: 4,
  macs: 100,
  macsPerPort: 100,
  macsPerPeer: 100,
};
const handle = (n: number) => Uint8Array.of(n) as unknown as FlowHandle;

/** A keeper in the small mesh. */
class Kept {
  readonly context = world();
  readonly counters = newCounters();
  readonly out = { effects: [] as DataplaneEffect[] };
  readonly keeper: FlowKeeper;
  constructor(limits = LIMITS) {
    const { context, counters, out } = this;
    this.keeper = new FlowKeeper({ context, counters, limits, firstUfid: 1, out });
  }
  /** What the keeper wants, in short. */
  wants(): string[] {
    return this.out.effects.splice(0).map((effect) => {
      switch (effect.kind) {
        case "install":
          return `${effect.replace ? "replace" : "install"} ${effect.ufid}: ${shown(effect.actions)}`;
        case "execute":
          return `execute: ${shown(effect.actions)}`;
        case "delete":
          return `delete ${effect.ufid}`;
        case "delete-foreign":
          return `delete foreign ${effect.handle[0]}`;
        case "log":
          return `log ${effect.event}`;
        default:
          return effect.kind;
      }
    });
  }
  miss(key: FlowKey & { ethSrc: Mac; ethDst: Mac }, now = NOW): string[] {
    const miss: Miss = { key, frame: FRAME };
    this.keeper.install(miss, decide(key, this.context, now), now);
    return this.wants();
  }
  redecided(now = NOW): string[] {
    this.keeper.redecide(now);
    return this.wants();
  }
}

function shown(actions: readonly FlowAction[]): string {
  return actions.map((action) =>
    action.kind === "output"
      ? `to ${action.port}`
      : action.kind === "tunnel"
      ? `via ${action.tunnel.dst}`
      : action.kind
  ).join(", ") || "drop";
}

function record(ufid: number | undefined, more: Partial<FlowRecord> = {}): FlowRecord {
  const rest = {
    handle: handle(ufid ?? 99),
    key: undefined,
    actions: undefined,
    packets: 0,
    bytes: 0,
    usedAt: undefined,
  };
  return { ufid: ufid as Ufid | undefined, ...rest, ...more };
}

Deno.test("FlowKeeper installs the flow of a miss and carries the frame out with it", () => {
  const kept = new Kept();
  assert.deepEqual(kept.miss(local(BOX, AT_B)), ["install 1: via 192.0.2.2"]);
  assert.deepEqual(kept.miss(local(BOX, OTHER)), ["install 2: to 2"]);
  assert.deepEqual([kept.counters.installed, kept.counters.executed, kept.keeper.table.size], [2, 2, 2]);
});

Deno.test("FlowKeeper repeats a flow under its id when a second frame was on its way already", () => {
  const kept = new Kept();
  kept.miss(local(BOX, AT_B));
  assert.deepEqual(kept.miss(local(BOX, AT_B)), ["replace 1: via 192.0.2.2"]);
  assert.equal(kept.keeper.table.size, 1);
});

Deno.test("FlowKeeper lets no flow of one pair of addresses overlap with that of all", () => {
  const kept = new Kept();
  assert.deepEqual(kept.miss(remote(2, 4, 2, AT_B, NOBODY)), ["install 1: via 192.0.2.4"], "in transit");
  assert.deepEqual(
    kept.miss(remote(2, 4, 2, AT_C, BOX)),
    ["replace 1: via 192.0.2.4"],
    "one for all addresses",
  );
  const decision = { ...decide(remote(2, 4, 2, AT_B, BOX), kept.context, NOW), wide: false };
  kept.keeper.install({ key: remote(2, 4, 2, AT_B, BOX), frame: FRAME }, decision, NOW);
  assert.deepEqual(kept.wants(), ["delete 1", "install 2: via 192.0.2.4"]);
});

Deno.test("FlowKeeper carries frames out one by one when a source has its share of flows", () => {
  const kept = new Kept();
  const box = (n: number) => local(BOX, 0x100 + 2 * n as Mac);
  for (let n = 0; n < 4; n++) {
    kept.context.macs.learn(box(n).ethDst, localPlace(2 as PortNo), NOW);
    kept.miss(box(n));
  }
  kept.context.macs.learn(box(4).ethDst, localPlace(2 as PortNo), NOW);
  assert.deepEqual(kept.miss(box(4)), ["execute: to 2"]);
  assert.equal(kept.counters.flowLimit, 1);
  assert.deepEqual(kept.miss(local(OTHER, BOX, 2)), ["install 5: to 1"], "others do not notice");
});

Deno.test("FlowKeeper leaves a quarter of all flows to local ports", () => {
  const kept = new Kept({ ...LIMITS, flows: 4, flowsPerSource: 100 });
  kept.miss(remote(2, 1, 2, AT_B, BOX));
  kept.miss(remote(2, 1, 2, AT_B, OTHER));
  kept.miss(remote(3, 1, 2, AT_C, BOX));
  assert.deepEqual(kept.miss(remote(3, 1, 2, AT_C, OTHER)), ["execute: to 2"]);
  assert.deepEqual(kept.miss(local(BOX, OTHER)), ["install 4: to 2"]);
  assert.deepEqual(kept.miss(local(OTHER, BOX, 2)), ["execute: to 1"], "all are taken");
});

Deno.test("FlowKeeper decides again what a change concerns: equal stays, different is replaced, impossible goes", () => {
  const kept = new Kept();
  kept.miss(local(BOX, AT_B));
  kept.miss(local(BOX, ALL));
  kept.miss(remote(2, 1, 2, AT_B, BOX));
  kept.keeper.table.touchAll();
  assert.deepEqual(kept.redecided(), []);
  kept.context.macs.learn(AT_B, peerPlace(4 as ShortId), NOW); // it has moved from B to D
  kept.keeper.touchMacs([AT_B]);
  assert.deepEqual(kept.redecided(), ["replace 1: via 192.0.2.4", "delete 3"]);
  kept.context.network.setLinks(linksTo([1]), NOW);
  kept.keeper.table.touchNetwork(kept.context.network);
  assert.deepEqual(kept.redecided(), ["replace 1: drop", "replace 2: to 0, to 2, via 192.0.2.2"]);
  assert.equal(kept.counters.replaced, 3);
  kept.context.ports.remove(1 as PortNo);
  kept.keeper.table.touchAll();
  assert.deepEqual(kept.redecided(), ["delete 1", "delete 2"]);
});

Deno.test("FlowKeeper deletes flows of the loop guard when their time is over", () => {
  const kept = new Kept();
  kept.context.macs.learn(AT_B, peerPlace(2 as ShortId), NOW);
  assert.deepEqual(kept.miss(local(AT_B, OTHER)), ["install 1: drop"]);
  const until = kept.keeper.table.nextExpiry();
  kept.keeper.table.touchExpired(until as Millis);
  assert.deepEqual(kept.redecided(until as Millis), ["delete 1"]);
});

Deno.test("FlowKeeper deletes what carried nothing for long, and what it does not know", () => {
  const kept = new Kept();
  kept.miss(local(BOX, AT_B));
  kept.miss(local(BOX, OTHER));
  kept.keeper.requestDump();
  assert.deepEqual(kept.wants(), ["dump-flows"]);
  const later = NOW + FLOW_IDLE_MS as Millis;
  kept.keeper.sweep([record(1, { packets: 5 }), record(2)], (later - 1) as Millis);
  assert.deepEqual(kept.wants(), []);
  kept.keeper.sweep([record(1, { packets: 5 }), record(2), record(77), record(undefined)], later);
  assert.deepEqual(kept.wants(), ["delete 2", "delete 77", "delete foreign 99"]);
  assert.equal(kept.keeper.table.size, 1);
  kept.keeper.sweep([record(1, { packets: 5 })], (later - 1 + FLOW_IDLE_MS) as Millis);
  assert.deepEqual(kept.wants(), ["delete 1"]);
});

Deno.test("FlowKeeper forgets what the kernel has lost, but not what came after the look was asked for", () => {
  const kept = new Kept();
  kept.miss(local(BOX, AT_B));
  kept.keeper.requestDump();
  kept.miss(local(BOX, OTHER));
  kept.wants();
  kept.keeper.sweep([], NOW);
  assert.deepEqual(kept.wants(), []);
  assert.deepEqual([...kept.keeper.table.all()].map(({ ufid }) => ufid), [2]);
});

Deno.test("FlowKeeper forgets a flow that the kernel refused, and says so", () => {
  const kept = new Kept();
  kept.miss(local(BOX, AT_B));
  kept.keeper.installFailed(1 as Ufid, "no memory");
  kept.keeper.installFailed(1 as Ufid, "no memory");
  assert.deepEqual([kept.wants(), kept.keeper.table.size], [["log overlay/flow-install-failed"], 0]);
});

Deno.test("FlowKeeper keeps flows found at start as long as knowledge is missing, and corrects the others", () => {
  const kept = new Kept();
  const toNobody = local(BOX, NOBODY); // we do not know yet who that is
  kept.keeper.adopt([
    record(11, { key: toNobody, actions: [tun(1, 2, 2)] }),
    record(12, { key: local(BOX, AT_B), actions: [tun(1, 2, 4)] }),
    record(13, { key: local(BOX, OTHER), actions: [out(2)] }),
  ], NOW);
  assert.deepEqual(kept.wants(), ["log overlay/flows-adopted"]);
  assert.deepEqual(kept.redecided(), ["replace 12: via 192.0.2.2"]);
  assert.equal(kept.keeper.table.size, 3);
  assert.deepEqual(kept.miss(local(OTHER, BOX, 2)), ["install 14: to 1"], "no id is used twice");
  kept.keeper.endGrace();
  assert.deepEqual(kept.redecided(), ["delete 11"]);
});

Deno.test("FlowKeeper lets no flow found at start send in clear what must be sealed", () => {
  const kept = new Kept();
  kept.context.network.setLinks(linksTo([3], { sealed: new Set([hostIp(2)]) }), NOW);
  kept.keeper.adopt([record(11, { key: local(BOX, NOBODY), actions: [tun(1, 2, 2)] })], NOW);
  kept.wants();
  assert.deepEqual(kept.redecided(), ["delete 11"]);
});

Deno.test("FlowKeeper takes over no tunnel's flow of a run that allowed more in clear than this one", () => {
  const kept = new Kept();
  const found = [
    record(11, { handle: handle(1), key: local(BOX, AT_B), actions: [tun(1, 2, 2)] }),
    record(12, { handle: handle(2), key: local(BOX, OTHER), actions: [out(2)] }),
    record(13, { handle: handle(3), key: local(BOX, NOBODY), actions: [out(2), tun(1, 2, 2)] }),
    record(14, { handle: handle(4), key: remote(2, 1, 2, AT_B, BOX), actions: [out(1)] }),
  ];
  assert.deepEqual(kept.keeper.refuseTunnels(found).map(({ ufid }) => ufid), [12]);
  assert.deepEqual(kept.wants(), [
    "delete foreign 1",
    "delete foreign 3",
    "delete foreign 4",
    "log overlay/flows-refused",
  ]);
  assert.deepEqual(kept.miss(local(OTHER, BOX, 2)), ["install 15: to 1"], "no id is used twice");
});

Deno.test("FlowKeeper deletes what it cannot read when the grace is over, and what user space had at once", () => {
  const kept = new Kept();
  const sleeve = { link: 1, id: 0 } as unknown as FlowKey["sleeve"];
  kept.keeper.adopt([
    record(undefined, { handle: handle(1) }),
    record(undefined, { handle: handle(2), key: { ...local(BOX, AT_B), sleeve }, actions: [] }),
    record(undefined, { handle: handle(3), key: local(BOX, AT_B, 77), actions: [out(2)] }),
    record(undefined, { handle: handle(4), key: local(BOX, AT_B), actions: [tun(1, 2, 2)] }),
  ], NOW);
  assert.deepEqual(kept.wants(), ["delete foreign 2", "delete foreign 3", "log overlay/flows-adopted"]);
  assert.deepEqual(kept.redecided(), [], "somebody else's flow of ours may stay for now");
  kept.keeper.sweep([record(undefined, { handle: handle(1) })], NOW);
  assert.deepEqual(kept.wants(), [], "not during the grace");
  kept.keeper.endGrace();
  assert.deepEqual(kept.wants(), ["delete foreign 1", "delete foreign 4"]);
  assert.deepEqual(kept.miss(local(BOX, AT_B)), ["install 2: via 192.0.2.2"]);
});
