import assert from "node:assert/strict";
import type { XfrmEffect } from "../../../../mod/overlay/ports/esp_port.ts";
import {
  EARLIER_MS,
  EspTable,
  KEEP_MS,
  LEAST_KEEP_MS,
  RELEASE_MS,
  SUPERSEDED_MS,
} from "../../../../mod/overlay/links/esp_table.ts";
import { HOLD_MAX_MS } from "../../../../mod/overlay/paths/hold.ts";
import { at, init, path, ready, receiving, sending, session } from "./esp_kit.ts";

/** A table and what it wants, in short. */
class Table {
  effects: XfrmEffect[] = [];
  readonly table = new EspTable(() => [6784], {
    effects: { push: (effect) => void this.effects.push(effect) },
  });

  taken(): string[] {
    const taken = this.effects.map((effect) => {
      if (effect.do === "forget") return `forget ${effect.sa.spi}`;
      if (effect.do === "carry") return `carry ${effect.spi ?? "nothing"}`;
      if (effect.do === "keep") return `keep ${effect.wanted.map(({ spi }) => spi ?? "nothing")}`;
      return effect.do === "forget-earlier"
        ? effect.do
        : `${effect.do} ${"path" in effect && effect.path.port}`;
    });
    this.effects = [];
    return taken;
  }
  /** Time passes, step by step; what was wanted when. */
  until(end: number): string[] {
    const seen: string[] = [];
    for (let next = this.table.nextWake(); next <= end; next = this.table.nextWake()) {
      this.table.wake(at(next));
      const taken = this.taken().filter((what) => !what.startsWith("keep"));
      seen.push(...taken.map((what) => `${next}: ${what}`));
    }
    return seen;
  }
}

Deno.test("EspTable guards a path until the last sealed link has ended, and flows had time to go", () => {
  const host = new Table();
  const esp = ready();
  host.table.hold(esp);
  assert.deepEqual(host.taken(), ["guard 6784"]);
  assert.equal(host.table.guardOf(path), undefined);
  host.table.guarded({ kind: "xfrm-guarded", path, reason: undefined }, at(0));
  assert.equal(host.table.guardOf(path), "");
  host.table.portAppeared(6784);
  assert.deepEqual(host.taken(), []);
  host.table.portAppeared(7000);
  assert.deepEqual(host.taken(), ["guard 7000"], "no way around");
  host.table.carries(esp, at(0));
  host.table.release(esp, false, at(1_000));
  assert.deepEqual(host.taken(), ["carry nothing", "forget 1000", "forget 2000"]);
  assert.deepEqual(host.until(1e9), [
    `${1_000 + RELEASE_MS}: unguard 6784`,
    `${1_000 + RELEASE_MS}: unguard 7000`,
  ]);
  assert.equal(host.table.nextWake(), Infinity);
});

Deno.test("EspTable keeps what a broken link used until another one carries", () => {
  const host = new Table();
  const first = ready(1);
  host.table.hold(first);
  host.table.guarded({ kind: "xfrm-guarded", path, reason: undefined }, at(0));
  host.table.carries(first, at(0));
  host.table.release(first, true, at(1_000));
  assert.deepEqual(host.taken(), ["guard 6784"], "it goes on");
  const second = ready(2, { inbound: 1001, outbound: 2001 });
  host.table.hold(second);
  assert.deepEqual(host.taken(), [], "guarded still");
  host.table.carries(second, at(5_000));
  assert.deepEqual(host.until(HOLD_MAX_MS * 2), [
    `${5_000 + SUPERSEDED_MS}: forget 1000`,
    `${5_000 + SUPERSEDED_MS}: forget 2000`,
  ]);
});

Deno.test("EspTable lets the other of two links carry when one ends, and forgets a broken path in the end", () => {
  const host = new Table();
  const [first, second] = [ready(1), ready(2, { inbound: 1001, outbound: 2001 })];
  for (const esp of [first, second]) {
    host.table.hold(esp);
    host.table.carries(esp, at(0));
  }
  host.taken();
  host.table.release(second, true, at(10));
  assert.deepEqual(host.taken(), ["carry 2000"]);
  host.table.release(first, true, at(20));
  const end = 20 + HOLD_MAX_MS + RELEASE_MS;
  const soon = 10 + SUPERSEDED_MS;
  assert.deepEqual(host.until(end), [
    ...[`${soon}: forget 1001`, `${soon}: forget 2001`],
    ...[`${end}: unguard 6784`, `${end}: forget 1000`, `${end}: forget 2000`],
  ]);
});

Deno.test("EspTable goes on with an ended link's association while another link gets its own", () => {
  const host = new Table();
  const [first, second] = [ready(1), session(2)];
  host.table.hold(first);
  host.table.carries(first, at(0));
  host.table.hold(second);
  host.taken();
  host.table.release(first, false, at(10));
  assert.deepEqual(host.taken(), []);
  second.confirm(at(0));
  receiving(second, 1001);
  second.init(init(2001), at(20));
  sending(second);
  host.table.carries(second, at(20));
  const end = 20 + SUPERSEDED_MS;
  assert.deepEqual(host.until(end), [`${end}: forget 1000`, `${end}: forget 2000`]);
});

Deno.test("EspTable removes what an earlier run left, in the end or where a link is in clear", () => {
  const host = new Table();
  host.table.start(at(0));
  host.table.clear(path);
  assert.deepEqual(host.taken(), ["unguard 6784"]);
  host.table.hold(ready());
  host.table.clear(path);
  assert.deepEqual(host.taken(), ["guard 6784"], "not while another link must be sealed");
  assert.deepEqual(host.until(EARLIER_MS), [`${EARLIER_MS}: forget-earlier`]);
});

Deno.test("EspTable sets guarded policies again and again, until the path is let go", () => {
  const host = new Table();
  const esp = ready();
  host.table.hold(esp);
  assert.equal(host.table.nextWake(), Infinity);
  host.table.guarded({ kind: "xfrm-guarded", path, reason: undefined }, at(0));
  host.taken();
  host.table.wake(at(KEEP_MS));
  assert.deepEqual(host.taken(), ["keep nothing"]);
  host.table.carries(esp, at(KEEP_MS + 1));
  host.table.wake(at(2 * KEEP_MS));
  assert.deepEqual(host.taken(), ["keep 2000"]);
  host.table.release(esp, false, at(2 * KEEP_MS + 1));
  host.until(4 * KEEP_MS);
  assert.equal(host.table.nextWake(), Infinity);
});

Deno.test("EspTable looks at what is guarded as soon as it is disturbed, but not all the time", () => {
  const host = new Table();
  host.table.disturbed(at(0));
  assert.equal(host.table.nextWake(), Infinity, "nothing is guarded");
  host.table.hold(ready());
  host.table.guarded({ kind: "xfrm-guarded", path, reason: undefined }, at(0));
  host.taken();
  host.table.disturbed(at(1_000));
  host.table.wake(at(1_000));
  assert.deepEqual(host.taken(), ["keep nothing"]);
  for (let i = 0; i < 10; i++) {
    host.table.disturbed(at(1_001 + i));
    host.table.wake(at(1_001 + i));
  }
  assert.deepEqual(host.taken(), []);
  assert.equal(host.table.nextWake(), 1_000 + LEAST_KEEP_MS);
  host.table.wake(at(1_000 + LEAST_KEEP_MS));
  assert.deepEqual(host.taken(), ["keep nothing"]);
  assert.equal(host.table.nextWake(), 1_000 + LEAST_KEEP_MS + KEEP_MS);
});
