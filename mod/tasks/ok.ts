/** `deno task ok`: everything that needs neither root nor a network, in under two minutes. */
import { describe, OK_PARTS, runParts, sum } from "./parts.ts";

const total = sum(await runParts(OK_PARTS, navigator.hardwareConcurrency));
console.log(describe(total));
Deno.exit(total.failed === 0 ? 0 : 1);
