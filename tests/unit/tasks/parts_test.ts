import assert from "node:assert/strict";
import { describe, labParts, OK_PARTS, PROCESS_PARTS, settle, sum } from "../../../mod/tasks/parts.ts";
import { root } from "../../../mod/tasks/run.ts";

const REPORT = `<testsuites name="deno test" tests="4" failures="1" errors="0" time="0.1">
  <testsuite name="./a_test.ts" tests="4" disabled="1" errors="0" failures="1">
    <testcase name="reads &lt;failure&gt; and &lt;skipped/&gt;" time="0.000"></testcase>
    <testcase name="b" time="0.000"><skipped/></testcase>
    <testcase name="c &amp; &quot;d&quot;" line="1">
      <failure message="Uncaught Error: &lt;testcase&gt;">Error: 1 &lt; 2
    at Object.run (file:///ext/cli/40_test.js:1:2)
    at file:///tests/a_test.ts:3:4
    at file:///tests/suite.ts:5:6
and so on</failure></testcase>
    <testcase name="c &gt; step" time="0.000"></testcase>
  </testsuite>
</testsuites>`;

Deno.test("settle() counts the tests of a report, and says which failed and why", () => {
  assert.deepEqual(settle("unit", REPORT, false), {
    passed: 2,
    failed: 1,
    skipped: 1,
    failures: ['unit: c & "d"\nError: 1 < 2\n    at file:///tests/a_test.ts:3:4\nand so on'],
  });
});

Deno.test("settle() says the first lines of a long reason", () => {
  const lines = Array.from({ length: 50 }, (_, i) => `line ${i}`);
  const long = REPORT.replace("Error: 1 &lt; 2", lines.join("\n"));
  const [said] = settle("unit", long, false).failures;
  assert.deepEqual(said!.split("\n").slice(1), lines.slice(0, 12));
  const [wide] = settle("unit", REPORT.replace("Error: 1 &lt; 2", "x".repeat(9_000)), false).failures;
  assert(wide!.length < 600, `${wide!.length} characters`);
});

Deno.test("settle() counts a run that failed without a failed test as a failure", () => {
  const failures = ["unit: it ended with an error"];
  const report = REPORT.replace(/<failure[^]*<\/failure>/, "");
  assert.deepEqual(settle("unit", report, false), { passed: 3, failed: 1, skipped: 1, failures });
  assert.deepEqual(settle("unit", undefined, false), { passed: 0, failed: 1, skipped: 0, failures });
});

Deno.test("settle() counts a program without tests as one", () => {
  assert.deepEqual(settle("types", undefined, true), { passed: 1, failed: 0, skipped: 0, failures: [] });
});

Deno.test("describe() says what failed, and writes the sum as the last line of a run", () => {
  const total = sum([
    { passed: 1, failed: 0, skipped: 2, failures: [] },
    { passed: 4, failed: 1, skipped: 0, failures: ["unit: c\nError"] },
  ]);
  assert.equal(describe(total), "failed: unit: c\nError\n5 passed, 1 failed, 2 skipped");
});

Deno.test("labParts() has scenarios with a container engine run alone", () => {
  const { alone, together } = labParts("/var/engines/other");
  const names = alone.map(({ name }) => name);
  assert(names.includes("lab host/quick_start with Debian other"));
  for (const name of ["podman", "many_containers", "compose"]) {
    assert(names.includes(`lab host/${name}`), name);
  }
  assert.equal(together[0]!.name, "lab in user-mode Linux");
  assert(together.some(({ name }) => name === "lab host/two_hosts"));
  assert(!together.some(({ name }) => names.includes(name)));
});

Deno.test("every test file is in one part of `deno task test`", () => {
  const { alone, together } = labParts(undefined);
  const paths = [...OK_PARTS, ...PROCESS_PARTS, ...together, ...alone].filter((part) => part.counted)
    .flatMap((part) => part.args.filter((word) => word.startsWith("tests/")));
  const files = (folder: string): string[] =>
    [...Deno.readDirSync(`${root}/${folder}`)].flatMap((entry) => {
      if (entry.isDirectory) return files(`${folder}/${entry.name}`);
      return entry.name.endsWith("_test.ts") ? [`${folder}/${entry.name}`] : [];
    });
  for (const file of files("tests")) {
    assert.equal(paths.filter((path) => file === path || file.startsWith(`${path}/`)).length, 1, file);
  }
});
