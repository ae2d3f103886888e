import assert from "node:assert/strict";
import { describe, labParts, OK_PARTS, PROCESS_PARTS, settle, sum } from "../../../mod/tasks/parts.ts";
import { root } from "../../../mod/tasks/run.ts";

const REPORT = `<testsuites name="deno test" tests="4" failures="1" errors="0" time="0.1">
  <testsuite name="./a_test.ts" tests="4" disabled="1" errors="0" failures="1">
    <testcase name="reads &lt;failure&gt; and &lt;skipped/&gt;" time="0.000"></testcase>
    <testcase name="b" time="0.000"><skipped/></testcase>
    <testcase name="c" time="0.000"><failure message="Uncaught Error: &lt;testcase&gt;">Error</failure></testcase>
    <testcase name="c &gt; step" time="0.000"></testcase>
  </testsuite>
</testsuites>`;

Deno.test("settle() counts the tests of a report", () => {
  assert.deepEqual(settle(REPORT, false), { passed: 2, failed: 1, skipped: 1 });
});

Deno.test("settle() counts a run that failed without a failed test as a failure", () => {
  assert.deepEqual(settle(REPORT.replace(/<failure.*<\/failure>/, ""), false), {
    passed: 3,
    failed: 1,
    skipped: 1,
  });
  assert.deepEqual(settle(undefined, false), { passed: 0, failed: 1, skipped: 0 });
});

Deno.test("settle() counts a program without tests as one", () => {
  assert.deepEqual(settle(undefined, true), { passed: 1, failed: 0, skipped: 0 });
});

Deno.test("describe() writes the sum as the last line of a run", () => {
  const total = sum([{ passed: 1, failed: 0, skipped: 2 }, { passed: 4, failed: 1, skipped: 0 }]);
  assert.equal(describe(total), "5 passed, 1 failed, 2 skipped");
});

Deno.test("every test file is in one part of `deno task test`", () => {
  const paths = [...OK_PARTS, ...PROCESS_PARTS, ...labParts()].filter((part) => part.counted)
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
