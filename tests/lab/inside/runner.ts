/** Runs inside the lab's kernel: one suite after the other that no other kernel has taken, reporting each scenario. */
import { takeNotes } from "../common/notes.ts";
import { measurePace } from "../common/pace.ts";
import { within } from "../common/process.ts";
import { isTransfer, transferHere } from "../common/transfer.ts";
import { type Report, type Suite, testName } from "../common/suite.ts";
import { SUITES } from "./suites.ts";

/** Ends a scenario that hangs. The longest ones take 30 seconds on an idle machine, two minutes on a slow one. */
const SCENARIO_LIMIT_MS = 600_000;

if (isTransfer(Deno.args)) {
  await transferHere(Deno.args);
  Deno.exit(0);
}

const wanted = new Set<string>(JSON.parse(Deno.env.get("LAB_TESTS") ?? "[]"));
/** A folder that all kernels see; who makes a suite's entry in it runs the suite. */
const taken = Deno.env.get("LAB_TAKEN")!;
using lines = Deno.openSync(Deno.env.get("UML_LINES")!, { append: true });

function report(line: Report): void {
  lines.writeSync(new TextEncoder().encode(JSON.stringify(line) + "\n"));
  lines.syncSync(); // the reader is outside: the line must leave this kernel's page cache
}

const pace = measurePace();
report({ kind: "pace", slowness: pace });

async function runOne(suite: Suite, scenario: string): Promise<void> {
  const test = testName(suite.name, scenario);
  report({ kind: "started", test });
  const started = performance.now();
  takeNotes();
  try {
    await within(SCENARIO_LIMIT_MS, suite.run(scenario));
    report({ kind: "passed", test, ms: Math.round(performance.now() - started), notes: takeNotes() });
  } catch (error) {
    const ms = Math.round(performance.now() - started);
    const reason = error instanceof Error ? error.stack ?? error.message : String(error);
    const state = await within(30_000, suite.explain()).catch((cause) => `(no explanation: ${cause})`);
    report({
      kind: "failed",
      test,
      ms,
      why: [reason, `this kernel is ${pace.toFixed(1)} times as slow as usual`, ...takeNotes(), state].join(
        "\n",
      ),
    });
    await within(30_000, suite.close()).catch(() => {});
  }
}

/** Whether this kernel is the first to ask for a suite. */
function take(suite: Suite): boolean {
  try {
    Deno.mkdirSync(`${taken}/${SUITES.indexOf(suite)}`);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) return false;
    throw error;
  }
}

for (const suite of SUITES) {
  const chosen = suite.scenarios.filter((scenario) => wanted.has(testName(suite.name, scenario)));
  if (chosen.length === 0 || !take(suite)) continue;
  report({ kind: "suite", suite: suite.name });
  for (const scenario of chosen) await runOne(suite, scenario);
  await within(30_000, suite.close()).catch((error) => console.error(error));
}
report({ kind: "done" });
Deno.exit(0);
