import assert from "node:assert/strict";
import { MeshnetError } from "../../../mod/core/errors.ts";
import { FAULT_BURST, FAULT_WINDOW, Faults } from "../../../mod/core/faults.ts";
import type { LogFields } from "../../../mod/core/ports.ts";
import type { Millis } from "../../../mod/core/time.ts";

function bench() {
  const lines: LogFields[] = [];
  const never = () => assert.fail("only errors are logged");
  const time = { now: 0 };
  const logger = {
    ...{ debug: never, info: never, warn: never },
    error: (_: string, fields: LogFields = {}) => void lines.push(fields),
  };
  const faults = new Faults({ logger, clock: { now: () => time.now as Millis } });
  return { faults, lines, time };
}

Deno.test("Faults log a place that fails again and again a few times a minute, with the number not told", () => {
  const { faults, lines, time } = bench();
  for (let i = 0; i < 1000; i++) faults.tell("the clock", new Error("it stands"));
  faults.tell("another place", "text");
  assert.equal(lines.length, FAULT_BURST + 1);
  assert.partialDeepStrictEqual(lines[0], { what: "the clock", reason: "it stands" });
  assert.match(String(lines[0]!["stack"]), /faults_test/);
  assert.equal(lines.at(-1)!["reason"], "text");
  time.now += FAULT_WINDOW;
  faults.tell("the clock", new Error("it stands"));
  assert.equal(lines.at(-1)!["untold"], 1000 - FAULT_BURST);
  faults.tell("the clock", new Error("it stands"));
  assert.equal(lines.at(-1)!["untold"], undefined);
});

Deno.test("Faults remember a bounded number of places", () => {
  const { faults, lines } = bench();
  for (let i = 0; i < 10_000; i++) faults.tell(`place ${i % 300}`, "x");
  assert.ok(lines.length <= 10_000);
  assert.equal(faults.places, 256);
});

Deno.test("Faults log code and hint of what people can mend, and no stack", () => {
  const { faults, lines } = bench();
  faults.tell("the disk", new MeshnetError("state/unreadable", "It is full", { hint: "Make room" }));
  assert.deepEqual(lines, [{
    what: "the disk",
    reason: "It is full",
    code: "state/unreadable",
    hint: "Make room",
  }]);
});

Deno.test("Faults log errors of the system without a stack, and descriptors that are used up once for all places", () => {
  const { faults, lines } = bench();
  faults.tell("the disk", new Error("Input/output error (os error 5): readfile 'x'"));
  assert.deepEqual(lines, [{ what: "the disk", reason: "Input/output error", hint: undefined }]);
  faults.tell("accept", new Error("Too many open files (os error 24)"));
  faults.tell("dial", new Error("Too many open files (os error 24)"));
  faults.tell("look", new MeshnetError("native/call-failed", "Cannot open socket", { errno: 24 }));
  assert.equal(lines.length, 2);
  assert.partialDeepStrictEqual(lines[1], { what: "accept", reason: "Too many open files" });
  assert.match(String(lines[1]!["hint"]), /ulimit -n/);
});

Deno.test("Faults.guard() and later() let nothing out, now or later", async () => {
  const { faults, lines } = bench();
  const seen: number[] = [];
  faults.guard("sum", (a: number, b: number) => void seen.push(a + b))(1, 2);
  faults.guard("now", () => {
    throw new Error("now");
  })();
  faults.guard("soon", () => Promise.reject(new Error("soon")))();
  faults.later("promise", Promise.reject(new Error("promise")));
  await Promise.resolve();
  await Promise.resolve();
  assert.deepEqual(seen, [3]);
  assert.deepEqual(lines.map((line) => line["what"]), ["now", "soon", "promise"]);
});

Deno.test("Faults do not throw when the log does", () => {
  const logger = {
    ...{ debug() {}, info() {}, warn() {} },
    error() {
      throw new Error("no log");
    },
  };
  new Faults({ logger, clock: { now: () => 0 as Millis } }).tell("x", "y");
});
