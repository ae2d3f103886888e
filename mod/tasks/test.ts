/** `deno task test`: installs what is missing, builds the executable and passes every test there is. */
import { build } from "./build.ts";
import { describe, labParts, OK_PARTS, runPart, runParts, sum, type Tally, tests } from "./parts.ts";
import { messageOf } from "../core/errors.ts";
import { ensure } from "./setup.ts";

const MINUTE = 60_000;

await ensure("test");
const tallies: Tally[] = [...await runParts(OK_PARTS, navigator.hardwareConcurrency)];
try {
  await build();
  // These run the built file. Most of their time they wait, so labs run side by side: a few kernels in user-mode Linux, and
  // one file of scenarios after the other on this machine's own. The rest is about times, and has the machine for itself.
  tallies.push(await runPart(tests("commands", ["tests/cli"], 4 * MINUTE)));
  tallies.push(await runPart(tests("interop", ["tests/interop"], 5 * MINUTE)));
  tallies.push(...await runParts(labParts(), 2, { loud: true }));
  for (const words of [[], ["ovs"]]) {
    const args = ["run", "-A", "mod/tasks/demo.ts", ...words];
    tallies.push(await runPart({ name: ["demo", ...words].join(" "), args, timeoutMs: 3 * MINUTE }));
  }
} catch (error) {
  console.error(messageOf(error));
  tallies.push({ passed: 0, failed: 1, skipped: 0 });
}
const total = sum(tallies);
console.log(describe(total));
// Everything needed was installed above, so nothing has a reason to be skipped.
Deno.exit(total.failed === 0 && total.skipped === 0 ? 0 : 1);
