import assert from "node:assert/strict";
import type { Ip } from "../../../mod/core/addr.ts";
import type { Millis } from "../../../mod/core/time.ts";
import { readHealth, TargetChecks } from "../../../mod/daemon/names/target_checks.ts";
import { FakeNameService } from "../dns/fake_name_service.ts";
import { MemoryStore } from "../memory_store.ts";

const GOOD = { healthy: true } as const;
const BAD = { healthy: false, reason: "no connection" } as const;
const ADDRESSES = ["10.2.1.1" as Ip];

class Trial {
  readonly store: MemoryStore;
  readonly service = new FakeNameService();
  readonly told: string[] = [];
  readonly places = new Map([["netns:web", "/run/netns/web"]]);
  readonly checks: TargetChecks;
  now = 0 as Millis;

  constructor(store = new MemoryStore()) {
    this.store = store;
    const log = (event: string) => void this.told.push(event);
    this.checks = new TargetChecks({
      ...{ store, service: this.service, logger: { debug: log, info: log, warn: log, error: log } },
      clock: { now: () => this.now },
      namespaceOf: (target) => this.places.get(target),
      tell: (target, healthy) => void this.told.push(`${target} ${healthy}`),
    });
  }

  get probed(): string[] {
    return [...this.service.probed].map(([id, { check, ip, netns }]) =>
      `${id} ${netns} ${ip} ${check.kind === "tcp" ? check.port : check.kind}`
    );
  }
}

Deno.test("TargetChecks probes a target while it is there, from where it is now", () => {
  const trial = new Trial();
  const { checks } = trial;
  checks.present("netns:web", ADDRESSES);
  assert.deepEqual(trial.probed, []);
  checks.set("netns:web", readHealth("tcp:80"));
  checks.present("netns:web", ADDRESSES);
  assert.deepEqual(trial.probed, ["netns:web /run/netns/web 10.2.1.1 80"]);
  trial.places.set("netns:web", "/proc/7/ns/net");
  checks.present("netns:web", ["fd00::1" as Ip, "10.2.1.2" as Ip]);
  assert.deepEqual(trial.probed, ["netns:web /proc/7/ns/net 10.2.1.2 80"]);
  checks.heard("netns:web", BAD);
  checks.absent("netns:web");
  checks.heard("netns:web", GOOD); // too late
  assert.deepEqual(trial.probed, []);
  assert.deepEqual(trial.told, ["target does not answer", "netns:web false", "netns:web true"]);
  trial.places.clear();
  checks.present("netns:web", ADDRESSES);
  assert.deepEqual(trial.probed, []);
});

Deno.test("TargetChecks says how a target is, since when, and why it failed last", () => {
  const trial = new Trial();
  const { checks } = trial;
  assert.equal(checks.healthOf("netns:web"), null);
  checks.set("netns:web", "tcp:80");
  const of = (more: object) => ({ check: "tcp:80", healthy: null, forMs: null, reason: null, ...more });
  assert.deepEqual(checks.healthOf("netns:web"), of({}));
  checks.present("netns:web", ADDRESSES);
  checks.heard("netns:web", GOOD);
  trial.now = 5_000 as Millis;
  checks.heard("netns:web", GOOD); // the thread began anew
  assert.deepEqual(checks.healthOf("netns:web"), of({ healthy: true, forMs: 5_000 }));
  checks.heard("netns:web", BAD);
  trial.now = 7_000 as Millis;
  assert.deepEqual(
    checks.healthOf("netns:web"),
    of({ healthy: false, forMs: 2_000, reason: "no connection" }),
  );
  checks.heard("netns:web", GOOD);
  assert.deepEqual(checks.healthOf("netns:web"), of({ healthy: true, forMs: 0, reason: "no connection" }));
  checks.absent("netns:web");
  assert.deepEqual(checks.healthOf("netns:web"), of({}));
});

Deno.test("TargetChecks remembers checks, until their target is forgotten", () => {
  const trial = new Trial();
  trial.checks.set("netns:web", "tcp:80,after=5");
  trial.checks.set("netns:db", "tcp:5432");
  trial.store.put("names/health/netns:bad", "{}");
  const next = new Trial(trial.store);
  assert.deepEqual(next.told, ["health check unreadable"]);
  next.checks.keepOnly(new Set(["netns:web"]));
  assert.equal(next.checks.of("netns:web"), "tcp:80,after=5");
  next.checks.present("netns:web", ADDRESSES);
  next.checks.set("netns:web", readHealth("none"));
  assert.deepEqual(next.probed, []);
  next.checks.set("netns:web", "http:80/");
  next.checks.forgotten("netns:web");
  assert.deepEqual([...next.store.records.keys()], ["names/health/netns:bad"]);
});

Deno.test("readHealth() refuses what is no check, and says what is one", () => {
  assert.throws(() => readHealth("udp:53"), {
    code: "usage/bad-health",
    message: `Cannot use the health check "udp:53"`,
    hint: /tcp:PORT, http:PORT\/PATH or exec:COMMAND/,
  });
});
