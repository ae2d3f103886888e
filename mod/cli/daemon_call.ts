/** How commands reach the daemon. */
import { callDaemon, type ControlRequest } from "../control/client.ts";
import { MeshnetError } from "../core/errors.ts";
import { DEFAULT_RUN_DIR, envName } from "../core/options.ts";
import type { Invocation } from "./command.ts";
import type { Io } from "./io.ts";

/** The run folder of a command line: its flag, else the environment, else the default. */
export function runDirOf(invocation: Invocation, io: Io): string {
  const given = invocation.text("run-dir");
  if (given?.trim() === "") {
    throw new MeshnetError("usage/bad-option", `Cannot use --run-dir: value is ${JSON.stringify(given)}`, {
      hint: "Give a path",
    });
  }
  return (given ?? io.env(envName("run-dir")) ?? DEFAULT_RUN_DIR).replace(/(?<=.)\/+$/, "");
}

/** Sends a request to the daemon that the command line means. */
export function call<T>(
  request: ControlRequest & { readonly timeoutMs?: number },
  { invocation, io }: { readonly invocation: Invocation; readonly io: Io },
): Promise<T> {
  const { timeoutMs = 10_000, ...rest } = request;
  return callDaemon<T>(rest, { runDir: runDirOf(invocation, io), timeoutMs });
}

/** Pretty JSON with a line end. */
export function json(value: unknown): string {
  return JSON.stringify(value, null, 2) + "\n";
}
