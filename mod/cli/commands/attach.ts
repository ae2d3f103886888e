/** `meshnet attach` */
import type { AttachAnswer, AttachRequest } from "../../control/api_types.ts";
import { ATTACH_TIMEOUT, attachRequest, namesOption } from "../attach_request.ts";
import type { CommandRun } from "../command.ts";
import { json } from "../daemon_call.ts";
import { printable, targetText } from "../render.ts";
import { callAndTell } from "../telling.ts";
import { waitRequest } from "../wait_request.ts";

/** Attaches a namespace. */
export const run: CommandRun = async (invocation, io): Promise<void> => {
  const health = invocation.text("health");
  const { answerMs, wait } = waitRequest(invocation);
  const body: AttachRequest = {
    ...attachRequest(invocation.args),
    ...wait,
    names: namesOption(invocation),
    ...health === undefined ? {} : { health },
    noDns: invocation.on("no-dns"),
    force: invocation.on("force"),
  };
  const timeoutMs = Math.max(ATTACH_TIMEOUT, answerMs);
  const request = { method: "POST", path: "/attach", body, timeoutMs } as const;
  const answer = await callAndTell<AttachAnswer>(request, { invocation, io });
  for (const warning of answer.warnings) io.err(`warning: ${printable(warning)}\n`);
  if (invocation.on("json")) return io.out(json(answer));
  const { attachment } = answer;
  if (attachment === null) return;
  const named = attachment.names.length === 0 ? "" : `; it is called ${attachment.names.join(", ")}`;
  io.out(
    `${targetText(attachment)}: ${attachment.interface} has ${attachment.addresses.join(", ")}${named}\n`,
  );
};
