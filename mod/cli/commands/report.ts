/** `meshnet report` */
import type { FullReport } from "../../control/api_types.ts";
import { MeshnetError } from "../../core/errors.ts";
import type { CommandRun } from "../command.ts";
import { call, json, runDirOf } from "../daemon_call.ts";
import { formatError } from "../render.ts";

/** Exit code: the daemon is not running. */
const NOT_RUNNING = 3;

/** Prints the daemon's full report; without one, what can be said from outside. */
export const run: CommandRun = async (invocation, io): Promise<number | void> => {
  try {
    const request = { method: "GET", path: "/report", timeoutMs: 30_000 } as const;
    io.out(json(await call<FullReport>(request, { invocation, io })));
  } catch (error) {
    if (!(error instanceof MeshnetError) || error.code !== "control/not-running") throw error;
    const { json: _, ...given } = invocation.given;
    const { stoppedReport } = await import("../../daemon/stopped_report.ts");
    io.out(json(await stoppedReport({ ...given, "run-dir": runDirOf(invocation, io) }, error)));
    io.err(formatError(error));
    return NOT_RUNNING;
  }
};
