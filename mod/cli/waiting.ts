/** Waiting until the network is as a script wants it. The daemon is asked again and again, ever more rarely. */
import type { StatusReport } from "../control/api_types.ts";
import { missing, type Wish } from "../control/health.ts";
import { MeshnetError } from "../core/errors.ts";
import type { Invocation } from "./command.ts";
import { call } from "./daemon_call.ts";
import type { Io } from "./io.ts";

/** Milliseconds between two questions, at first and at last. */
const PACE = { first: 50, last: 500, growth: 1.3 } as const;
/** Longest wait for one answer, in milliseconds. */
const ANSWER_MS = 10_000;
/** What a daemon is given for the last answer, however little time is left: a busy one takes a second and more. */
const LAST_ANSWER_MS = 5_000;

/** Where and how long to wait. */
export interface WaitingOptions {
  readonly invocation: Invocation;
  readonly io: Io;
  readonly timeoutMs: number;
  /** Whether a daemon that does not run yet is waited for, too. */
  readonly alsoForDaemon: boolean;
}

/** Waits until a wish has come true; gives the status at that time. Throws `control/degraded` with what is missing, or
 * why the daemon cannot be asked. */
export async function waitUntil(wish: Wish, options: WaitingOptions): Promise<StatusReport> {
  const { alsoForDaemon, timeoutMs, ...where } = options;
  const end = performance.now() + timeoutMs;
  for (let pause: number = PACE.first;; pause = Math.min(PACE.last, pause * PACE.growth)) {
    let failure: MeshnetError;
    try {
      const left = Math.min(ANSWER_MS, Math.max(LAST_ANSWER_MS, end - performance.now()));
      const report = await call<StatusReport>({ method: "GET", path: "/status", timeoutMs: left }, where);
      const lack = missing(report, wish);
      if (lack === undefined) return report;
      failure = new MeshnetError("control/degraded", `Not within ${timeoutMs / 1000} s: ${lack}`, {
        hint: "`meshnet status` shows more; --timeout SECONDS waits longer",
      });
    } catch (error) {
      if (!(error instanceof MeshnetError && error.code === "control/not-running" && alsoForDaemon)) {
        throw error;
      }
      failure = error;
    }
    const left = end - performance.now();
    if (left <= 0) throw failure;
    await new Promise((resolve) => setTimeout(resolve, Math.min(pause, left)));
  }
}
