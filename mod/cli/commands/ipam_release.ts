/** `meshnet ipam release` */
import type { AddressesAnswer, ReleaseRequest } from "../../control/address_types.ts";
import type { CommandRun } from "../command.ts";
import { call, json } from "../daemon_call.ts";

/** Gives reserved addresses back. */
export const run: CommandRun = async (invocation, io): Promise<void> => {
  const [holder, address = null] = invocation.args as [string, string | undefined];
  const body: ReleaseRequest = { holder, address };
  const answer = await call<AddressesAnswer>({ method: "POST", path: "/ipam/release", body }, {
    invocation,
    io,
  });
  io.out(invocation.on("json") ? json(answer) : `Free again: ${answer.addresses.join(" ")}\n`);
};
