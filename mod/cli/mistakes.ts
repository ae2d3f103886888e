/** What is said of a command line that is wrong. Loaded when one is. */
import { MeshnetError } from "../core/errors.ts";
import { closest } from "../core/suggest.ts";
import type { CommandSpec } from "./command.ts";
import { COMMANDS } from "./commands.ts";
import { findCommand } from "./help.ts";
import { weaveCommand, weaveOption } from "./weave_words.ts";

/** What is said to a command that does not exist. */
export function unknownCommand(words: readonly string[]): MeshnetError {
  const found = findCommand(words);
  const hint = words.at(-1)?.startsWith("-")
    ? "Options come after the command: `meshnet COMMAND OPTIONS`"
    : weaveCommand(words.join(" ")) ??
      ("hint" in found ? found.hint : `Did you mean \`meshnet ${found.name}\`?`);
  return new MeshnetError("usage/bad-option", `Unknown command: ${words.join(" ")}`, { hint });
}

/** The command that a command line begins with. */
export function commandOf(words: readonly string[]): CommandSpec | undefined {
  return COMMANDS.findLast((spec) => spec.name.split(" ").every((part, i) => words[i] === part));
}

/** What is said to an option that the command of these words does not have. */
export function unknownOption(typed: string, words: readonly string[]): MeshnetError {
  const command = commandOf(words);
  const name = command?.name ?? "COMMAND";
  const option = typed.startsWith("-") ? typed : `--${typed.split("=")[0]}`;
  const hint = typed.startsWith("password") && command?.name === "up"
    ? "Everybody could read it there; use --password-file FILE, or set MESHNET_PASSWORD"
    : nearOption(typed, command) ?? `See \`meshnet help ${name}\``;
  return new MeshnetError("usage/bad-option", `Unknown option of meshnet ${name}: ${option}`, { hint });
}

function nearOption(typed: string, command: CommandSpec | undefined): string | undefined {
  const theirs = command && weaveOption(typed.replace(/^--/, "").split("=")[0]!, command);
  if (theirs !== undefined) return theirs;
  const near = closest(typed, command?.options.map((option) => option.name) ?? []);
  return near && `Did you mean --${near}?`;
}
