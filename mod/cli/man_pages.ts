/** Manual pages, made from the tables of commands and options: what `man meshnet` and `man meshnet-attach` show. */
import {
  DEFAULT_CONFIG_FILE,
  DEFAULT_RUN_DIR,
  DEFAULT_STATE_DIR,
  envName,
  type OptionSpec,
  UP_OPTIONS,
} from "../core/options.ts";
import type { CommandSpec } from "./command.ts";
import { COMMANDS } from "./commands.ts";
import { example, EXIT_CODES, SOURCES_TEXT } from "./help.ts";

/** A manual page. */
export interface ManPage {
  /** `meshnet-attach.8`. */
  readonly file: string;
  /** Its source, for man(7). */
  readonly text: string;
}

/** What a release is called and when it was made. */
export interface ManRelease {
  readonly version: string;
  /** `2026-11-27`. */
  readonly date: string;
}

const BRIEF = "one Ethernet across hosts for containers and network namespaces";

/** All pages: one of the program, one of each command, one of the configuration file. */
export function manPages(release: ManRelease): readonly ManPage[] {
  return [
    overviewPage(release),
    ...COMMANDS.map((command) => commandPage(command, release)),
    filePage(release),
  ];
}

/** The page of one command. */
export function commandPage(command: CommandSpec, release: ManRelease): ManPage {
  const lines = [
    ".SH SYNOPSIS",
    ...synopsis(command),
    ".SH DESCRIPTION",
    `${prose(command.brief)}.`,
    ".PP",
    prose(command.about),
  ];
  if (command.options.length > 0) lines.push(".SH OPTIONS", ...command.options.flatMap(optionLines));
  if (command.name === "up") {
    lines.push(".SH ENVIRONMENT", prose(SOURCES_TEXT), ...UP_OPTIONS.flatMap(environmentLines));
  }
  if (command.examples.length > 0) {
    lines.push(".SH EXAMPLES");
    for (const [line, effect] of command.examples) lines.push(".TP", bold(line), sentence(effect));
  }
  lines.push(".SH SEE ALSO", ".BR meshnet (8)");
  if (command.options.some((option) => option.name === "config")) {
    lines[lines.length - 1] += ",\n.BR meshnet.toml (5)";
  }
  return page({ name: pageName(command), section: 8, brief: command.brief, release, lines });
}

function overviewPage(release: ManRelease): ManPage {
  const lines = [
    ".SH SYNOPSIS",
    `${bold("meshnet")} ${italic("COMMAND")} [${italic("ARGUMENTS")}] [${italic("OPTIONS")}]`,
    ".SH DESCRIPTION",
    prose(
      "Run `meshnet up` on each host, with `--peers` naming one that runs already. Containers and network " +
        "namespaces that are attached on any of them then form one Ethernet, with addresses and names.",
    ),
    ".PP",
    prose(
      "Hosts need TCP port 6783 and UDP ports 6783 and 6784 open between them. With a password they also need " +
        "IP protocol 50 (ESP).",
    ),
    ".SH COMMANDS",
    ...COMMANDS.flatMap((command) => [
      ".TP",
      `.BR ${literal(pageName(command))} (8)`,
      sentence(command.brief),
    ]),
    ".SH EXIT STATUS",
    ...EXIT_CODES.flatMap(([code, meaning]) => [".TP", bold(String(code)), sentence(meaning)]),
    ".SH FILES",
    ...FILES.flatMap(([path, what]) => [".TP", `.I ${literal(path)}`, prose(what)]),
    ".SH SEE ALSO",
    ".BR meshnet\\-up (8),\n.BR meshnet\\-attach (8),\n.BR meshnet\\-status (8),\n.BR meshnet.toml (5)",
  ];
  return page({ name: "meshnet", section: 8, brief: BRIEF, release, lines });
}

const FILES: readonly (readonly [path: string, what: string])[] = [
  [DEFAULT_CONFIG_FILE, "Settings of `meshnet up`. There need not be such a file."],
  [`${DEFAULT_STATE_DIR}/`, "The identity of this host, its peers, attachments and addresses."],
  [`${DEFAULT_RUN_DIR}/`, "The socket through which commands reach the daemon."],
  ["/etc/netns/NAME/resolv.conf", "Written while the namespace NAME is attached: whom it asks for names."],
];

