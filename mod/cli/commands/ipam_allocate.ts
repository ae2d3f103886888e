/** `meshnet ipam allocate` */
import type { AddressesAnswer, AllocateRequest } from "../../control/address_types.ts";
import type { CommandRun } from "../command.ts";
import { json } from "../daemon_call.ts";
import { callAndTell } from "../telling.ts";
import { waitRequest } from "../wait_request.ts";

/** Reserves a free address. */
export const run: CommandRun = async (invocation, io): Promise<void> => {
  const { answerMs: timeoutMs, wait } = waitRequest(invocation);
  const [holder, subnet = null] = invocation.args as [string, string | undefined];
  const body: AllocateRequest = { holder, subnet, ...wait };
  const request = { method: "POST", path: "/ipam/allocate", body, timeoutMs } as const;
  const answer = await callAndTell<AddressesAnswer>(request, { invocation, io });
  io.out(invocation.on("json") ? json(answer) : `${answer.addresses.join("\n")}\n`);
};
