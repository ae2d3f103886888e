/** Command lines without options, which need no library. */
import type { CommandSpec, Invocation } from "./command.ts";
import { COMMANDS } from "./commands.ts";

/** What a command line asked for. */
export interface Parsed {
  /** The command that was named. */
  readonly command: CommandSpec;
  /** Its options and arguments. */
  readonly invocation: Invocation;
}

/** Reads a command line that names a command and has no options, and as many arguments as the command takes. Nothing
 * for every other, right or wrong. */
export function parsePlain(argv: readonly string[]): Parsed | undefined {
  if (argv.some((word) => word.startsWith("-"))) return undefined;
  const command = COMMANDS.findLast((spec) => spec.name.split(" ").every((part, i) => argv[i] === part));
  if (command === undefined) return undefined;
  const args = argv.slice(command.name.split(" ").length);
  const { least, most } = command.args ?? { least: 0, most: 0 };
  if (args.length < least || args.length > most) return undefined;
  return { command, invocation: { given: {}, args, text: () => undefined, on: () => false } };
}
