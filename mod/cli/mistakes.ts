/** What is said of a command line that is wrong. Loaded when one is. */
import { MeshnetError } from "../core/errors.ts";
import { closest } from "../core/suggest.ts";
import type { CommandSpec } from "./command.ts";
import { COMMANDS } from "./commands.ts";
import { findCommand } from "./help.ts";
import { weaveCommand, weaveOption } from "./weave_words.ts";

/** What people type who expect another word, and the command that does it. */
const OTHER_WORDS: Readonly<Record<string, string>> = {
  ...{ peers: "status peers", connections: "status connections", targets: "status targets" },
  ...{ info: "status", health: "status --check", watch: "status --watch" },
  ...{ names: "dns list", lookup: "dns lookup", resolve: "dns lookup", addresses: "ps", ip: "ps" },
  ...{ ls: "ps", list: "ps", containers: "ps", join: "connect", add: "connect", disconnect: "forget" },
  ...{ run: "up", daemon: "up", serve: "up", router: "up", kill: "down", shutdown: "down", quit: "down" },
  ...{ uninstall: "reset", purge: "reset", clean: "reset", cleanup: "reset", events: "history" },
  ...{ diagnose: "doctor", debug: "report", traceroute: "trace", man: "help", unit: "service unit" },
  ...{ "bug-report": "report", bugreport: "report", support: "report", dump: "report" },
  ...{ "dns rm": "dns remove", "dns delete": "dns remove", "dns del": "dns remove", "dns ls": "dns list" },
  ...{ rm: "detach", remove: "detach", "ipam ls": "ipam status", "ipam list": "ps" },
  ...{ systemd: "service unit", completion: "completions", settings: "config check" },
  ...{ "-v": "version" },
};

function otherWord(typed: string): string | undefined {
  if (/^(log|logs|journal)$/.test(typed)) {
    return "The log is what `meshnet up` writes: `journalctl -u meshnet`; `meshnet history` has the last changes";
  }
  if (/^(metrics|prometheus|stats)$/.test(typed)) {
    return "`meshnet status connections` shows the traffic with each host, `meshnet report` all counters as JSON";
  }
  return Object.hasOwn(OTHER_WORDS, typed) ? `Did you mean \`meshnet ${OTHER_WORDS[typed]}\`?` : undefined;
}

/** What is said to a command that does not exist. */
export function unknownCommand(words: readonly string[]): MeshnetError {
  const found = findCommand(words);
  const text = words.join(" ");
  const hint = weaveCommand(text) ?? otherWord(text) ??
    (words.at(-1)?.startsWith("-") === true
      ? "Options come after the command: `meshnet COMMAND OPTIONS`"
      : "hint" in found
      ? found.hint
      : `Did you mean \`meshnet ${found.name}\`?`);
  return new MeshnetError("usage/bad-option", `Unknown command: ${text}`, { hint });
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