function filePage(release: ManRelease): ManPage {
  const lines = [
    ".SH SYNOPSIS",
    `.I ${literal(DEFAULT_CONFIG_FILE)}`,
    ".SH DESCRIPTION",
    prose(
      "The settings of `meshnet up`, in TOML. A flag beats the environment variable, which beats this file. " +
        "SIGHUP (`systemctl reload meshnet`) reads `peers` again. The rest needs a restart. `meshnet help config` " +
        "prints such a file with all keys.",
    ),
    ".SH KEYS",
    ...UP_OPTIONS.flatMap((option) => [
      ".TP",
      bold(`${option.name} = ${example(option)}`),
      sentence(`${option.brief}${choices(option)}`),
    ]),
    ".SH SEE ALSO",
    ".BR meshnet\\-up (8)",
  ];
  return page({ name: "meshnet.toml", section: 5, brief: "settings of the meshnet daemon", release, lines });
}

function page(
  { name, section, brief, release, lines }: {
    readonly name: string;
    readonly section: number;
    readonly brief: string;
    readonly release: ManRelease;
    readonly lines: readonly string[];
  },
): ManPage {
  const title = `.TH ${literal(name.toUpperCase())} ${section} ${release.date} "meshnet ${release.version}"`;
  const head = [title, ".nh", ".ad l", ".SH NAME", `${literal(name)} \\- ${prose(brief)}`];
  return { file: `${name}.${section}`, text: [...head, ...lines].join("\n") + "\n" };
}

function pageName(command: CommandSpec): string {
  return `meshnet-${command.name.replaceAll(" ", "-")}`;
}

/** The command line, which `man` may break between its words. */
function synopsis(command: CommandSpec): readonly string[] {
  const args = command.args === undefined ? "" : ` ${command.args.usage.split(" ").map(italic).join(" ")}`;
  return [
    `${bold(`meshnet ${command.name}`)}${args}${command.options.length > 0 ? ` [${italic("OPTIONS")}]` : ""}`,
  ];
}

function optionLines(option: OptionSpec): readonly string[] {
  const value = option.kind === "switch" ? "" : ` ${italic(option.placeholder ?? option.choices!.join("|"))}`;
  const fallback = option.fallback === undefined ? "" : ` (default: ${option.fallback})`;
  return [".TP", `${bold(`--${option.name}`)}${value}`, sentence(option.brief + fallback)];
}

function environmentLines(option: OptionSpec): readonly string[] {
  return [".TP", bold(envName(option.name)), `As ${bold(`--${option.name}`)}.`];
}

function choices(option: OptionSpec): string {
  return option.choices === undefined ? "" : `; one of ${option.choices.join(", ")}`;
}

function sentence(text: string): string {
  return `${prose(text[0]!.toUpperCase() + text.slice(1))}.`;
}

/** Text whose words between backquotes, and whose options, are printed as they are typed. */
export function prose(text: string): string {
  const marked = text.split("`").map((part, i) => i % 2 === 1 ? bold(part) : plain(part)).join("");
  return /^[.']/.test(marked) ? `\\&${marked}` : marked;
}

function plain(text: string): string {
  return text.split(/((?<![\w-])--?[a-z][a-z-]*)/).map((part, i) =>
    i % 2 === 1 ? literal(part) : escape(part)
  )
    .join("");
}

function bold(text: string): string {
  return `\\fB${literal(text)}\\fR`;
}

function italic(text: string): string {
  return `\\fI${literal(text)}\\fR`;
}

/** Text that can be copied to a command line: every hyphen is a minus. */
function literal(text: string): string {
  return escape(text).replaceAll("-", "\\-");
}

/** Keeps what troff would read as its own. */
function escape(text: string): string {
  return text.replaceAll("\\", "\\e").replaceAll("'", "\\(aq").replaceAll("`", "\\(ga").replaceAll(
    "~",
    "\\(ti",
  )
    .replaceAll("^", "\\(ha");
}
