import assert from "node:assert/strict";
import { Faults } from "../../../mod/core/faults.ts";
import type { LogFields } from "../../../mod/core/ports.ts";
import type { Millis } from "../../../mod/core/time.ts";
import { SystemAlarm, SystemClock, Timers } from "../../../mod/sys/clock.ts";
import { ensureFolder, readTextIfReadable, readTextIfThere, removeIfThere } from "../../../mod/sys/files.ts";
import { ProcNamespaces } from "../../../mod/sys/namespaces.ts";
import { SystemRandom } from "../../../mod/sys/random.ts";
import { ProcSysctl } from "../../../mod/sys/sysctl.ts";

function withFolder(body: (path: string) => void): void {
  const path = Deno.makeTempDirSync({ prefix: "meshnet-sys-" });
  try {
    body(path);
  } finally {
    Deno.removeSync(path, { recursive: true });
  }
}

Deno.test("SystemClock never goes back", () => {
  const clock = new SystemClock();
  let last = clock.now();
  for (let i = 0; i < 1000; i++) {
    const now = clock.now();
    assert.ok(now >= last);
    last = now;
  }
});

/** What is thrown fails the test. */
const UNGUARDED: Pick<Faults, "guard"> = { guard: (_, work) => work };

Deno.test("SystemAlarm hands what a ring throws to the faults", async () => {
  const told = Promise.withResolvers<unknown>();
  const logger = {
    ...{ debug() {}, info() {}, warn() {} },
    error: (_: string, fields?: LogFields) => told.resolve(fields),
  };
  const clock = { now: () => 0 as Millis };
  new SystemAlarm(clock, new Faults({ logger, clock })).set(0, () => {
    throw new Error("defect");
  });
  assert.partialDeepStrictEqual(await told.promise, { what: "an alarm", reason: "defect" });
});

Deno.test("Timers do nothing any more once they are disposed", async () => {
  using kept = new Timers(UNGUARDED);
  const ended = new Timers(UNGUARDED);
  const done = Promise.withResolvers<void>();
  const waits = setTimeout(() => {}, 60_000); // theirs do not keep the process
  const told: string[] = [];
  ended.later("tell", 0, () => told.push("before the end"));
  ended[Symbol.dispose]();
  ended.later("tell", 0, () => told.push("after the end"));
  kept.later("tell", 0, () => kept.later("tell", 0, () => (told.push("kept"), done.resolve())));
  await done.promise;
  clearTimeout(waits);
  assert.deepEqual(told, ["kept"]);
});

Deno.test("SystemAlarm rings once, and only for the last setting", async () => {
  let now = 0;
  const alarm = new SystemAlarm({ now: () => now as Millis }, UNGUARDED);
  const rung: string[] = [];
  const done = Promise.withResolvers<void>();
  alarm.set(0, () => rung.push("replaced"));
  alarm.set(Infinity, () => rung.push("cleared"));
  alarm.set(0, () => rung.push("replaced too"));
  now = 1;
  alarm.set(1, () => {
    rung.push("first");
    alarm.set(0, () => (rung.push("second"), done.resolve())); // in the past: soon, but not at once
    rung.push("set");
  });
  await done.promise;
  assert.deepEqual(rung, ["first", "set", "second"]);
});

Deno.test("SystemAlarm waits on when it was woken early", async () => {
  let now = 0;
  let looks = 0;
  // Each look at the clock moves it by half: the timer is set more than once.
  const clock = { now: () => (looks++, now += 0.5) as Millis };
  const rung = Promise.withResolvers<void>();
  new SystemAlarm(clock, UNGUARDED).set(2, () => rung.resolve());
  await rung.promise;
  assert.ok(now >= 2 && looks >= 3);
});

