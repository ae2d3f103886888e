import assert from "node:assert/strict";
import type { Millis } from "../../../mod/core/time.ts";
import { TapKeeper } from "../../../mod/datapath/tap_keeper.ts";
import { namesInNotice } from "../../../mod/wire/netlink/rtnetlink.ts";
import { FakeTap } from "../overlay/fake_sleeve.ts";
import { linkNotice, SILENT } from "./link_notices.ts";
import { FakeNotices } from "../kernel_messages.ts";

class Trial {
  readonly tap = new FakeTap();
  readonly notices = new FakeNotices();
  puts = 0;
  mended = 0;
  /** What the next looks find. */
  found: (boolean | Error)[] = [];
  readonly keeper = new TapKeeper({
    ...{ tap: this.tap, notices: this.notices, names: ["meshnet", "mesh-tap"], log: SILENT },
    put: () => {
      this.puts++;
      const found = this.found.shift() ?? false;
      if (found instanceof Error) throw found;
      return found;
    },
    mended: () => void this.mended++,
  });
  at(now: number, ...notices: (Uint8Array | "overrun")[]): this {
    this.notices.queue.push(...notices);
    this.keeper.drain(notices.length > 0, now as Millis);
    this.keeper.wake(now as Millis);
    return this;
  }
}

Deno.test("TapKeeper looks when an interface of its own changes, and at no other", () => {
  const trial = new Trial();
  trial.at(1, linkNotice("eth0"), linkNotice("vmn1234"), Uint8Array.of(1, 2, 3));
  assert.deepEqual([trial.puts, trial.keeper.nextWake()], [0, Infinity]);
  trial.found = [true];
  trial.at(2, linkNotice("eth0"), linkNotice("meshnet", 17));
  assert.deepEqual([trial.puts, trial.mended, trial.keeper.mended], [1, 1, 1]);
});

Deno.test("TapKeeper looks at most five times a second, and once more after its own change", () => {
  const trial = new Trial();
  for (let now = 0; now < 1_000; now++) trial.at(now, linkNotice("mesh-tap"));
  assert.equal(trial.puts, 5);
  assert.deepEqual([trial.mended, trial.keeper.nextWake()], [0, 1_000]);
});

Deno.test("TapKeeper looks when news were lost", () => {
  assert.equal(new Trial().at(0, "overrun").puts, 1);
});

Deno.test("TapKeeper makes a TAP again that is gone, at once, and puts it in its place", () => {
  const trial = new Trial();
  trial.at(0, linkNotice("mesh-tap"));
  trial.tap.gone = true;
  trial.at(1);
  assert.deepEqual([trial.tap.remade, trial.puts, trial.mended], [1, 2, 1]);
});

Deno.test("TapKeeper tries again later when something cannot be put right", () => {
  const trial = new Trial();
  trial.found = [new Error("no"), true];
  trial.at(0, linkNotice("mesh-tap"));
  assert.deepEqual([trial.mended, trial.keeper.nextWake()], [0, 5_000]);
  trial.at(4_999).at(5_000);
  assert.deepEqual([trial.puts, trial.mended, trial.keeper.nextWake()], [2, 1, Infinity]);
});

Deno.test("namesInNotice() reads what came and what went, and returns for whatever it is given", () => {
  assert.deepEqual(namesInNotice(linkNotice("eth0")), ["eth0"]);
  assert.deepEqual(namesInNotice(linkNotice("eth0", 17)), ["eth0"]);
  const whole = linkNotice("mesh-tap");
  for (let cut = 0; cut < whole.length; cut++) assert.deepEqual(namesInNotice(whole.subarray(0, cut)), []);
});
