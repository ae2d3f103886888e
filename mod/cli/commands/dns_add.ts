/** `meshnet dns add` */
import type { NameAnswer, NameRequest } from "../../control/name_types.ts";
import type { CommandRun } from "../command.ts";
import { call, json } from "../daemon_call.ts";

/** Gives a name records. */
export const run: CommandRun = async (invocation, io): Promise<void> => {
  const [name, ...records] = invocation.args as [string, ...string[]];
  const body: NameRequest = { name, records, order: invocation.text("order") ?? null };
  const answer = await call<NameAnswer>({ method: "POST", path: "/dns/add", body }, { invocation, io });
  io.out(invocation.on("json") ? json(answer) : `${answer.name}: ${answer.records.join(", ")}\n`);
};
