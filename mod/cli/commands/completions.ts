/** `meshnet completions` */
import type { CommandRun } from "../command.ts";
import { COMPLETIONS } from "../completions.ts";

/** Prints the script for a shell. */
export const run: CommandRun = ({ args }, io): void => {
  io.out(COMPLETIONS[args[0] as keyof typeof COMPLETIONS]());
};
