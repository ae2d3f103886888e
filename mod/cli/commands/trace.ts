/** `meshnet trace` */
import type { PathReport } from "../../control/doctor_types.ts";
import type { CommandRun } from "../command.ts";
import { askPatiently } from "../asking.ts";
import { json } from "../daemon_call.ts";
import { fit } from "../fit.ts";
import { paint } from "../render.ts";
import { FAULTS_FOUND, renderTrace } from "../render_doctor.ts";

/** Each host on the way has some seconds, twice. */
const PATIENCE_MS = 120_000;

/** Says where a frame would go and does go, and who swallowed it. */
export const run: CommandRun = async (invocation, io): Promise<number> => {
  const body = { to: invocation.args[0], from: invocation.text("from") ?? null, probe: true };
  const report = await askPatiently<PathReport>({
    method: "POST",
    path: "/path",
    body,
    timeoutMs: PATIENCE_MS,
  }, {
    invocation,
    io,
  });
  io.out(
    invocation.on("json")
      ? json(report)
      : await fit(renderTrace(report, paint(io.colour, io.size?.columns)), io),
  );
  return report.reached ? 0 : FAULTS_FOUND;
};
