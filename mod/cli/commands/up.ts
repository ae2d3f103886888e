/** `meshnet up` */
import type { CommandRun } from "../command.ts";

/** Runs the daemon until it is told to stop. */
export const run: CommandRun = async (invocation): Promise<number> => {
  const { runDaemon } = await import("../../daemon/supervisor.ts");
  return await runDaemon(invocation.given);
};
