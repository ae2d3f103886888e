/** `meshnet ipam export` */
import type { CommandRun } from "../command.ts";
import { call, json } from "../daemon_call.ts";

/** Prints a backup. */
export const run: CommandRun = async (invocation, io): Promise<void> => {
  io.out(json(await call<unknown>({ method: "GET", path: "/ipam/export" }, { invocation, io })));
};
