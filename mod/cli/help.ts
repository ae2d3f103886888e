/** Help texts, made from the tables of commands and options. */
import { CONFIG_OPTION, DEFAULT_CONFIG_FILE, envName, type OptionSpec, UP_OPTIONS } from "../core/options.ts";
import { closest } from "../core/suggest.ts";
import { messageLines } from "./render.ts";
import type { CommandSpec } from "./command.ts";
import { COMMANDS } from "./commands.ts";

/** How wide help is at most: longer lines read badly. */
const WIDTH = 80;
/** In narrower terminals options have a line of their own, above what they do. */
const NARROW = 64;
const INDENT = 6;

/** How wide help is on a terminal, or where there is none. */
export function helpWidth(columns: number | undefined): number {
  return Math.min(WIDTH, columns ?? WIDTH);
}

/** What the exit code of each command says. */
export const EXIT_CODES: readonly (readonly [code: number, meaning: string])[] = [
  [0, "done"],
  [1, "failed"],
  [2, "wrong usage"],
  [3, "the daemon is not running"],
  [4, "it runs but something is wrong (status --check, wait, doctor)"],
];

/** The overview: every command in one line. */
export function helpOverview(width = WIDTH): string {
  const codes = EXIT_CODES.map(([code, meaning]) => `${code} ${meaning}`).join(", ");
  return [
    "meshnet: one Ethernet across hosts for containers and network namespaces",
    "",
    "Usage: meshnet COMMAND [ARGUMENTS] [OPTIONS]",
    "",
    ...commandLines(COMMANDS),
    "",
    ...messageLines(`\`meshnet help COMMAND\` explains one. Exit codes: ${codes}.`, width),
    "",
  ].join("\n");
}

/** The commands that begin with one word, as `ipam allocate` and `ipam claim` do; empty when that word is a command. */
export function groupOf(word: string): readonly CommandSpec[] {
  return COMMANDS.filter((command) => command.name.startsWith(`${word} `));
}

/** All about a group of commands. */
export function helpGroup(word: string, commands: readonly CommandSpec[], width = WIDTH): string {
  if (commands.length === 1) return helpCommand(commands[0]!, width);
  return [
    `Usage: meshnet ${word} COMMAND [ARGUMENTS] [OPTIONS]`,
    "",
    ...commandLines(commands),
    "",
    `\`meshnet help ${word} COMMAND\` explains one.`,
    "",
  ].join("\n");
}

function commandLines(commands: readonly CommandSpec[]): readonly string[] {
  const names = commands.map((command) => usageName(command));
  const width = Math.max(...names.map((name) => name.length));
  return commands.map((command, i) => `  ${names[i]!.padEnd(width)}  ${command.brief}`);
}

function usageName(command: CommandSpec): string {
  return command.args === undefined || command.args.usage.length > 20
    ? command.name
    : `${command.name} ${command.args.usage}`;
}

/** All about one command. */
export function helpCommand(command: CommandSpec, width = WIDTH): string {
  const args = command.args === undefined ? "" : ` ${command.args.usage}`;
  const options = command.options.length > 0 ? " [OPTIONS]" : "";
  const lines = [
    `Usage: meshnet ${command.name}${args}${options}`,
    "",
    `${command.brief}.`,
    "",
    ...messageLines(command.about, width),
  ];
  if (command.options.length > 0) lines.push("", "Options:", ...optionLines(command.options, width));
  if (command.name === "up") {
    lines.push("", ...messageLines(SOURCES_TEXT, width));
  }
  if (command.examples.length > 0) {
    const longest = Math.max(...command.examples.map(([line]) => line.length));
    lines.push("", "Examples:");
    for (const [line, effect] of command.examples) lines.push(`  ${line.padEnd(longest)}   # ${effect}`);
  }
  return lines.join("\n") + "\n";
}

/** How environment and file set what options of `up` set. */
export const SOURCES_TEXT =
  `Each option can also be set by an environment variable (--conn-limit: MESHNET_CONN_LIMIT) and by a key in ` +
  `${DEFAULT_CONFIG_FILE} (conn-limit = 100). A flag beats the environment, the environment beats the file. ` +
  "`meshnet help config` prints such a file with all keys.";

