/** Runs inside the lab's kernel: every suite of this kernel, one scenario after the other, reporting each. */
import { sendFramesHere } from "../common/frames.ts";
import { takeNotes } from "../common/notes.ts";
import { within } from "../common/process.ts";
import { isTransfer, transferHere } from "../common/transfer.ts";
import { type Report, type Suite, testName } from "../common/suite.ts";
import { SUITES } from "./suites.ts";

const SCENARIO_LIMIT_MS = 240_000;

if (Deno.args[0] === "frames") {
  await sendFramesHere(JSON.parse(Deno.args[1]!));
  Deno.exit(0);
}

if (isTransfer(Deno.args)) {
  await transferHere(Deno.args);
  Deno.exit(0);
}

const kernel = Number(Deno.env.get("LAB_KERNEL"));
const wanted = new Set<string>(JSON.parse(Deno.env.get("LAB_TESTS") ?? "[]"));
using lines = Deno.openSync(Deno.env.get("UML_LINES")!, { append: true });

function report(line: Report): void {
  lines.writeSync(new TextEncoder().encode(JSON.stringify(line) + "\n"));
  lines.syncSync(); // the reader is outside: the line must leave this kernel's page cache
}

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
    report({ kind: "failed", test, ms, why: [reason, ...takeNotes(), state].join("\n") });
    await within(30_000, suite.close()).catch(() => {});
  }
}

for (const suite of SUITES.filter((candidate) => candidate.kernel === kernel)) {
  for (const scenario of suite.scenarios) {
    if (wanted.has(testName(suite.name, scenario))) await runOne(suite, scenario);
  }
  await within(30_000, suite.close()).catch((error) => console.error(error));
}
report({ kind: "done" });
Deno.exit(0);
