/** `meshnet attach` */
import type { AttachAnswer } from "../../control/api_types.ts";
import { ATTACH_TIMEOUT, attachRequest } from "../attach_request.ts";
import type { CommandRun } from "../command.ts";
import { call, json } from "../daemon_call.ts";
import { printable } from "../render.ts";

/** Attaches a namespace. */
export const run: CommandRun = async (invocation, io): Promise<void> => {
  const request = { method: "POST", path: "/attach", body: attachRequest(invocation.args) } as const;
  const answer = await call<AttachAnswer>({ ...request, timeoutMs: ATTACH_TIMEOUT }, { invocation, io });
  for (const warning of answer.warnings) io.err(`warning: ${printable(warning)}\n`);
  if (invocation.on("json")) return io.out(json(answer));
  const { attachment } = answer;
  if (attachment === null) return;
  io.out(`${attachment.target}: ${attachment.interface} has ${attachment.addresses.join(", ")}\n`);
};
