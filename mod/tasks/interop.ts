/** `deno task interop`: our mesh against peers built from the original mesh library. */
import { root, run } from "./run.ts";
import { ensure } from "./setup.ts";

await ensure("test");
const { code } = await run([Deno.execPath(), "test", "-A", "--frozen", `${root}/tests/interop`]);
Deno.exit(code);
