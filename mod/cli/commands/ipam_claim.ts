/** `meshnet ipam claim` */
import type { AddressesAnswer, ClaimRequest } from "../../control/address_types.ts";
import type { CommandRun } from "../command.ts";
import { json } from "../daemon_call.ts";
import { callAndTell } from "../telling.ts";
import { waitRequest } from "../wait_request.ts";

/** Reserves a certain address. */
export const run: CommandRun = async (invocation, io): Promise<void> => {
  const { answerMs: timeoutMs, wait } = waitRequest(invocation);
  const [holder, address] = invocation.args as [string, string];
  const body: ClaimRequest = { holder, address, ...wait };
  const request = { method: "POST", path: "/ipam/claim", body, timeoutMs } as const;
  const answer = await callAndTell<AddressesAnswer>(request, { invocation, io });
  io.out(invocation.on("json") ? json(answer) : `${answer.addresses.join("\n")}\n`);
};
