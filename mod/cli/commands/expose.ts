/** `meshnet expose` */
import type { ExposeAnswer, ExposeRequest } from "../../control/address_types.ts";
import { namesOption } from "../attach_request.ts";
import type { CommandRun } from "../command.ts";
import { json } from "../daemon_call.ts";
import { printable } from "../render.ts";
import { callAndTell } from "../telling.ts";
import { waitRequest } from "../wait_request.ts";

/** Gives this host addresses in the network. */
export const run: CommandRun = async (invocation, io): Promise<void> => {
  const { answerMs: timeoutMs, wait } = waitRequest(invocation);
  const body: ExposeRequest = {
    addresses: invocation.args,
    names: namesOption(invocation),
    masquerade: !invocation.on("no-masquerade"),
    ...wait,
  };
  const request = { method: "POST", path: "/expose", body, timeoutMs } as const;
  const answer = await callAndTell<ExposeAnswer>(request, { invocation, io });
  for (const warning of answer.warnings) io.err(`warning: ${printable(warning)}\n`);
  if (invocation.on("json")) return io.out(json(answer));
  const named = answer.names.length === 0 ? "" : `; it is called ${answer.names.join(", ")}`;
  io.out(`This host has ${answer.addresses.join(", ")} in the network${named}.\n`);
};
