/** `meshnet check HOST` */
import type { CheckReport } from "../../control/doctor_types.ts";
import { MeshnetError } from "../../core/errors.ts";
import type { CommandRun, Invocation } from "../command.ts";
import { askPatiently } from "../asking.ts";
import { json } from "../daemon_call.ts";
import { fit } from "../fit.ts";
import type { Io } from "../io.ts";
import { paint } from "../render.ts";
import { FAULTS_FOUND } from "../render_doctor.ts";
import { renderCheck } from "../render_check.ts";

/** It connects, and waits for what does not come. */
const PATIENCE_MS = 60_000;

/** Looks at the way to another host, a line for each thing that the mesh needs of it. */
export const run: CommandRun = async (invocation, io): Promise<number> => {
  const report = await ask(invocation.args[0]!, { invocation, io });
  io.out(
    invocation.on("json")
      ? json(report)
      : await fit(renderCheck(report, paint(io.colour, io.size?.columns)), io),
  );
  return report.good ? 0 : FAULTS_FOUND;
};

async function ask(
  host: string,
  around: { readonly invocation: Invocation; readonly io: Io },
): Promise<CheckReport> {
  try {
    const body = { host };
    return await askPatiently<CheckReport>(
      { method: "POST", path: "/check", body, timeoutMs: PATIENCE_MS },
      around,
    );
  } catch (error) {
    if (!(error instanceof MeshnetError)) throw error;
    if (error.code !== "control/not-running" && error.code !== "control/request-failed") throw error;
    if (Deno.uid() !== 0 && error.code !== "control/not-running") throw error; // he may not ask the daemon
    const { checkWithoutDaemon } = await import("../../daemon/doctor/check_alone.ts");
    const { json: _, ...flags } = around.invocation.given;
    return await checkWithoutDaemon(host, { flags, why: error });
  }
}
