/** `meshnet attach` */
import type { AttachAnswer, AttachRequest } from "../../control/api_types.ts";
import { ATTACH_TIMEOUT, attachRequest } from "../attach_request.ts";
import type { CommandRun } from "../command.ts";
import { call, json } from "../daemon_call.ts";
import { printable } from "../render.ts";
import { waitRequest } from "../wait_request.ts";

/** Attaches a namespace. */
export const run: CommandRun = async (invocation, io): Promise<void> => {
  const { answerMs, wait } = waitRequest(invocation);
  const body: AttachRequest = {
    ...attachRequest(invocation.args),
    ...wait,
    force: invocation.on("force"),
  };
  const timeoutMs = Math.max(ATTACH_TIMEOUT, answerMs);
  const request = { method: "POST", path: "/attach", body, timeoutMs } as const;
  const answer = await call<AttachAnswer>(request, { invocation, io });
  for (const warning of answer.warnings) io.err(`warning: ${printable(warning)}\n`);
  if (invocation.on("json")) return io.out(json(answer));
  const { attachment } = answer;
  if (attachment === null) return;
  io.out(`${attachment.target}: ${attachment.interface} has ${attachment.addresses.join(", ")}\n`);
};
