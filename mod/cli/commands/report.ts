/** `meshnet report` */
import type { FullReport } from "../../control/api_types.ts";
import type { CommandRun } from "../command.ts";
import { call, json } from "../daemon_call.ts";

/** Prints the daemon's full report. */
export const run: CommandRun = async (invocation, io): Promise<void> => {
  io.out(
    json(await call<FullReport>({ method: "GET", path: "/report", timeoutMs: 30_000 }, { invocation, io })),
  );
};
