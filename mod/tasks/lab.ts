/** `deno task lab [WORD...]`: scenarios on real kernels; with words, only those whose name contains one of them. */
import { build } from "./build.ts";
import { root, run } from "./run.ts";
import { ensure } from "./setup.ts";

await ensure("lab");
await build();
const { code } = await run([Deno.execPath(), "test", "-A", "--frozen", `${root}/tests/lab`], {
  env: { LAB_ONLY: JSON.stringify(Deno.args) },
});
Deno.exit(code);
