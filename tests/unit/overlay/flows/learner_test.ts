import assert from "node:assert/strict";
import type { PortNo } from "../../../../mod/wire/netlink/ovs_keys.ts";
import type { DataplaneEffect } from "../../../../mod/overlay/dataplane.ts";
import { FLOOD_RATE, MISS_RATE, PlaceRates } from "../../../../mod/overlay/flows/place_rates.ts";
import type { Place } from "../../../../mod/overlay/flows/place.ts";
import { BROADCAST } from "../cluster.ts";
import { at, established, kinds, local, made, miss, tunnel } from "../dataplane_made.ts";
import { hostIp } from "../kernel.ts";

const [GREEDY, OTHER] = [0, 1];
/** Addresses that nobody has had. */
const fresh = (i: number) => 0x0200_0000_0000 + 2 * i;
const logs = (effects: readonly DataplaneEffect[]) =>
  effects.flatMap((effect) => effect.kind === "log" ? [effect] : []);

Deno.test("PlaceRates gives each place a share, and tells of one that has used it up once a minute", () => {
  const rates = new PlaceRates();
  const [greedy, other] = [7 as Place, 8 as Place];
  let floods = 0;
  for (let i = 0; i < 100_000; i++) if (rates.allows(greedy, true, at(i / 10))) floods++;
  assert.ok(Math.abs(floods - FLOOD_RATE.burst - 10_000 / FLOOD_RATE.refill) < 10, `${floods} floods`);
  assert.deepEqual([true, false].map((flood) => rates.allows(greedy, flood, at(9_999.9))), [false, true]);
  assert.equal(rates.allows(other, true, at(10_000)), true);
  let misses = 0;
  for (let i = 0; i < 2 * MISS_RATE.burst; i++) if (rates.allows(other, false, at(10_000))) misses++;
  assert.equal(misses, MISS_RATE.burst - 1);
  assert.deepEqual([10_000, 69_999, 70_000].map((now) => rates.tells(greedy, at(now))), [true, false, true]);
});

Deno.test("Dataplane carries what others send while a container floods from ever new addresses", () => {
  const core = made();
  established(core);
  const told: ReturnType<typeof logs> = [];
  let carried = 0;
  for (let i = 0; i < 100_000; i++) {
    const effects = miss(core, local(fresh(i), BROADCAST, GREEDY), 1_000 + i / 10);
    if (effects.some((effect) => effect.kind === "install")) carried++;
    told.push(...logs(effects));
  }
  assert.ok(carried <= FLOOD_RATE.burst + 11_000 / FLOOD_RATE.refill, `${carried} were carried`);
  assert.deepEqual(told.map(({ event, fields }) => [event, fields.interface]), [["overlay/flood", "vmn0"]]);
  assert.deepEqual(kinds(miss(core, local(0x10, BROADCAST, OTHER), 11_000)), ["install"]);
  const peers = { ...local(0x20, BROADCAST, 9), tunnel: tunnel(0x1002) };
  assert.deepEqual(kinds(miss(core, peers, 11_000)), ["install"]);
  assert.ok(core.report(at(11_000)).counters.dropped.flood > 80_000);
});

Deno.test("Dataplane bounds what goes to everybody because nobody knows its destination, from here and from a peer", () => {
  const core = made();
  established(core);
  const carried = [0, 0];
  for (let i = 0; i < 20_000; i++) {
    const keys = [local(0x10, fresh(i)), {
      ...local(0x20, fresh(i), 9 as PortNo),
      tunnel: tunnel(0x1002, hostIp(2)),
    }];
    keys.forEach((key, from) => {
      const effects = miss(core, key, 1_000);
      if (effects.some((effect) => effect.kind === "execute")) carried[from]!++;
    });
  }
  assert.deepEqual(carried, [FLOOD_RATE.burst, FLOOD_RATE.burst]);
  assert.deepEqual(kinds(miss(core, local(0x10, 0x20), 1_000)), ["install"], "what is known goes on");
});

Deno.test("Dataplane gives an address back to its port that a loop had shown at a peer, once that peer sends to it", () => {
  const core = made();
  established(core);
  const [box, theirs] = [0x10, 0x20];
  const from = (src: number, dst: number) => ({ ...local(src, dst, 9), tunnel: tunnel(0x1002, hostIp(2)) });
  miss(core, local(box, BROADCAST), 1_000);
  miss(core, from(theirs, BROADCAST), 1_000);
  miss(core, from(box, BROADCAST), 3_500); // what went round there
  const effects = miss(core, from(theirs, box), 3_600);
  assert.deepEqual(kinds(effects), ["unlearn", "execute"]);
  const [, execute] = effects;
  assert.ok(execute?.kind === "execute");
  assert.deepEqual(execute.actions.filter(({ kind }) => kind === "output").map(({ port }) => port), [0, 1]);
  // It answers, well before the guard against loops would believe it.
  const answer = miss(core, local(box, theirs), 3_650).at(-1);
  assert.ok(answer?.kind === "install" && answer.actions.length === 1, JSON.stringify(answer));
  assert.deepEqual(kinds(miss(core, from(theirs, box), 3_700)), ["install"]);
});

Deno.test("Dataplane lets nobody use up a peer's share in its name", () => {
  const core = made();
  established(core);
  for (let i = 0; i < 50_000; i++) {
    miss(core, { ...local(fresh(i), BROADCAST, 9), tunnel: tunnel(0x1002, hostIp(66)) }, 1_000);
  }
  const { flood, stranger } = core.report(at(1_000)).counters.dropped;
  assert.deepEqual([flood, stranger], [0, 50_000]);
  const peers = { ...local(0x20, BROADCAST, 9), tunnel: tunnel(0x1002) };
  assert.deepEqual(kinds(miss(core, peers, 1_000)), ["install"]);
});
