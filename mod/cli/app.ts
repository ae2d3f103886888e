/** The command line: the table of commands on the CLI library, errors and exit codes. */
import {
  AliasNotFoundError,
  type Application,
  buildApplication,
  buildCommand,
  buildRouteMap,
  type Command,
  type CommandContext,
  FlagNotFoundError,
  run,
  text_en,
  UnexpectedFlagError,
  UnexpectedPositionalError,
  UnsatisfiedFlagError,
  UnsatisfiedPositionalError,
} from "@stricli/core";
import { type ErrorCode, MeshnetError, messageOf } from "../core/errors.ts";
import type { OptionSpec } from "../core/options.ts";
import { closest } from "../core/suggest.ts";
import type { CommandRun, CommandSpec, Invocation } from "./command.ts";
import { COMMANDS } from "./commands.ts";
import { findCommand, helpCommand, helpOverview } from "./help.ts";
import { type Io, processIo } from "./io.ts";
import { formatError } from "./render.ts";

/** What a command line asked for. */
export interface Parsed {
  /** The command that was named. */
  readonly command: CommandSpec;
  /** Its options and arguments. */
  readonly invocation: Invocation;
}

type GivenFlags = Readonly<Record<string, string | boolean | readonly string[] | undefined>>;

/** Runs a command line and returns its exit code: 0 done, 1 failed, 2 wrong usage, 3 the daemon is not running. */
export async function main(argv: readonly string[], io: Io = processIo()): Promise<number> {
  try {
    const early = answerEarly(argv, io);
    if (early !== undefined) return early;
    const { command, invocation } = await parseCommandLine(argv);
    checkArguments(command, invocation);
    const module: { readonly run: CommandRun } = await command.load();
    return await module.run(invocation, io) ?? 0;
  } catch (error) {
    io.err(formatError(error));
    return exitCodeOf(error);
  }
}

/** What can be known to be wrong without looking at the host. What the host refuses is a failure instead. */
const USAGE: ReadonlySet<ErrorCode> = new Set(["usage/bad-option", "usage/bad-target", "usage/bad-address"]);

/** The exit code that stands for an error. */
export function exitCodeOf(error: unknown): number {
  if (!(error instanceof MeshnetError)) return 1;
  if (error.code === "control/not-running") return 3;
  return USAGE.has(error.code) ? 2 : 1;
}

/** Help and version flags, and the command line that says nothing. */
function answerEarly(argv: readonly string[], io: Io): number | undefined {
  if (argv.length === 0) {
    io.err(helpOverview());
    return 2;
  }
  const end = argv.indexOf("--");
  const before = end < 0 ? argv : argv.slice(0, end);
  if (!before.some((word) => word === "--help" || word === "-h")) return undefined;
  const words = before.filter((word) => !word.startsWith("-"));
  const command = COMMANDS.findLast((spec) => spec.name.split(" ").every((part, i) => words[i] === part));
  if (command === undefined && words.length > 0) throw unknownCommand(words[0]!);
  io.out(command === undefined ? helpOverview() : helpCommand(command));
  return 0;
}

/** Parses a command line; throws MeshnetError `usage/bad-option` with a suggestion. */
export async function parseCommandLine(argv: readonly string[]): Promise<Parsed> {
  const words = readable(argv[0] === "--version" || argv[0] === "-V" ? ["version", ...argv.slice(1)] : argv);
  let parsed: Parsed | undefined;
  let failure: MeshnetError | undefined;
  const app = buildApp(
    (command, flags, args) => void (parsed = { command, invocation: invocationOf(flags, args) }),
    {
      failed: (error) => void (failure ??= error),
      words,
    },
  );
  await run(app, words, { process: { stdout: { write: () => {} }, stderr: { write: () => {} } } });
  if (failure !== undefined) throw failure;
  // The library ends without a command only where a group of commands was named alone.
  if (parsed === undefined) throw unknownCommand(words.join(" "));
  return parsed;
}

/**
 * The words so that the library reads them as meant. It takes options of one letter, and `--option=` with nothing or more
 * than one line behind it, for arguments.
 */
function readable(argv: readonly string[]): readonly string[] {
  const end = argv.includes("--") ? argv.indexOf("--") : argv.length;
  return argv.flatMap((word, i) => {
    if (i >= end || !word.startsWith("--")) return [word];
    const [, option, value] = /^(--[a-z][\w.-]+)=([^]*)$/i.exec(word) ?? [];
    if (option !== undefined) return value === "" || value!.includes("\n") ? [option, value!] : [word];
    if (/^--[a-z][\w.-]+$/i.test(word)) return [word];
    throw unknownOption(word, commandOf(argv));
  });
}

/** The command that a command line begins with. */
function commandOf(words: readonly string[]): CommandSpec | undefined {
  return COMMANDS.find((spec) => spec.name.split(" ").every((part, i) => words[i] === part));
}

function invocationOf(flags: GivenFlags, args: readonly string[]): Invocation {
  const given: Record<string, string | boolean | undefined> = {};
  for (const [name, value] of Object.entries(flags)) {
    given[name] = Array.isArray(value) ? value.join(",") : value as string | boolean | undefined;
  }
  return {
    given,
    args,
    text: (option) => typeof given[option] === "string" ? given[option] : undefined,
    on: (option) => given[option] === true,
  };
}

