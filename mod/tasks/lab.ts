/** `deno task lab [WORD...]`: scenarios on real kernels; with words, only those whose name contains one of them. */
import { build } from "./build.ts";
import { otherEngine } from "./engine.ts";
import { describe, runLab, sum } from "./parts.ts";
import { root, run } from "./run.ts";
import { ensure } from "./setup.ts";

await ensure("lab");
await build();
if (Deno.args.length === 0) {
  const total = sum(await runLab(await otherEngine()));
  console.log(describe(total));
  Deno.exit(total.failed === 0 ? 0 : 1);
}
const { code } = await run([Deno.execPath(), "test", "-A", "--frozen", `${root}/tests/lab`], {
  env: { LAB_ONLY: JSON.stringify(Deno.args) },
});
Deno.exit(code);
