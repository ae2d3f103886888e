/** `deno task up [OPTION...]`: runs the router from the sources, like `meshnet up`. */
import { ensure } from "./setup.ts";

await ensure("up");
const { main } = await import("../cli/app.ts");
Deno.exit(await main(["up", ...Deno.args]));
