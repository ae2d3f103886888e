/** `meshnet version` */
import { VERSION } from "../../core/version.ts";
import type { CommandRun } from "../command.ts";

/** Prints the version of this command. */
export const run: CommandRun = (invocation, io): void => {
  io.out(
    invocation.on("json")
      ? JSON.stringify({ version: VERSION, deno: Deno.version.deno }) + "\n"
      : `meshnet ${VERSION}\n`,
  );
};
