import assert from "node:assert/strict";
import type { Millis } from "../../../mod/core/time.ts";
import { type Health, type HealthEffect, HealthWatch } from "../../../mod/dns/thread/health.ts";
import { DEFAULT_PACE, parseHealthCheck } from "../../../mod/dns/thread/health_check.ts";

const GOOD: Health = { healthy: true };
const BAD: Health = { healthy: false, reason: "no" };

/** A target that answers when `good` says so, after `delay`. */
class Trial {
  now = 0 as Millis;
  readonly watch = new HealthWatch();
  readonly states: string[] = [];
  probes = 0;
  good: "yes" | "no" | "silent" = "yes";
  #open = new Set<number>();

  perform(effects: readonly HealthEffect[]): void {
    for (const effect of effects) {
      if (effect.kind === "state") this.states.push(`${effect.target} ${effect.health.healthy} ${this.now}`);
      else if (effect.kind === "cancel") assert.ok(this.#open.delete(effect.probe));
      else {
        this.probes++;
        this.#open.add(effect.probe);
        if (this.good === "silent") continue;
        this.#open.delete(effect.probe);
        this.perform(
          this.watch.result(effect.target, effect.probe, this.good === "yes" ? GOOD : BAD, this.now),
        );
      }
    }
  }

  pass(ms: number): void {
    const end = this.now + ms;
    for (let next = this.watch.nextWake(); next <= end; next = this.watch.nextWake()) {
      this.now = next as Millis;
      this.perform(this.watch.wake(this.now));
    }
    this.now = end as Millis;
  }

  get open(): number {
    return this.#open.size;
  }
}

Deno.test("HealthWatch takes the first result at once, and later ones when there are enough in a row", () => {
  const trial = new Trial();
  trial.perform(trial.watch.add("web", { intervalMs: 1_000, threshold: 3 }, trial.now));
  assert.deepEqual(trial.states, ["web true 0"]);
  trial.pass(10_500);
  assert.equal(trial.probes, 11);
  trial.good = "no";
  trial.pass(2_000);
  trial.good = "yes"; // two are too few
  trial.pass(1_000);
  trial.good = "no";
  trial.pass(3_000);
  assert.deepEqual(trial.states.splice(1), ["web false 16000"]);
  trial.good = "yes";
  trial.pass(3_000);
  assert.deepEqual(trial.states.splice(1), ["web true 19000"]);
});

for (const kind of ["no", "silent"] as const) {
  for (const after of [0, 1, 250, 499]) {
    Deno.test(`HealthWatch tells within two seconds that a target has failed (${kind}, ${after} ms after a probe)`, () => {
      const trial = new Trial();
      trial.perform(trial.watch.add("web", DEFAULT_PACE, trial.now));
      trial.pass(5_000 + after);
      trial.good = kind;
      trial.pass(1_800);
      assert.match(trial.states[1]!, /^web false/);
      trial.good = "yes";
      trial.pass(1_800);
      assert.match(trial.states[2]!, /^web true/);
      assert.ok(trial.open <= 1);
    });
  }
}

Deno.test("HealthWatch forgets targets, and takes no result that comes late", () => {
  const trial = new Trial();
  trial.good = "silent";
  trial.perform(trial.watch.add("web", DEFAULT_PACE, trial.now));
  assert.equal(trial.open, 1);
  trial.perform(trial.watch.remove("web"));
  assert.equal(trial.open, 0);
  assert.deepEqual(trial.watch.result("web", 1, GOOD, trial.now), []);
  assert.equal(trial.watch.nextWake(), Infinity);
  trial.perform(trial.watch.add("web", DEFAULT_PACE, trial.now));
  assert.deepEqual(trial.watch.result("web", 1, GOOD, trial.now), []);
  trial.good = "yes";
  trial.perform(trial.watch.add("web", DEFAULT_PACE, trial.now)); // once more is as good as once
  assert.equal(trial.open, 0);
  assert.deepEqual(trial.states, ["web true 0"]);
});

Deno.test("HealthWatch says why a target has failed", () => {
  const watch = new HealthWatch();
  const pace = { intervalMs: 300, threshold: 1 };
  watch.add("web", pace, 0 as Millis);
  assert.deepEqual(watch.result("web", 1, { healthy: false, reason: "HTTP status 503" }, 1 as Millis), [
    { kind: "state", target: "web", health: { healthy: false, reason: "HTTP status 503" } },
  ]);
  watch.add("db", pace, 0 as Millis);
  const [, late] = watch.wake(300 as Millis).filter(({ kind }) => kind !== "probe");
  assert.deepEqual(late, {
    kind: "state",
    target: "db",
    health: { healthy: false, reason: "no answer within 300 ms" },
  });
});

Deno.test("HealthWatch gives each target its turn where few can be probed at once", () => {
  const watch = new HealthWatch();
  const probes = new Map<string, number>();
  let running: { target: string; probe: number; until: number }[] = [];
  let now = 0;
  const perform = (effects: readonly HealthEffect[]) => {
    for (const effect of effects) {
      if (effect.kind !== "probe") continue;
      const { probe, target } = effect;
      if (running.length === 2) watch.postpone(target, probe, now as Millis);
      else {
        running.push({ target, probe, until: now + 40 });
        probes.set(target, (probes.get(target) ?? 0) + 1);
      }
    }
  };
  const all = Array.from({ length: 20 }, (_, i) => `t${i}`);
  for (const target of all) perform(watch.add(target, { intervalMs: 500, threshold: 2 }, now as Millis));
  for (; now < 10_000; now += 10) {
    const done = running.filter(({ until }) => until <= now);
    running = running.filter((each) => !done.includes(each));
    for (const { probe, target } of done) perform(watch.result(target, probe, GOOD, now as Millis));
    perform(watch.wake(now as Millis));
  }
  for (const target of all) assert.ok(probes.get(target)! >= 10, `${target}: ${probes.get(target)}`);
});

const HTTP = { kind: "http", port: 80, path: "/a,b" } as const;
const CHECKS: readonly (readonly [text: string, value: ReturnType<typeof parseHealthCheck>])[] = [
  ["tcp:80", { check: { kind: "tcp", port: 80 }, pace: DEFAULT_PACE }],
  ["http:80", { check: { ...HTTP, path: "/" }, pace: DEFAULT_PACE }],
  ["http:80/ready?x=1", { check: { ...HTTP, path: "/ready?x=1" }, pace: DEFAULT_PACE }],
  ["http:80/a,b,every=2s,after=3", { check: HTTP, pace: { intervalMs: 2_000, threshold: 3 } }],
  ["tcp:65535,every=100ms", {
    check: { kind: "tcp", port: 65_535 },
    pace: { intervalMs: 100, threshold: 2 },
  }],
  ["exec:true", { check: { kind: "exec", words: ["true"] }, pace: DEFAULT_PACE }],
  ["exec:/bin/sh  -c 'a \"b\" $c, d' \"e 'f' \\\"\" g\\ h '',every=2s", {
    check: { kind: "exec", words: ["/bin/sh", "-c", 'a "b" $c, d', "e 'f' \"", "g h", ""] },
    pace: { intervalMs: 2_000, threshold: 2 },
  }],
  ["tcp:1,after=1", { check: { kind: "tcp", port: 1 }, pace: { intervalMs: 500, threshold: 1 } }],
];

Deno.test("parseHealthCheck() takes tcp, http and exec with their pace, and nothing else", () => {
  for (const [text, value] of CHECKS) assert.deepEqual(parseHealthCheck(text), value, text);
  const bad = [
    "",
    "tcp",
    "tcp:",
    "tcp:0",
    "tcp:65536",
    "tcp:80/x",
    "tcp:x",
    "http:/x",
    "http:80x",
    "http:80/a b",
  ];
  const pace = [
    "tcp:80,every=2",
    "tcp:80,every=99ms",
    "tcp:80,every=3601s",
    "tcp:80,after=0",
    "tcp:80,after=101",
    "http:80/r,every=5m",
    "http:80/r,every=2",
    "http:80/r,after=1000",
    "http:80/r,after=3,every=2s",
  ];
  for (
    const text of [
      ...bad,
      ...pace,
      "exec:",
      "exec: ",
      "exec:'' a",
      "exec:a 'b",
      'exec:a "b',
      "exec:a \\",
      "exec:a\nb",
      "exec:a\0b",
      "exec:a,after=0",
      "exec:a,after=2,every=2s",
      "udp:53",
      "TCP:80",
      "http:80/a\r\nHost: b",
      `http:80/${"a".repeat(2e3)}`,
    ]
  ) {
    assert.equal(parseHealthCheck(text), undefined, JSON.stringify(text));
  }
});