Deno.test("SystemRandom draws in range, evenly enough, and refuses bad bounds", () => {
  const random = new SystemRandom();
  const counts = new Array<number>(5).fill(0);
  for (let i = 0; i < 5000; i++) counts[random.below(5)]!++;
  assert.ok(counts.every((count) => count > 700 && count < 1300), counts.join());
  assert.equal(random.below(1), 0);
  assert.ok(random.below(2 ** 48) < 2 ** 48);
  for (const bound of [0, -1, 1.5, NaN, 2 ** 48 + 1]) assert.throws(() => random.below(bound), RangeError);
  assert.equal(random.bytes(200_000).length, 200_000);
  assert.notDeepEqual(random.bytes(16), random.bytes(16));
  assert.ok(random.bytes(200_000).subarray(190_000).some((byte) => byte !== 0));
});

Deno.test("files: reading and removing what may not be there", () => {
  withFolder((path) => {
    assert.equal(readTextIfThere(`${path}/x`), undefined);
    assert.equal(readTextIfReadable(`${path}/x`), undefined);
    assert.equal(readTextIfReadable(path), undefined);
    assert.throws(() => readTextIfThere(path));
    assert.equal(removeIfThere(`${path}/x`), false);
    ensureFolder(`${path}/a/b`);
    ensureFolder(`${path}/a/b`);
    assert.deepEqual([...Deno.readDirSync(`${path}/a/b`)], []);
    assert.equal(removeIfThere(`${path}/a`), false); // not empty
    assert.equal(removeIfThere(`${path}/a/b`), true);
    assert.equal(removeIfThere(`${path}/a`), true);
    Deno.writeTextFileSync(`${path}/file`, "text");
    assert.equal(readTextIfThere(`${path}/file`), "text");
    const code = "state/not-writable";
    assert.throws(() => ensureFolder(`${path}/file/x`), { code });
    assert.throws(() => ensureFolder(`${path}/file`), { code, message: /a file is in its place$/ });
    assert.throws(() => ensureFolder("/proc/self/net"), { code }); // nobody can write there
    assert.equal(removeIfThere(`${path}/file`), true);
  });
});

Deno.test("ProcSysctl reads and writes inside the namespace asked for", () => {
  withFolder((path) => {
    const entered: string[] = [];
    const sysctl = new ProcSysctl((namespace, work) => (entered.push(namespace), work()), path);
    Deno.mkdirSync(`${path}/net`);
    Deno.writeTextFileSync(`${path}/net/a`, "1\n");
    assert.equal(sysctl.read("/ns", "net/a"), "1");
    assert.equal(sysctl.read(undefined, "net/b"), undefined);
    assert.equal(sysctl.read(undefined, "net/a/c"), undefined);
    sysctl.write("/ns", "net/a", "0");
    assert.equal(sysctl.read(undefined, "net/a"), "0");
    assert.throws(() => sysctl.write(undefined, "net/b", "0")); // never makes a file
    assert.deepEqual(entered, ["/ns", "/ns"]);
  });
});

Deno.test("ProcNamespaces tells namespaces and processes apart", () => {
  const namespaces = new ProcNamespaces();
  const own = namespaces.own();
  assert.deepEqual(namespaces.identify(`/proc/${Deno.pid}/ns/net`), own);
  assert.notDeepEqual(namespaces.identify("/proc/self/ns/uts"), own);
  assert.equal(namespaces.identify("/run/netns/there-is-no-such"), undefined);
  assert.equal(namespaces.identify("/proc/version/ns/net"), undefined);
  const mark = namespaces.processMark(Deno.pid);
  assert.match(mark!, /^[0-9a-f-]{36} [0-9]+$/);
  assert.equal(namespaces.processMark(Deno.pid), mark);
  // Not compared with the parent's: what starts another program at once has the same start, in hundredths of a second.
  const afterName = Deno.readTextFileSync("/proc/self/stat").split(") ")[1]!;
  assert.equal(mark!.split(" ")[1], afterName.split(" ")[19]);
  assert.equal(namespaces.processMark(2 ** 22 + 1), undefined); // beyond the largest process id
});
