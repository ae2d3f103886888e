/** `deno task up [OPTION...]`: puts the command `meshnet` where every shell finds it, then runs the router from the
 * sources, as `meshnet up` does. */
import { root, run } from "./run.ts";
import { ensure } from "./setup.ts";

await ensure("up");
const asksForHelp = Deno.args.some((word) => word === "-h" || word === "--help");
if (Deno.uid() === 0 && !asksForHelp) {
  // In a process of its own, so that the router keeps none of its memory. Whether it succeeds, it says by itself.
  await run([Deno.execPath(), "run", "-A", "--frozen", `${root}/mod/tasks/install.ts`]);
}
const { main } = await import("../cli/app.ts");
Deno.exit(await main(["up", ...Deno.args]));
