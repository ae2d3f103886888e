import assert from "node:assert/strict";
import type { Ip } from "../../../../mod/core/addr.ts";
import type { LinkId } from "../../../../mod/core/overlay_port.ts";
import type { Millis } from "../../../../mod/core/time.ts";
import { type FlowEntry, FlowTable, keyText } from "../../../../mod/overlay/flows/flow_table.ts";
import type { FlowAction, FlowKey, PortNo, Ufid } from "../../../../mod/wire/netlink/ovs_keys.ts";
import { vniOf } from "../../../../mod/wire/packet/vxlan.ts";
import type { ShortId } from "../../../../mod/core/names.ts";
import { decide } from "../../../../mod/overlay/flows/forward.ts";
import { hostIp } from "../kernel.ts";
import { ALL, AT_B, AT_C, AT_E, BOX, linksTo, local, OTHER, out, remote, tun, world } from "../small_mesh.ts";

const NOW = 10_000 as Millis;

/** A table in the small mesh, filled with decided flows. */
class Filled {
  readonly context = world();
  readonly table = new FlowTable();
  #next = 1;
  add(key: FlowKey, more: Partial<FlowEntry> = {}): FlowEntry {
    const { actions, broadcast, locals, unicast, until } = decide(key, this.context, NOW);
    const entry: FlowEntry = {
      ...{ ufid: this.#next++ as Ufid, key, actions, unicast, broadcast, locals, until },
      ...{ adopted: false, foreign: undefined, packets: 0, bytes: 0, cells: [], usedAt: NOW },
      ...more,
    };
    this.table.add(entry, this.context.network);
    return entry;
  }
  /** Keys of what must be decided again. */
  dirty(): string[] {
    return this.table.takeDirty().map(({ key }) => keyText(key)).sort();
  }
}

const texts = (...keys: FlowKey[]) => keys.map(keyText).sort();
const TO_B = local(BOX, AT_B);
const TO_C = local(BOX, AT_C);
const TO_ALL = local(OTHER, ALL, 2);
const FROM_C = remote(3, 1, 2, AT_C, BOX);
const FLOODED = remote(2, 1, 2, AT_B, ALL);

Deno.test("FlowTable finds flows by id, by key, by port and by link", () => {
  const filled = new Filled();
  const [one, two] = [filled.add(TO_B), filled.add(FROM_C)];
  const sleeve = { link: 7 as LinkId, id: vniOf(2 as ShortId, 1 as ShortId) };
  const three = filled.add({ inPort: 5 as PortNo, ethSrc: AT_B, ethDst: BOX, sleeve });
  const { table } = filled;
  assert.equal(table.size, 3);
  assert.equal(table.get(one.ufid), one);
  assert.equal(table.find({ ...TO_B }), one);
  assert.equal(table.find({ ...TO_B, tagged: true }), undefined, "tagged frames are others");
  assert.equal(table.find({ ...TO_B, inPort: 2 as PortNo }), undefined);
  assert.deepEqual(table.ofPort(9 as PortNo), [two]);
  assert.deepEqual(table.ofLink(7 as LinkId), [three]);
  assert.deepEqual([...table.all()], [one, two, three]);
  for (const entry of [one, two, three]) table.remove(entry);
  assert.deepEqual([table.size, table.find(TO_B), table.ofPort(9 as PortNo), table.ofLink(7 as LinkId)], [
    0,
    undefined,
    [],
    [],
  ]);
});

Deno.test("FlowTable counts flows by local port and by originating peer", () => {
  const filled = new Filled();
  filled.add(TO_B);
  filled.add(TO_C);
  const from = filled.add(FROM_C);
  filled.add(FLOODED);
  assert.deepEqual([TO_ALL, TO_B, FROM_C, FLOODED].map((key) => filled.table.countFrom(key)), [0, 2, 1, 1]);
  filled.table.remove(from);
  assert.equal(filled.table.countFrom(FROM_C), 0);
});

Deno.test("FlowTable marks what a MAC address, the local ports, or everything concerns", () => {
  const filled = new Filled();
  for (const key of [TO_B, TO_C, TO_ALL, FROM_C]) filled.add(key);
  assert.equal(filled.table.hasDirty, false);
  filled.table.touchMac(AT_C);
  assert.equal(filled.table.hasDirty, true);
  assert.deepEqual(filled.dirty(), texts(TO_C, FROM_C));
  assert.equal(filled.table.hasDirty, false, "taken once");
  filled.table.touchLocals();
  assert.deepEqual(filled.dirty(), texts(TO_ALL));
  filled.table.touchAll();
  assert.equal(filled.dirty().length, 4);
});

Deno.test("FlowTable marks what a change of the network concerns, and nothing else", () => {
  const filled = new Filled();
  for (const key of [TO_B, TO_C, TO_ALL, FROM_C, FLOODED]) filled.add(key);
  const { context: { network }, table } = filled;
  table.touchNetwork(network);
  assert.deepEqual(filled.dirty(), []);
  network.setLinks(linksTo([1], { clear: new Set([hostIp(2), hostIp(4)]) }), NOW); // the link to D is gone
  table.touchNetwork(network);
  assert.deepEqual(filled.dirty(), texts(TO_ALL, FLOODED), "both were flooded to D");
  table.touchNetwork(network);
  assert.deepEqual(filled.dirty(), [], "told once");
  network.setLinks(linksTo([1], { clear: new Set<Ip>() }), NOW); // frames from B's address are not taken any more
  table.touchNetwork(network);
  assert.deepEqual(filled.dirty(), texts(FROM_C, FLOODED));
});

Deno.test("FlowTable.update() makes an entry follow what its new decision rests on", () => {
  const filled = new Filled();
  const entry = filled.add(TO_B);
  const { context, table } = filled;
  const decision = decide(TO_ALL, context, NOW);
  table.update(entry, { ...decision, until: 20_000 }, context.network);
  assert.deepEqual(entry.actions, decision.actions);
  table.touchLocals();
  assert.deepEqual(filled.dirty(), texts(TO_B));
  assert.equal(table.nextExpiry(), 20_000);
  table.update(entry, decide(TO_B, context, NOW), context.network);
  table.touchLocals();
  assert.deepEqual(filled.dirty(), []);
  assert.equal(table.nextExpiry(), Infinity);
  context.network.setLinks(linksTo([3]), NOW);
  table.touchNetwork(context.network);
  assert.deepEqual(filled.dirty(), texts(TO_B));
});

Deno.test("FlowTable.update() forgets what the old decision rested on", () => {
  const filled = new Filled();
  const entry = filled.add(TO_B);
  const { context, table } = filled;
  table.update(entry, decide(local(BOX, AT_E), context, NOW), context.network);
  context.network.setLinks(linksTo([3]), NOW); // the link to B is gone
  table.touchNetwork(context.network);
  assert.deepEqual(filled.dirty(), []);
  context.network.setLinks(linksTo([3, 4], { likely: linksTo([3, 4]).paths }), NOW); // one to E comes
  table.touchNetwork(context.network);
  assert.deepEqual(filled.dirty(), texts(TO_B));
});

Deno.test("FlowTable marks flows whose time is over", () => {
  const filled = new Filled();
  filled.add(TO_B, { until: 11_000 });
  filled.add(TO_C, { until: 12_000 });
  const { table } = filled;
  assert.deepEqual([table.timed, table.nextExpiry()], [2, 11_000]);
  table.touchExpired(10_999 as Millis);
  assert.deepEqual(filled.dirty(), []);
  table.touchExpired(11_000 as Millis);
  assert.deepEqual(filled.dirty(), texts(TO_B));
});

Deno.test("FlowTable counts flows found at start until they are confirmed", () => {
  const filled = new Filled();
  const [one, two] = [filled.add(TO_B, { adopted: true }), filled.add(TO_C, { adopted: true })];
  assert.equal(filled.table.adopted, 2);
  filled.table.confirm(one);
  filled.table.confirm(one);
  assert.equal(filled.table.adopted, 1);
  filled.table.forgetMac(AT_C);
  assert.deepEqual([filled.table.adopted, two.adopted, filled.dirty()], [0, false, texts(TO_C)]);
});

Deno.test("FlowTable tells outer addresses that flows use, when they are others than before", () => {
  const filled = new Filled();
  const { table } = filled;
  assert.equal(table.takeTunnelUse(), undefined);
  const [one, two] = [filled.add(TO_B), filled.add(TO_C)];
  const use = table.takeTunnelUse()!;
  assert.deepEqual([use.has(hostIp(2)), use.has(hostIp(4))], [true, false]);
  table.remove(one);
  assert.equal(table.takeTunnelUse(), undefined, "the other one goes there, too");
  table.remove(two);
  assert.equal(table.takeTunnelUse()!.has(hostIp(2)), false);
  const actions: readonly FlowAction[] = [out(1), tun(1, 4, 4)];
  filled.add(TO_ALL, { actions });
  assert.equal(table.takeTunnelUse()!.has(hostIp(4)), true);
  const from = filled.add(FROM_C);
  assert.equal(table.takeTunnelUse()!.has(hostIp(2)), true, "frames come from there");
  table.remove(from);
  assert.equal(table.takeTunnelUse()!.has(hostIp(2)), false);
});

Deno.test("FlowTable does not mark a flow that has gone", () => {
  const filled = new Filled();
  for (const entry of [TO_ALL, FROM_C, FLOODED].map((key) => filled.add(key))) {
    filled.table.touchAll();
    filled.table.remove(entry);
  }
  filled.table.touchLocals();
  for (const mac of [OTHER, ALL, BOX, AT_B, AT_C]) filled.table.touchMac(mac);
  filled.context.network.setLinks(linksTo([]), NOW);
  filled.table.touchNetwork(filled.context.network);
  assert.deepEqual(filled.dirty(), []);
});
