/** `meshnet hide` */
import type { ExposeAnswer, HideRequest } from "../../control/address_types.ts";
import type { CommandRun } from "../command.ts";
import { call, json } from "../daemon_call.ts";

/** Longest wait for the answer, in milliseconds. */
const TIMEOUT_MS = 60_000;

/** Takes this host's addresses out of the network. */
export const run: CommandRun = async (invocation, io): Promise<void> => {
  const body: HideRequest = { addresses: invocation.args };
  const request = { method: "POST", path: "/hide", body, timeoutMs: TIMEOUT_MS } as const;
  const answer = await call<ExposeAnswer>(request, { invocation, io });
  if (invocation.on("json")) return io.out(json(answer));
  const left = answer.exposed.map(({ address }) => address).join(", ");
  const now = left === ""
    ? "This host has no address in the network"
    : `This host keeps ${left} in the network`;
  io.out(answer.addresses.length === 0 && left === "" ? "Nothing was exposed.\n" : `${now}.\n`);
};
