/** Scenarios on real kernels: `dist/meshnet` on hosts that are namespaces inside user-mode Linux.
 *
 * Every scenario is a test of its own here; all of them run inside two kernels, which start with the first test.
 */
import { type Report, testName } from "./common/suite.ts";
import { KERNELS, SUITES } from "./inside/suites.ts";
import { LabProgram } from "./program.ts";

const LIFETIME_SECONDS = 900;

/** Only tests whose name contains one of these; all where there are none. */
const patterns: string[] = JSON.parse(Deno.env.get("LAB_ONLY") ?? "[]");
const tests = SUITES.flatMap((suite) =>
  suite.scenarios.map((name) => ({ suite, test: testName(suite.name, name) }))
)
  .filter(({ test }) => patterns.length === 0 || patterns.some((pattern) => test.includes(pattern)));

type Ended = Extract<Report, { kind: "passed" | "failed" }>;

const results = new Map(tests.map(({ test }) => [test, Promise.withResolvers<Ended>()]));

/** Runs the scenarios of one kernel and settles their results. */
async function runKernel(kernel: number, program: LabProgram): Promise<void> {
  const mine = tests.filter(({ suite }) => suite.kernel === kernel).map(({ test }) => test);
  if (mine.length === 0) return;
  await using uml = program.boot({
    env: { LAB_KERNEL: String(kernel), LAB_TESTS: JSON.stringify(mine) },
    lifetimeSeconds: LIFETIME_SECONDS,
  });
  let running = "the start";
  let done = false;
  for await (const line of uml.lines()) {
    const report: Report = JSON.parse(line);
    if (report.kind === "done") done = true;
    else if (report.kind === "started") running = report.test;
    else results.get(report.test)?.resolve(report);
  }
  if (done) return;
  const why = `The kernel ended during ${running}; its console:\n${await uml.console()}`;
  for (const test of mine) results.get(test)?.resolve({ kind: "failed", test, ms: 0, why }); // settled ones stay
}

let kernels: Promise<unknown> = Promise.resolve();

Deno.test.beforeAll(async () => {
  const program = await LabProgram.bundle("tests/lab/inside/runner.ts");
  kernels = Promise.all(Array.from({ length: KERNELS }, (_, kernel) => runKernel(kernel, program)))
    .finally(() => program[Symbol.dispose]());
  kernels.catch((error) => results.forEach((result) => result.reject(error)));
});

Deno.test.afterAll(async () => void await kernels);

for (const { test } of tests) {
  // The kernels belong to all tests together, so no single one can account for their handles.
  Deno.test({ name: test, sanitizeOps: false, sanitizeResources: false }, async () => {
    const result = await results.get(test)!.promise;
    if (result.kind === "failed") throw new Error(result.why);
    console.log([`${(result.ms / 1000).toFixed(1)} s`, ...result.notes].join("\n"));
  });
}