function optionLines(options: readonly OptionSpec[], whole: number): string[] {
  const heads = options.map((option) =>
    `--${option.name}${option.kind === "switch" ? "" : ` ${option.placeholder ?? option.choices!.join("|")}`}`
  );
  const width = Math.min(28, Math.max(...heads.map((head) => head.length)));
  return options.flatMap((option, i) => {
    const fallback = option.fallback === undefined ? "" : ` (default: ${option.fallback})`;
    const head = heads[i]!;
    if (whole < NARROW) {
      const text = messageLines(option.brief + fallback, whole - INDENT);
      return [`  ${head}`, ...text.map((line) => " ".repeat(INDENT) + line)];
    }
    const text = messageLines(option.brief + fallback, whole - width - 4);
    const first = head.length > width ? [`  ${head}`] : [];
    return [
      ...first,
      ...text.map((line, n) => `  ${(n === 0 && !first.length ? head : "").padEnd(width)}  ${line}`),
    ];
  });
}

/** The reference of the configuration file, itself a file that changes nothing. */
export function helpConfig(): string {
  const lines = [
    `# ${DEFAULT_CONFIG_FILE}: settings of \`meshnet up\`, TOML. Another file: --config or ${
      envName(CONFIG_OPTION.name)
    }.`,
    "# A flag beats the environment variable, which beats this file. Lines that are commented out show the",
    "# default or an example. SIGHUP (`systemctl reload meshnet`) reads `peers` again. The rest needs a restart.",
  ];
  for (const option of UP_OPTIONS) {
    lines.push("", `# ${option.brief}.`, `# Also --${option.name} and ${envName(option.name)}.`);
    if (option.choices !== undefined) lines.push(`# One of: ${option.choices.join(", ")}.`);
    lines.push(`#${option.name} = ${example(option)}`);
  }
  return lines.join("\n") + "\n";
}

const EXAMPLES: Readonly<Record<string, string>> = {
  "peers": '["host1", "192.0.2.7:6783"]',
  "name": '"8a:3e:11:02:9c:01"',
  "nickname": '"rack-7"',
  "host": '"192.0.2.10"',
  "password-file": '"/etc/meshnet/password"',
  "trusted-subnets": '["10.0.0.0/8"]',
  "mtu": "1410",
  "dns-domain": '"mesh.internal"',
  "dns-listen": '["127.0.0.1", "192.0.2.10:5353"]',
  "dns-ttl": "1",
  "dns-forward": '["corp.example=10.0.0.53"]',
  "docker-proxy": '["auto"]',
  "docker-proxy-tls": '["/etc/meshnet/ca.pem", "/etc/meshnet/cert.pem", "/etc/meshnet/key.pem"]',
  "docker-proxy-host-label": '"hostname"',
  "docker-proxy-host-match": '"^app-(.*)$"',
  "docker-proxy-host-replace": '"$1"',
  "socket-group": '"adm"',
  "ip-subnet": '"10.32.1.0/24"',
};

/** A value of an option as the configuration file has it. */
export function example(option: OptionSpec): string {
  const shown = EXAMPLES[option.name];
  if (shown !== undefined) return shown;
  if (option.kind === "switch") return "false";
  const value = option.fallback ?? option.choices![0]!;
  return option.kind === "number" ? value : JSON.stringify(value);
}

/** The command of these words, or why there is none. */
export function findCommand(words: readonly string[]): CommandSpec | { readonly hint: string } {
  const name = words.join(" ");
  const found = COMMANDS.find((command) => command.name === name) ??
    COMMANDS.find((command) => command.args?.choices?.some((word) => `${command.name} ${word}` === name));
  if (found !== undefined) return found;
  const near = closest(name, COMMANDS.map((command) => command.name));
  return {
    hint: near === undefined ? "`meshnet help` lists all commands" : `Did you mean \`meshnet ${near}\`?`,
  };
}
