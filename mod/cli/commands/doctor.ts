/** `meshnet doctor` */
import type { DoctorReport } from "../../control/doctor_types.ts";
import { MeshnetError } from "../../core/errors.ts";
import type { CommandRun, Invocation } from "../command.ts";
import { askPatiently } from "../asking.ts";
import { json } from "../daemon_call.ts";
import { fit } from "../fit.ts";
import type { Io } from "../io.ts";
import { paint } from "../render.ts";
import { FAULTS_FOUND, renderDoctor } from "../render_doctor.ts";

/** It asks others, each for a moment. */
const PATIENCE_MS = 60_000;

/** Prints what is wrong with host and mesh. */
export const run: CommandRun = async (invocation, io): Promise<number> => {
  const report = await ask(invocation, io);
  io.out(
    invocation.on("json")
      ? json(report)
      : await fit(renderDoctor(report, paint(io.colour, io.size?.columns)), io),
  );
  return report.healthy ? 0 : FAULTS_FOUND;
};

async function ask(invocation: Invocation, io: Io): Promise<DoctorReport> {
  try {
    return await askPatiently<DoctorReport>({ method: "GET", path: "/doctor", timeoutMs: PATIENCE_MS }, {
      invocation,
      io,
    });
  } catch (error) {
    if (!(error instanceof MeshnetError)) throw error;
    // Who may not ask the daemon sees too little of it, and would take his own limits for its.
    if (error.code !== "control/not-running" && Deno.uid() !== 0) throw error;
    const { diagnoseStopped } = await import("../../daemon/doctor/doctor.ts");
    const { json: _, ...flags } = invocation.given;
    return await diagnoseStopped(flags, error);
  }
}
