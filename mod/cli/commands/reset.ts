/** `meshnet reset` */
import type { CommandRun } from "../command.ts";
import { runDirOf } from "../daemon_call.ts";

/** Stops the daemon and removes what meshnet made on this host. */
export const run: CommandRun = async (invocation, io): Promise<void> => {
  const { resetHost } = await import("../../daemon/reset/reset.ts");
  const { force: _, "keep-state": __, ...flags } = invocation.given;
  await resetHost({ ...flags, "run-dir": runDirOf(invocation, io) }, {
    force: invocation.on("force"),
    keepState: invocation.on("keep-state"),
    say: (line) => io.out(`${line}\n`),
  });
};
