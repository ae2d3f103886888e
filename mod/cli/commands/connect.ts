/** `meshnet connect` */
import type { ConnectRequest, TargetsAnswer } from "../../control/api_types.ts";
import type { CommandRun } from "../command.ts";
import { call, json } from "../daemon_call.ts";
import { count } from "../render.ts";

/** Adds targets. */
export const run: CommandRun = async (invocation, io): Promise<void> => {
  const body: ConnectRequest = { targets: invocation.args, replace: invocation.on("replace") };
  const answer = await call<TargetsAnswer>({ method: "POST", path: "/connect", body }, { invocation, io });
  if (invocation.on("json")) return io.out(json(answer));
  io.out(`Connecting; ${count(answer.targets.length, "target")}: ${answer.targets.join(", ")}\n`);
  io.out("`meshnet status connections` shows how it goes.\n");
};
