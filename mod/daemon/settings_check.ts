/** Whether this host can have the settings that `up` would have: its own checks, by another command. */
import { MeshnetError } from "../core/errors.ts";
import { checksAt, findFaults } from "./checks.ts";
import { hostChecks } from "./checks/host_checks.ts";
import { routerAnswers } from "./checks/other_router.ts";
import { tcpPortTaken } from "./checks/ports.ts";
import type { Config } from "./config/config.ts";

/** Every fault at which `up` would stop. A daemon that runs with these folders has its ports, and need not be able to start
 * beside itself. Changes nothing. */
export async function settingsFaults(config: Config): Promise<readonly MeshnetError[]> {
  const runs = await routerAnswers(config.runDir) !== undefined;
  const faults: MeshnetError[] = [];
  for await (const { check, error } of findFaults(checksAt(runs ? "running" : "start", hostChecks(config)))) {
    faults.push(asError(check, error));
  }
  const address = runs ? tcpPortTaken(config) : undefined;
  if (address?.code === "usage/bad-option") faults.push(address);
  return faults;
}

function asError(check: string, error: unknown): MeshnetError {
  if (error instanceof MeshnetError) return error;
  const { hint, message } = error as { readonly message: string; readonly hint?: string | null };
  return new MeshnetError("control/request-failed", `${check}: ${message}`, { hint: hint ?? undefined });
}
