/** Whether this host can have the settings that `up` would have: its own checks, by another command. */
import type { StatusReport } from "../control/api_types.ts";
import { callDaemon } from "../control/client.ts";
import { type Cidr, formatCidr } from "../core/addr.ts";
import { MeshnetError } from "../core/errors.ts";
import { checksAt, findFaults } from "./checks.ts";
import { hostChecks, rangeTrouble } from "./checks/host_checks.ts";
import { routerAnswers } from "./checks/other_router.ts";
import { tcpPortTaken } from "./checks/ports.ts";
import type { Config } from "./config/config.ts";

/** How long the daemon may take to answer, in milliseconds. */
const PATIENCE_MS = 10_000;

/** Every fault at which `up` would stop, and what it would warn of. A daemon that runs with these folders has its ports, and
 * need not be able to start beside itself. Changes nothing. */
export async function settingsFaults(
  config: Config,
): Promise<{ readonly faults: readonly MeshnetError[]; readonly warnings: readonly string[] }> {
  const runs = await routerAnswers(config.runDir) !== undefined;
  const faults: MeshnetError[] = [];
  const checks = checksAt(runs ? "running" : "start", hostChecks(config))
    .filter(({ name }) => name !== "range of addresses"); // looked at below, with what it hides
  for await (const { check, error } of findFaults(checks)) {
    faults.push(asError(check, error));
  }
  const address = runs ? tcpPortTaken(config) : undefined;
  if (address?.code === "usage/bad-option") faults.push(address);
  const { fault, hidden } = await rangeTrouble(
    config,
    runs ? (range) => isOfDaemon(range, config) : undefined,
  );
  if (fault !== undefined) faults.push(fault);
  return { faults, warnings: hidden === undefined ? [] : [hidden.message] };
}

/** Whether the daemon that runs gives out addresses of a range. */
async function isOfDaemon(range: Cidr, { runDir }: Config): Promise<boolean> {
  const request = { method: "GET", path: "/status" } as const;
  const { ipam } = await callDaemon<StatusReport>(request, { runDir, timeoutMs: PATIENCE_MS });
  return ipam?.range === formatCidr(range);
}

function asError(check: string, error: unknown): MeshnetError {
  if (error instanceof MeshnetError) return error;
  const { hint, message } = error as { readonly message: string; readonly hint?: string | null };
  return new MeshnetError("control/request-failed", `${check}: ${message}`, { hint: hint ?? undefined });
}