type Accept = (command: CommandSpec, flags: GivenFlags, args: readonly string[]) => void;

/** The tree of commands; what it says goes through `failed`, so that all errors look the same. */
function buildApp(
  accept: Accept,
  { failed, words }: { failed: (error: MeshnetError) => void; words: readonly string[] },
): Application<CommandContext> {
  type Routes = Record<string, Command<CommandContext> | ReturnType<typeof buildRouteMap>>;
  const routes: Routes = {};
  for (const command of COMMANDS) {
    const [first, second] = command.name.split(" ") as [string, string | undefined];
    const built = buildOne(command, accept);
    routes[first] = second === undefined
      ? built
      : buildRouteMap({ routes: { [second]: built }, docs: { brief: command.brief } });
  }
  return buildApplication(buildRouteMap({ routes, docs: { brief: "meshnet" } }), {
    name: "meshnet",
    scanner: { caseStyle: "original", allowArgumentEscapeSequence: true },
    documentation: { disableAnsiColor: true },
    localization: {
      text: {
        ...text_en,
        noCommandRegisteredForInput: ({ input }) => {
          failed(unknownCommand(words.slice(0, words.indexOf(input) + 1).join(" ")));
          return "";
        },
        exceptionWhileParsingArguments: (error) => {
          failed(usageError(error, commandOf(words)));
          return "";
        },
      },
    },
  }, {});
}

function buildOne(command: CommandSpec, accept: Accept): Command<CommandContext> {
  const flags = Object.fromEntries(command.options.map((option) => [option.name, flagOf(option)]));
  const args = command.args;
  return buildCommand<Record<string, unknown>, string[]>({
    func: (given, ...rest) => accept(command, given as GivenFlags, rest),
    docs: { brief: command.brief },
    parameters: {
      flags: flags as never, // the table knows the kinds; the library's types want them spelled out
      positional: args === undefined ? { kind: "tuple", parameters: [] } as never : {
        kind: "array",
        parameter: { brief: args.brief, placeholder: args.usage, parse: String },
        minimum: args.least,
        maximum: args.most,
      },
    },
  });
}

function flagOf(option: OptionSpec): unknown {
  const common = { brief: option.brief, optional: true };
  if (option.kind === "switch") return { ...common, kind: "boolean", withNegated: false };
  return { ...common, kind: "parsed", parse: String, ...(option.kind === "list" ? { variadic: true } : {}) };
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

function unknownCommand(word: string): MeshnetError {
  const found = findCommand([word]);
  const hint = word.startsWith("-")
    ? "Options come after the command: `meshnet COMMAND OPTIONS`"
    : "hint" in found
    ? found.hint
    : `Did you mean \`meshnet ${found.name}\`?`;
  return new MeshnetError("usage/bad-option", `Unknown command: ${word}`, { hint });
}

/** What the library found wrong, in our words. */
function usageError(error: unknown, command: CommandSpec | undefined): MeshnetError {
  const name = command?.name ?? "COMMAND";
  const refuse = (message: string, hint: string) => new MeshnetError("usage/bad-option", message, { hint });
  const seeHelp = `See \`meshnet help ${name}\``;
  if (error instanceof FlagNotFoundError) return unknownOption(error.input, command);
  if (error instanceof UnexpectedFlagError) {
    return refuse(`Option --${error.externalFlagName} is given twice`, "Give it once");
  }
  if (error instanceof UnsatisfiedFlagError) {
    return refuse(`Option --${error.externalFlagName} needs a value`, seeHelp);
  }
  if (error instanceof AliasNotFoundError) return unknownOption(`-${error.input}`, command);
  if (error instanceof UnexpectedPositionalError) {
    const most = command?.args?.most ?? 0;
    const peers = command?.name === "up" ? "Name hosts with --peers HOST,HOST" : seeHelp;
    return refuse(`Too many arguments for meshnet ${name}: ${error.input}`, most === 0 ? peers : seeHelp);
  }
  if (error instanceof UnsatisfiedPositionalError) {
    return refuse(`An argument is missing: meshnet ${name} ${command?.args?.usage ?? ""}`.trimEnd(), seeHelp);
  }
  return refuse(messageOf(error).replace(/\.$/, ""), seeHelp);
}

function unknownOption(typed: string, command: CommandSpec | undefined): MeshnetError {
  const name = command?.name ?? "COMMAND";
  const option = typed.startsWith("-") ? typed : `--${typed.split("=")[0]}`;
  const hint = typed.startsWith("password") && command?.name === "up"
    ? "Everybody could read it there; use --password-file FILE, or set MESHNET_PASSWORD"
    : nearOption(typed, command) ?? `See \`meshnet help ${name}\``;
  return new MeshnetError("usage/bad-option", `Unknown option of meshnet ${name}: ${option}`, { hint });
}

function nearOption(typed: string, command: CommandSpec | undefined): string | undefined {
  const near = closest(typed, command?.options.map((option) => option.name) ?? []);
  return near && `Did you mean --${near}?`;
}
