/** `meshnet docker config` */
import type { CommandRun } from "../command.ts";
import { json } from "../daemon_call.ts";
import { dockerProxy } from "../docker_proxy.ts";

/** Prints an option of Docker's client. */
export const run: CommandRun = async (invocation, io): Promise<void> => {
  const proxy = await dockerProxy({ invocation, io });
  io.out(invocation.on("json") ? json({ host: proxy }) : `-H=${proxy}\n`);
};
