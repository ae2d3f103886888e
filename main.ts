/** The one executable: argv -> command -> exit code. */
import { main } from "./mod/cli/app.ts";

if (import.meta.main) Deno.exit(await main(Deno.args));
