import assert from "node:assert/strict";
import { STATUS_PAGES } from "../../../mod/cli/commands_status.ts";
import { paint } from "../../../mod/cli/render.ts";
import { pageText } from "../../../mod/cli/status_pages.ts";
import type { StatusReport } from "../../../mod/control/api_types.ts";
import { degradation } from "../../../mod/control/health.ts";
import { completed } from "../../../mod/control/older_answer.ts";
import { EXAMPLE } from "./example_status.ts";

const WHOLE: StatusReport = {
  ...EXAMPLE,
  engine: { socket: "/run/docker.sock", version: "24.0", api: "1.43", info: "", containers: 0 },
};

/** The value without one field, for each field at any depth; one item of a list is like the others. */
function* withoutOne(value: unknown, path = ""): Generator<readonly [path: string, rest: unknown]> {
  if (Array.isArray(value)) {
    for (const [i, item] of value.entries()) {
      for (const [inner, rest] of withoutOne(item, `${path}[${i}]`)) yield [inner, value.with(i, rest)];
    }
  } else if (typeof value === "object" && value !== null) {
    for (const [key, part] of Object.entries(value)) {
      const { [key]: _, ...rest } = value as Record<string, unknown>;
      yield [`${path}.${key}`, rest];
      for (const [inner, lesser] of withoutOne(part, `${path}.${key}`)) {
        yield [inner, { ...value, [key]: lesser }];
      }
    }
  }
}

/** What all commands make of a status. */
function allTexts(report: StatusReport): string {
  const pages = [undefined, ...STATUS_PAGES].map((page) => pageText(report, page, paint(false)));
  return [...pages, degradation(report) ?? "ok"].join("\n");
}

/** The fields of a value and of what is in it, as a shape that two values can share. */
function shape(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shape);
  if (typeof value !== "object" || value === null) return "";
  return Object.fromEntries(Object.entries(value).sort().map(([key, part]) => [key, shape(part)]));
}

Deno.test("completed() leaves an answer of this release as it is", () => {
  assert.deepEqual(completed("/status", WHOLE), WHOLE);
  assert.deepEqual(completed("/status", { ...WHOLE, newer: 1 }), { ...WHOLE, newer: 1 });
  assert.deepEqual(completed("/path", { hops: [] }), { hops: [] });
  assert.equal(completed("/stop", undefined), undefined);
});

Deno.test("a status that lacks any one field is shown, without a trace of the hole", () => {
  let fields = 0;
  for (const [path, rest] of withoutOne(WHOLE)) {
    fields++;
    const report = completed("/status", rest) as StatusReport;
    assert.deepEqual(Object.keys(report).sort(), Object.keys(WHOLE).sort(), path);
    assert.doesNotMatch(allTexts(report), /undefined|NaN/, path);
  }
  assert.ok(fields > 150, `${fields} fields`);
  assert.doesNotMatch(allTexts(completed("/status", {}) as StatusReport), /undefined|NaN/);
});

Deno.test("completed() fills every item of a list, and what may be null with null", () => {
  const connections = EXAMPLE.connections.map(({ silentMs: _, rttAgeMs: __, ...rest }) => rest);
  const { refused: _, lost: __, engine: ___, ...rest } = { ...EXAMPLE, connections };
  const report = completed("/status", rest) as StatusReport;
  assert.deepEqual([report.refused, report.lost, report.engine], [[], [], null]);
  assert.deepEqual(report.connections.map(({ silentMs }) => silentMs), [null, null]);
  assert.deepEqual(shape(report.connections), shape(EXAMPLE.connections));
  assert.deepEqual(completed("/ps", [{ holder: "a", addresses: ["10.0.0.1/8"] }]), [
    {
      ...{ holder: "a", name: null, attached: true, addresses: ["10.0.0.1/8"], names: [] },
      ...{ health: null, trouble: null },
    },
  ]);
  assert.deepEqual(completed("/expose", { addresses: ["10.0.0.1/8"] }), {
    ...{ addresses: ["10.0.0.1/8"], exposed: [], names: [], warnings: [] },
  });
});
