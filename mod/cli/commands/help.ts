/** `meshnet help` */
import { MeshnetError } from "../../core/errors.ts";
import type { CommandRun } from "../command.ts";
import { findCommand, helpCommand, helpConfig, helpOverview } from "../help.ts";

/** Prints the overview, one command's help, or the reference of the configuration file. */
export const run: CommandRun = ({ args }, io): void => {
  if (args.length === 0) return io.out(helpOverview());
  if (args.length === 1 && args[0] === "config") return io.out(helpConfig());
  const found = findCommand(args);
  if ("hint" in found) {
    throw new MeshnetError("usage/bad-option", `Unknown command: ${args.join(" ")}`, found);
  }
  io.out(helpCommand(found));
};
