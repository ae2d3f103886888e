/** Reads every command line: the table of commands on the CLI library. Loading that library takes a tenth of a command's
 * time, so `plain.ts` answers where there is no option to read. */
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
import { MeshnetError, messageOf } from "../core/errors.ts";
import type { OptionSpec } from "../core/options.ts";
import type { CommandSpec, Invocation } from "./command.ts";
import { COMMANDS } from "./commands.ts";
import type { Parsed } from "./plain.ts";

type GivenFlags = Readonly<Record<string, string | boolean | readonly string[] | undefined>>;

/** What the library found wrong: words that begin no command, or an error of its own. */
type Mistake = { readonly unknown: readonly string[] } | { readonly error: unknown };

/** Parses a command line; throws MeshnetError `usage/bad-option` with a suggestion. */
export async function parseCommandLine(argv: readonly string[]): Promise<Parsed> {
  const words = await readable(
    argv[0] === "--version" || argv[0] === "-V" ? ["version", ...argv.slice(1)] : argv,
  );
  let parsed: Parsed | undefined;
  let mistake: Mistake | undefined;
  const app = buildApp(
    (command, flags, args) => void (parsed = { command, invocation: invocationOf(flags, args) }),
    {
      failed: (found) => void (mistake ??= found),
      words,
    },
  );
  await run(app, words, { process: { stdout: { write: () => {} }, stderr: { write: () => {} } } });
  if (parsed !== undefined && mistake === undefined) return parsed;
  if (mistake !== undefined && "error" in mistake) throw await usageError(mistake.error, words);
  const { unknownCommand } = await import("./mistakes.ts");
  // The library ends without a word only where a group of commands was named alone.
  throw unknownCommand(mistake?.unknown ?? words);
}

/**
 * The words so that the library reads them as meant. It takes options of one letter, and `--option=` with nothing or more
 * than one line behind it, for arguments.
 */
async function readable(argv: readonly string[]): Promise<readonly string[]> {
  const end = argv.includes("--") ? argv.indexOf("--") : argv.length;
  const words: string[] = [];
  for (const [i, word] of argv.entries()) {
    const [, option, value] = /^(--[a-z][\w.-]+)=([^]*)$/i.exec(word) ?? [];
    if (i >= end || !word.startsWith("--") || /^--[a-z][\w.-]+$/i.test(word)) words.push(word);
    else if (option === undefined) throw (await import("./mistakes.ts")).unknownOption(word, argv);
    else if (value === "" || value!.includes("\n")) words.push(option, value!);
    else words.push(word);
  }
  return words;
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
  { failed, words }: { failed: (found: Mistake) => void; words: readonly string[] },
): Application<CommandContext> {
  type Routes = Record<string, Command<CommandContext> | ReturnType<typeof buildRouteMap>>;
  const routes: Routes = {};
  const groups = Map.groupBy(COMMANDS, ({ name }) => name.split(" ")[0]!);
  for (const [first, commands] of groups) {
    const [command] = commands;
    routes[first] = command!.name === first ? buildOne(command!, accept) : buildRouteMap({
      routes: Object.fromEntries(
        commands.map((each) => [each.name.slice(first.length + 1), buildOne(each, accept)]),
      ),
      docs: { brief: command!.brief },
    });
  }
  return buildApplication(buildRouteMap({ routes, docs: { brief: "meshnet" } }), {
    name: "meshnet",
    scanner: { caseStyle: "original", allowArgumentEscapeSequence: true },
    documentation: { disableAnsiColor: true },
    localization: {
      text: {
        ...text_en,
        noCommandRegisteredForInput: ({ input }) => {
          failed({ unknown: words.slice(0, words.indexOf(input) + 1) });
          return "";
        },
        exceptionWhileParsingArguments: (error) => {
          failed({ error });
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

/** What the library found wrong, in our words. */
async function usageError(error: unknown, words: readonly string[]): Promise<MeshnetError> {
  const { commandOf, unknownOption } = await import("./mistakes.ts");
  const command = commandOf(words);
  const name = command?.name ?? "COMMAND";
  const refuse = (message: string, hint: string) => new MeshnetError("usage/bad-option", message, { hint });
  const seeHelp = `See \`meshnet help ${name}\``;
  if (error instanceof FlagNotFoundError) return unknownOption(error.input, words);
  if (error instanceof UnexpectedFlagError) {
    return refuse(`Option --${error.externalFlagName} is given twice`, "Give it once");
  }
  if (error instanceof UnsatisfiedFlagError) {
    return refuse(`Option --${error.externalFlagName} needs a value`, seeHelp);
  }
  if (error instanceof AliasNotFoundError) return unknownOption(`-${error.input}`, words);
  if (error instanceof UnexpectedPositionalError) {
    const most = command?.args?.most ?? 0;
    const peers = command?.name === "up" ? "Name hosts with --peers HOST,HOST" : seeHelp;
    return refuse(`Too many arguments for meshnet ${name}: ${error.input}`, most === 0 ? peers : seeHelp);
  }
  if (error instanceof UnsatisfiedPositionalError) {
    const last = words.at(-1)!;
    const open = command?.options.find((option) => option.kind !== "switch" && `--${option.name}` === last);
    if (open !== undefined) return refuse(`Option ${last} needs a value`, seeHelp);
    return refuse(`An argument is missing: meshnet ${name} ${command?.args?.usage ?? ""}`.trimEnd(), seeHelp);
  }
  const [, text, option] =
    /^Failed to parse "([^]*)" for ([a-z-]+): Cannot convert .* to a boolean/.exec(messageOf(error)) ?? [];
  if (option !== undefined) {
    return refuse(
      `Cannot use --${option}: value is ${JSON.stringify(text)}`,
      `Give --${option} alone, or leave it out`,
    );
  }
  return refuse(messageOf(error).replace(/\.$/, ""), seeHelp);
}
