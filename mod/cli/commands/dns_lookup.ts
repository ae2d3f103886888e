/** `meshnet dns lookup` */
import type { LookupAnswer, LookupRequest } from "../../control/name_types.ts";
import type { CommandRun } from "../command.ts";
import { call, json } from "../daemon_call.ts";
import { printable } from "../render.ts";

/** Prints what a name stands for. */
export const run: CommandRun = async (invocation, io): Promise<void> => {
  const body: LookupRequest = { name: invocation.args[0]! };
  const answer = await call<LookupAnswer>({ method: "POST", path: "/dns/lookup", body }, { invocation, io });
  if (invocation.on("json")) return io.out(json(answer));
  const records = new Set(answer.records.map(({ record }) => printable(record)));
  io.out(`${[...records].join("\n")}\n`);
};
