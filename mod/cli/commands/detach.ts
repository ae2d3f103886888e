/** `meshnet detach` */
import type { AttachAnswer } from "../../control/api_types.ts";
import { ATTACH_TIMEOUT, attachRequest } from "../attach_request.ts";
import type { CommandRun } from "../command.ts";
import { call, json } from "../daemon_call.ts";
import { printable } from "../render.ts";

/** Detaches addresses or a whole namespace. */
export const run: CommandRun = async (invocation, io): Promise<void> => {
  const request = { method: "POST", path: "/detach", body: attachRequest(invocation.args) } as const;
  const answer = await call<AttachAnswer>({ ...request, timeoutMs: ATTACH_TIMEOUT }, { invocation, io });
  for (const warning of answer.warnings) io.err(`warning: ${printable(warning)}\n`);
  if (invocation.on("json")) return io.out(json(answer));
  const { attachment } = answer;
  const left = attachment === null
    ? "nothing is attached any more"
    : `keeps ${attachment.addresses.join(", ")}`;
  io.out(`${answer.target}: ${left}\n`);
};
