/** Requests that may take long: a daemon that does not answer at all is told within seconds. */
import type { ControlRequest } from "../control/client.ts";
import { MeshnetError } from "../core/errors.ts";
import type { Invocation } from "./command.ts";
import { call } from "./daemon_call.ts";
import type { Io } from "./io.ts";

/** A daemon answers a simple question within milliseconds; a busy host may take longer. */
const HUNG_MS = 5_000;

/** Sends a request once the daemon has answered a simple question. Throws "control/request-failed" with its process id where
 * it does not. */
export async function askPatiently<T>(
  request: ControlRequest & { readonly timeoutMs: number },
  around: { readonly invocation: Invocation; readonly io: Io },
): Promise<T> {
  try {
    await call({ method: "GET", path: "/daemon", timeoutMs: HUNG_MS }, around);
  } catch (error) {
    if (!(error instanceof MeshnetError) || !/ did not answer within /.test(error.message)) throw error;
    const { hungDaemon } = await import("../daemon/doctor/hung_daemon.ts");
    throw hungDaemon(HUNG_MS / 1000);
  }
  return await call<T>(request, around);
}
