/** `deno task test`: installs what is missing, builds the executable and passes every test there is. */
import { build } from "./build.ts";
import { DEMO_PARTS, describe, OK_PARTS, PROCESS_PARTS, runLab, runParts, sum, type Tally } from "./parts.ts";
import { messageOf } from "../core/errors.ts";
import { otherEngine } from "./engine.ts";
import { ensure } from "./setup.ts";

await ensure("test");
const tallies: Tally[] = [...await runParts(OK_PARTS, navigator.hardwareConcurrency)];
try {
  await build();
  const other = await otherEngine();
  tallies.push(...await runParts(PROCESS_PARTS, 1));
  // The demo may boot a kernel of its own: on some machines two of them take thrice as long as one.
  tallies.push(...await runParts(DEMO_PARTS, 1, { loud: true }));
  tallies.push(...await runLab(other));
} catch (error) {
  console.error(messageOf(error));
  tallies.push({ passed: 0, failed: 1, skipped: 0, failures: [messageOf(error)] });
}
const total = sum(tallies);
console.log(describe(total));
// Everything needed was installed above, so nothing has a reason to be skipped.
Deno.exit(total.failed === 0 && total.skipped === 0 ? 0 : 1);
