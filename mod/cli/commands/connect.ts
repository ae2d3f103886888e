/** `meshnet connect` */
import type { ConnectRequest, TargetsAnswer } from "../../control/api_types.ts";
import { MeshnetError } from "../../core/errors.ts";
import type { CommandRun } from "../command.ts";
import { call, json } from "../daemon_call.ts";
import { count } from "../render.ts";
import { waitRequest } from "../wait_request.ts";
import { waitUntil } from "../waiting.ts";

/** Adds targets, and waits for them where that is asked for. */
export const run: CommandRun = async (invocation, io): Promise<void> => {
  const waits = invocation.on("wait");
  if (!waits && invocation.text("timeout") !== undefined) {
    throw new MeshnetError("usage/bad-option", "Cannot use --timeout without --wait: nothing is waited for", {
      hint: "Add --wait, or leave --timeout out",
    });
  }
  const { wait: { timeoutMs } } = waitRequest(invocation);
  const body: ConnectRequest = { targets: invocation.args, replace: invocation.on("replace") };
  const answer = await call<TargetsAnswer>({ method: "POST", path: "/connect", body }, { invocation, io });
  if (waits) {
    await waitUntil({ peers: undefined, connected: invocation.args }, {
      ...{ invocation, io, timeoutMs },
      alsoForDaemon: false,
    });
  }
  if (invocation.on("json")) return io.out(json(answer));
  const doing = waits ? "Connected" : "Connecting";
  io.out(`${doing}; ${count(answer.targets.length, "target")}: ${answer.targets.join(", ")}\n`);
  if (!waits) io.out("`meshnet status connections` shows how it goes.\n");
};
