/** `meshnet doctor`: makes the checks that can be made, and says what they found. */
import type { DoctorReport, FaultReport } from "../../control/doctor_types.ts";
import { causesAmong } from "../../doctor/causes.ts";
import { afterStart } from "../../doctor/stopped_faults.ts";
import { MeshnetError, messageOf } from "../../core/errors.ts";
import { type Check, checksAt, type Fault, findFaults, type Finding } from "../checks.ts";
import { hostChecks } from "../checks/host_checks.ts";
import { runningChecks, type RunningFacts } from "../checks/running_checks.ts";
import { type Config, type Flags, loadConfig } from "../config/config.ts";
import { routerProcess } from "../host/claim_namespace.ts";
import { DATAPATH } from "../host/ovs_host.ts";
import { failedStart } from "../last_start.ts";

/** The doctor's word on a daemon that runs, in it. */
export async function diagnose(
  facts: RunningFacts & { readonly config: Config },
): Promise<DoctorReport> {
  return await report(checksAt("running", [...hostChecks(facts.config), ...runningChecks(facts)]), {
    daemon: true,
    faults: [],
  });
}

/** The doctor's word on a host whose daemon does not answer, for the reason that is given. `flags` are those of `up`. */
export async function diagnoseStopped(flags: Flags, why: MeshnetError): Promise<DoctorReport> {
  const fault = faultOf({ check: "daemon", error: why });
  let config: Config;
  try {
    config = await loadConfig(flags);
  } catch (error) {
    const faults = [fault, faultOf({ check: "settings", error })];
    return await report([], { daemon: false, faults });
  }
  // A daemon that is there and does not answer has its ports.
  const isThere = why.code !== "control/not-running";
  const faults = [isThere ? fault : afterStart(fault, { last: failedStart(config.runDir), now: Date.now() })];
  const pid = isThere ? routerProcess(DATAPATH) : undefined;
  const checks = checksAt(isThere ? "running" : "stopped", hostChecks(config, { pid }));
  return await report(checks, { daemon: false, faults });
}

async function report(
  checks: readonly Check[],
  { daemon, faults: before }: { readonly daemon: boolean; readonly faults: readonly FaultReport[] },
): Promise<DoctorReport> {
  const found = [...before];
  for await (const fault of findFaults(checks)) {
    const one = faultOf(fault);
    // What one check found may be the reason of what the next one finds.
    if (!found.some(({ message }) => message.includes(one.message))) found.push(one);
  }
  const faults = causesAmong(found);
  return { healthy: faults.length === 0, daemon, faults, checks: checks.map(({ name }) => name) };
}

function faultOf({ check, error }: Fault): FaultReport {
  if (isFinding(error)) return { check, message: error.message, fix: error.hint ?? null };
  return { check, message: `Cannot look at ${check}: ${messageOf(error)}`, fix: null };
}

function isFinding(error: unknown): error is Finding {
  return error instanceof MeshnetError ||
    typeof error === "object" && error !== null && !(error instanceof Error) && "message" in error;
}
