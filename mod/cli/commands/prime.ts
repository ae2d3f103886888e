/** `meshnet prime` */
import type { WaitAnswer } from "../../control/address_types.ts";
import type { CommandRun } from "../command.ts";
import { json } from "../daemon_call.ts";
import { callAndTell } from "../telling.ts";
import { waitRequest } from "../wait_request.ts";

/** Waits until the range is shared out. */
export const run: CommandRun = async (invocation, io): Promise<void> => {
  const { answerMs: timeoutMs, wait: body } = waitRequest(invocation);
  const request = { method: "POST", path: "/prime", body, timeoutMs } as const;
  const answer = await callAndTell<WaitAnswer>(request, { invocation, io });
  io.out(invocation.on("json") ? json(answer) : "The range is shared out.\n");
};
