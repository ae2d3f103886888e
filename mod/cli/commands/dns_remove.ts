/** `meshnet dns remove` */
import type { NameAnswer, NameRequest } from "../../control/name_types.ts";
import type { CommandRun } from "../command.ts";
import { call, json } from "../daemon_call.ts";

/** Takes records of a name away. */
export const run: CommandRun = async (invocation, io): Promise<void> => {
  const [name, ...records] = invocation.args as [string, ...string[]];
  const body: NameRequest = { name, records, order: null };
  const answer = await call<NameAnswer>({ method: "POST", path: "/dns/remove", body }, { invocation, io });
  if (invocation.on("json")) return io.out(json(answer));
  const left = answer.records.length === 0
    ? "has no record of this host any more"
    : answer.records.join(", ");
  io.out(`${answer.name}: ${left}\n`);
};
