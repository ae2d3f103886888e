/** What `ping` and `trace` do: both ask for the way to somebody, and show what was found. */
import type { PathReport } from "../control/doctor_types.ts";
import { askPatiently } from "./asking.ts";
import type { CommandRun } from "./command.ts";
import { json } from "./daemon_call.ts";
import { fit } from "./fit.ts";
import { type Paint, paint } from "./render.ts";
import { FAULTS_FOUND } from "./render_doctor.ts";

/** A command that asks for a way. `probe`: frames are sent along it, too. */
export function pathCommand(
  { patienceMs, probe, render }: {
    readonly patienceMs: number;
    readonly probe: boolean;
    readonly render: (report: PathReport, paint: Paint) => string;
  },
): CommandRun {
  return async (invocation, io) => {
    const body = { to: invocation.args[0], from: invocation.text("from") ?? null, probe };
    const request = { method: "POST", path: "/path", body, timeoutMs: patienceMs } as const;
    const report = await askPatiently<PathReport>(request, { invocation, io });
    io.out(
      invocation.on("json")
        ? json(report)
        : await fit(render(report, paint(io.colour, io.size?.columns)), io),
    );
    return report.reached ? 0 : FAULTS_FOUND;
  };
}
