/** Scenarios on real kernels: `dist/meshnet` on hosts that are namespaces inside user-mode Linux.
 *
 * Every scenario is a test of its own here; all of them run inside a few kernels, which start with the first test.
 */
import { type Report, testName } from "./common/suite.ts";
import { SUITES } from "./inside/suites.ts";
import { LabProgram } from "./program.ts";

/** Ends a kernel that hangs. On an idle machine it has done after a quarter of this; some are three times as slow. */
const LIFETIME_SECONDS = 3_780;
/** How many kernels run side by side. Each uses one processor, and waits much of its time. */
const KERNELS = navigator.hardwareConcurrency + 1;
/** Where a kernel is this slow it runs alone. A virtual machine whose hypervisor has a part in every switch between
 * processes runs one kernel as fast on two processors as three kernels together. */
const ALONE = 1.5;

/** Only tests whose name contains one of these; all where there are none. */
const patterns: string[] = JSON.parse(Deno.env.get("LAB_ONLY") ?? "[]");
const tests = SUITES.flatMap((suite) =>
  suite.scenarios.map((name) => ({ suite, test: testName(suite.name, name) }))
)
  .filter(({ test }) => patterns.length === 0 || patterns.some((pattern) => test.includes(pattern)));

type Ended = Extract<Report, { kind: "passed" | "failed" }>;

const results = new Map(tests.map(({ test }) => [test, Promise.withResolvers<Ended>()]));

/** Settles the results of tests that have none yet. */
function fail(which: readonly { readonly test: string }[], why: string): void {
  for (const { test } of which) results.get(test)?.resolve({ kind: "failed", test, ms: 0, why }); // settled ones stay
}

/** Runs the scenarios of the suites that this kernel comes to take, and settles their results. `paceIs` is told how slow it
 * is before it takes the first. */
async function runKernel(
  program: LabProgram,
  taken: string,
  paceIs: (slowness: number) => void = () => {},
): Promise<void> {
  await using uml = program.boot({
    env: { LAB_TAKEN: taken, LAB_TESTS: JSON.stringify(tests.map(({ test }) => test)) },
    lifetimeSeconds: LIFETIME_SECONDS,
  });
  const suites = new Set<string>();
  let running = "the start";
  for await (const line of uml.lines()) {
    const report: Report = JSON.parse(line);
    if (report.kind === "done") return;
    if (report.kind === "pace") paceIs(report.slowness);
    else if (report.kind === "suite") suites.add(report.suite);
    else if (report.kind === "started") running = report.test;
    else results.get(report.test)?.resolve(report);
  }
  const why = `The kernel ended during ${running}; its console:\n${await uml.console()}`;
  fail(tests.filter(({ suite }) => suites.has(suite.name)), why);
  if (suites.size === 0) throw new Error(why);
}

async function runKernels(): Promise<void> {
  using program = await LabProgram.bundle("tests/lab/inside/runner.ts");
  const taken = `${program.folder}/taken`;
  Deno.mkdirSync(taken, { recursive: true });
  const count = Math.min(KERNELS, new Set(tests.map(({ suite }) => suite)).size);
  const pace = Promise.withResolvers<number>();
  const first = runKernel(program, taken, pace.resolve).finally(() => pace.resolve(1));
  const more = await pace.promise < ALONE ? count - 1 : 0;
  const ends = await Promise.allSettled([
    first,
    ...Array.from({ length: more }, () => runKernel(program, taken)),
  ]);
  const whys = ends.flatMap((end) => end.status === "rejected" ? [String(end.reason)] : []);
  fail(tests, ["No kernel came to run it", ...whys].join("\n"));
}

let kernels: Promise<unknown> = Promise.resolve();

Deno.test.beforeAll(() => {
  kernels = runKernels();
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
