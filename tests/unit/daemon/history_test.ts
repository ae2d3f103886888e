import assert from "node:assert/strict";
import { History, MAX_HISTORY, noting, storedHistory } from "../../../mod/daemon/history.ts";
import type { LogFields, Store } from "../../../mod/core/ports.ts";
import { MemoryStore } from "../memory_store.ts";

const PEER = "8a:3e:11:02:9c:02";
const HERE = { peer: PEER, address: "192.0.2.2:6783" };

/** A history whose time is set by hand. */
class Bench {
  now = Date.parse("2026-01-31T12:00:00.000Z");
  elapsed = 0;
  warnings: string[] = [];
  #due: (() => void) | undefined;
  history: History;

  constructor(readonly store: Store = new MemoryStore()) {
    this.history = this.restart();
  }
  restart(): History {
    this.#due = undefined;
    this.history = new History({
      store: this.store,
      logger: { warn: (event) => this.warnings.push(event) },
      now: () => this.now,
      elapsed: () => this.elapsed,
      later: (run) => (this.#due = run, () => this.#due = undefined),
    });
    return this.history;
  }
  note(event: string, fields: LogFields = {}): void {
    this.now += 10_000;
    this.elapsed += 10_000;
    this.history.note(event, fields);
  }
  /** The time has come to write. */
  write(): void {
    this.#due?.();
    this.#due = undefined;
  }
  events(): readonly string[] {
    return this.history.list().map(({ event }) => event);
  }
}

Deno.test("History keeps what counts over restarts, with reasons, and says when a run ended without a word", () => {
  const bench = new Bench();
  bench.note("running", { peer: "us" });
  bench.note("mesh/accepted", HERE);
  bench.note("mesh/connected", { ...HERE, nickname: "host2" });
  bench.note("mesh/disconnected", { ...HERE, reason: "nothing was heard" });
  bench.note("stopping", { by: "SIGTERM" });
  bench.history[Symbol.dispose]();
  bench.note("running"); // its store is closed
  bench.restart();
  bench.note("running");
  bench.write();
  assert.deepEqual(bench.events(), ["started", "connected", "disconnected", "stopped", "started"]);
  const [, , disconnected, stopped, again] = bench.history.list();
  assert.deepEqual([disconnected!.nickname, disconnected!.reason], ["host2", "nothing was heard"]);
  assert.deepEqual([stopped!.reason, again!.reason], ["SIGTERM", null]);
  bench.restart(); // it was killed
  bench.note("running");
  assert.match(bench.history.list().at(-1)!.reason!, /ended without a word/);
});

Deno.test("History is bounded, in memory and in the store, and a flood is counted", () => {
  const bench = new Bench();
  for (let i = 0; i < 1_000; i++) {
    bench.note("attached", { target: `netns:${i}` });
    if (i % 7 === 0) bench.write();
  }
  bench.write();
  assert.equal(bench.history.list().length, MAX_HISTORY);
  assert.equal(storedHistory(bench.store).length, MAX_HISTORY);
  assert.deepEqual(storedHistory(bench.store), bench.history.list());
  assert.equal(bench.history.list().at(-1)!.target, "netns:999");
  for (let i = 0; i < 1_000; i++) bench.history.note("mesh/connected", HERE);
  assert.ok(bench.history.list().filter(({ event }) => event === "connected").length <= 64);
  bench.note("attached", { target: "x".repeat(10_000) });
  const last = bench.history.list().at(-1)!;
  assert.ok(last.leftOut > 900 && last.target!.length <= 400);
});

Deno.test("History goes on in memory where the disk takes nothing, says so once, and writes later", () => {
  const store = new MemoryStore();
  const bench = new Bench(store);
  store.fails = new Error("disk full");
  bench.note("mesh/connected", HERE);
  bench.write();
  bench.note("mesh/disconnected", HERE);
  bench.write();
  assert.deepEqual(bench.warnings, ["history not remembered"]);
  assert.deepEqual(bench.events(), ["connected", "disconnected"]);
  store.fails = undefined;
  bench.note("mesh/connected", HERE);
  bench.write();
  assert.equal(storedHistory(store).length, 3);
});

Deno.test("History.lost() has who left within an hour and is not back", () => {
  const bench = new Bench();
  bench.note("mesh/connected", { ...HERE, nickname: "host2" });
  assert.deepEqual(bench.history.lost(new Set()), []);
  bench.note("mesh/disconnected", { ...HERE, reason: "why" });
  bench.now += 5_000;
  assert.deepEqual(bench.history.lost(new Set()), [
    { peer: PEER, nickname: "host2", address: HERE.address, reason: "why", agoMs: 5_000 },
  ]);
  assert.deepEqual(bench.history.lost(new Set([PEER])), []);
  bench.now += 3_600_000;
  assert.deepEqual(bench.history.lost(new Set()), []);
});

Deno.test("History.lost() has the latest first, whoever came first", () => {
  const bench = new Bench();
  for (const peer of ["a", "b"]) bench.note("mesh/connected", { ...HERE, peer });
  for (const peer of ["b", "a"]) bench.note("mesh/disconnected", { ...HERE, peer });
  assert.deepEqual(bench.history.lost(new Set()).map(({ peer }) => peer), ["a", "b"]);
});

Deno.test("History keeps its rate when the clock is set back", () => {
  const bench = new Bench();
  bench.note("running");
  bench.now -= 3_600_000;
  for (let i = 0; i < 1_000; i++) bench.history.note("attached", {});
  assert.ok(bench.history.list().length < 100, `${bench.history.list().length} were taken`);
});

Deno.test("noting() passes lines on, and tells what they say", () => {
  const lines: unknown[] = [];
  const take = (level: string) => (event: string, fields?: LogFields) =>
    void lines.push([level, event, fields]);
  const log = { debug: take("debug"), info: take("info"), warn: take("warn"), error: take("error") };
  const noted: unknown[] = [];
  noting(log, (event, fields) => noted.push([event, fields])).warn("overlay/loop", { peer: "p" });
  assert.deepEqual([lines, noted], [
    [["warn", "overlay/loop", { peer: "p" }]],
    [["overlay/loop", { peer: "p" }]],
  ]);
});
