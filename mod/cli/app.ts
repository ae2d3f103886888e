/** The command line: from words to a command, its errors and its exit code. */
import { MeshnetError } from "../core/errors.ts";
import { closest } from "../core/suggest.ts";
import type { CommandRun, CommandSpec, Invocation } from "./command.ts";
import { COMMANDS } from "./commands.ts";
import { OFFER_WORD } from "./commands_host.ts";
import { groupOf, helpCommand, helpGroup, helpOverview } from "./help.ts";
import { type Io, processIo } from "./io.ts";
import { type Parsed, parsePlain } from "./plain.ts";
import { formatError } from "./render.ts";

/** Runs a command line and returns its exit code: 0 done, 1 failed, 2 wrong usage, 3 the daemon is not running, 4 it runs
 * and its network is not as it should be. */
export async function main(argv: readonly string[], io: Io = processIo()): Promise<number> {
  try {
    if (argv[0] === OFFER_WORD) return await (await import("./offers.ts")).offer(argv[1], io);
    const early = await answerEarly(argv, io);
    if (early !== undefined) return early;
    const { command, invocation } = await parse(argv);
    checkArguments(command, invocation);
    const module: { readonly run: CommandRun } = await command.load();
    return await module.run(invocation, io) ?? 0;
  } catch (error) {
    io.err(formatError(error));
    return exitCodeOf(error);
  }
}

/** The exit code that stands for an error. */
export function exitCodeOf(error: unknown): number {
  if (!(error instanceof MeshnetError)) return 1;
  if (error.code === "control/not-running") return 3;
  if (error.code === "control/degraded") return 4;
  // What can be known to be wrong without looking at the host. What the host refuses is a failure instead.
  return error.code.startsWith("usage/") ? 2 : 1;
}

/** Help flags, and command lines that name no command: nothing at all, or a group of commands alone. */
async function answerEarly(argv: readonly string[], io: Io): Promise<number | undefined> {
  const alone = argv.length === 0 ? helpOverview() : argv.length === 1 ? groupHelp(argv[0]!) : undefined;
  if (alone !== undefined) {
    io.err(alone);
    return 2;
  }
  const end = argv.indexOf("--");
  const before = end < 0 ? argv : argv.slice(0, end);
  if (!before.some((word) => word === "--help" || word === "-h")) return undefined;
  const words = before.filter((word) => !word.startsWith("-"));
  io.out(await helpFor(words));
  return 0;
}

/** The help that command lines with these words ask for. */
async function helpFor(words: readonly string[]): Promise<string> {
  const [first] = words;
  if (first === undefined) return helpOverview();
  const command = COMMANDS.findLast((spec) => spec.name.split(" ").every((part, i) => words[i] === part));
  const help = command === undefined ? words.length === 1 && groupHelp(first) : helpCommand(command);
  if (help) return help;
  const { unknownCommand } = await import("./mistakes.ts");
  throw unknownCommand(words.slice(0, groupOf(first).length > 0 ? 2 : 1));
}

function groupHelp(word: string): string | undefined {
  const group = groupOf(word);
  return group.length === 0 ? undefined : helpGroup(word, group);
}

async function parse(argv: readonly string[]): Promise<Parsed> {
  const versionFlag = argv.length === 1 && (argv[0] === "--version" || argv[0] === "-V");
  const plain = parsePlain(versionFlag ? ["version"] : argv);
  return plain ?? await (await import("./parse.ts")).parseCommandLine(argv);
}

function checkArguments(command: CommandSpec, invocation: Invocation): void {
  if (invocation.args.includes("")) {
    throw new MeshnetError("usage/bad-option", `An argument of meshnet ${command.name} is empty`, {
      hint: "It may come from a variable that is not set",
    });
  }
  const choices = command.args?.choices;
  if (choices === undefined) return;
  for (const word of invocation.args) {
    if (choices.includes(word)) continue;
    const near = closest(word, choices);
    throw new MeshnetError("usage/bad-option", `Cannot use ${word} with meshnet ${command.name}`, {
      hint: near === undefined
        ? `Give ${choices.join(", ")}`
        : `Did you mean \`meshnet ${command.name} ${near}\`?`,
    });
  }
}
