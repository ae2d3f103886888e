/** `meshnet forget` */
import type { ForgetRequest, TargetsAnswer } from "../../control/api_types.ts";
import type { CommandRun } from "../command.ts";
import { call, json } from "../daemon_call.ts";
import { count } from "../render.ts";

/** Takes targets off the list. */
export const run: CommandRun = async (invocation, io): Promise<void> => {
  const body: ForgetRequest = { targets: invocation.args };
  const answer = await call<TargetsAnswer>({ method: "POST", path: "/forget", body }, { invocation, io });
  if (invocation.on("json")) return io.out(json(answer));
  const left = answer.targets.length === 0
    ? "no targets left"
    : `${count(answer.targets.length, "target")} left: ${answer.targets.join(", ")}`;
  io.out(`Forgotten; ${left}. Live connections stay.\n`);
};
