/** `meshnet help` */
import type { CommandRun } from "../command.ts";
import { fit } from "../fit.ts";
import {
  findCommand,
  groupOf,
  helpCommand,
  helpConfig,
  helpGroup,
  helpOverview,
  helpWidth,
} from "../help.ts";

/** Prints the overview, the help of one command or group, the reference of the configuration file, or that of the log. */
export const run: CommandRun = async ({ args }, io): Promise<void> => {
  const [first] = args;
  const width = helpWidth(io.size?.columns);
  if (first === undefined) return io.out(await fit(helpOverview(width), io));
  if (args.length === 1 && first === "config") return io.out(helpConfig());
  if (args.length === 1 && first === "log") {
    return io.out(await fit((await import("../log_help.ts")).helpLog(width), io));
  }
  const group = args.length === 1 ? groupOf(first) : [];
  if (group.length > 0) return io.out(await fit(helpGroup(first, group, width), io));
  const found = findCommand(args);
  if ("hint" in found) throw (await import("../mistakes.ts")).unknownCommand(args);
  io.out(await fit(helpCommand(found, width), io));
};
