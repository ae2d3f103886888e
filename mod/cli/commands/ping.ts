/** `meshnet ping` */
import type { PathReport } from "../../control/doctor_types.ts";
import type { CommandRun } from "../command.ts";
import { askPatiently } from "../asking.ts";
import { json } from "../daemon_call.ts";
import { fit } from "../fit.ts";
import { paint } from "../render.ts";
import { FAULTS_FOUND, renderPing } from "../render_doctor.ts";

/** Each host on the way has some seconds. */
const PATIENCE_MS = 60_000;

/** Names every hop to an address, a name or a host, its time, and where it ends. */
export const run: CommandRun = async (invocation, io): Promise<number> => {
  const body = { to: invocation.args[0], from: invocation.text("from") ?? null, probe: false };
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
      : await fit(renderPing(report, paint(io.colour, io.size?.columns)), io),
  );
  return report.reached ? 0 : FAULTS_FOUND;
};
