/** `meshnet down` */
import type { StopAnswer } from "../../control/api_types.ts";
import type { CommandRun } from "../commands.ts";
import { call } from "../daemon_call.ts";

/** Stops the daemon; the answer ends when its process has. */
export const run: CommandRun = async (invocation, io): Promise<void> => {
  await call<StopAnswer>({ method: "POST", path: "/stop", body: {}, timeoutMs: 30_000 }, { invocation, io });
  io.out("Stopped. Containers keep talking: interfaces and kernel flows stay until `meshnet reset`.\n");
};
