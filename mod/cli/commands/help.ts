/** `meshnet help` */
import type { CommandRun } from "../command.ts";
import { fit } from "../fit.ts";
import { findCommand, groupOf, helpCommand, helpConfig, helpGroup, helpOverview } from "../help.ts";

/** Prints the overview, the help of one command or group, the reference of the configuration file, or that of the log. */
export const run: CommandRun = async ({ args }, io): Promise<void> => {
  const [first] = args;
  if (first === undefined) return io.out(await fit(helpOverview(), io));
  if (args.length === 1 && first === "config") return io.out(helpConfig());
  if (args.length === 1 && first === "log") {
    return io.out(await fit((await import("../log_help.ts")).helpLog(), io));
  }
  const group = args.length === 1 ? groupOf(first) : [];
  if (group.length > 0) return io.out(await fit(helpGroup(first, group), io));
  const found = findCommand(args);
  if ("hint" in found) throw (await import("../mistakes.ts")).unknownCommand(args);
  io.out(await fit(helpCommand(found), io));
};
