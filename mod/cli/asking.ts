/** Requests that may take long: a daemon that does not answer at all is told within seconds. */
import type { ControlRequest } from "../control/client.ts";
import { MeshnetError } from "../core/errors.ts";
import type { Invocation } from "./command.ts";
import { call } from "./daemon_call.ts";
import type { Io } from "./io.ts";

/** A daemon answers a simple question within milliseconds; a busy host may take longer. */
const HUNG_MS = 5_000;
/** Whoever has waited for so long wonders. */
const WAIT_MS = 2_000;

/** Sends a request once the daemon has answered a simple question. Throws "control/request-failed" with its process id where
 * it does not. */
export async function askPatiently<T>(
  request: ControlRequest & { readonly timeoutMs: number },
  around: { readonly invocation: Invocation; readonly io: Io },
): Promise<T> {
  await checkAnswers(HUNG_MS, around);
  return await call<T>(request, around);
}

/** Sends a request that is answered soon by a daemon that is well. Says after two seconds that it waits, and throws as
 * above after five, unless the daemon answers simpler questions meanwhile. */
export async function askSoon<T>(
  request: ControlRequest,
  around: { readonly invocation: Invocation; readonly io: Io },
): Promise<T> {
  const hung = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    around.io.err(`waiting: the daemon has not answered for ${WAIT_MS / 1000} s\n`);
    checkAnswers(HUNG_MS - WAIT_MS, around).catch(hung.reject);
  }, WAIT_MS);
  try {
    return await Promise.race([call<T>(request, around), hung.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** Throws when a simple question has no answer within a time. */
async function checkAnswers(
  timeoutMs: number,
  around: { readonly invocation: Invocation; readonly io: Io },
): Promise<void> {
  try {
    await call({ method: "GET", path: "/daemon", timeoutMs }, around);
  } catch (error) {
    if (!(error instanceof MeshnetError) || !/ did not answer within /.test(error.message)) throw error;
    const { hungDaemon } = await import("../daemon/doctor/hung_daemon.ts");
    throw hungDaemon(HUNG_MS / 1000);
  }
}
