/** Completion scripts for shells, made from the table of commands. They call meshnet only for what the daemon alone knows. */
import type { OptionSpec } from "../core/options.ts";
import type { CommandSpec } from "./command.ts";
import { COMMANDS } from "./commands.ts";
import { OFFER_WORD, OFFERED, type SHELLS } from "./commands_host.ts";

const first = (command: CommandSpec) => command.name.split(" ")[0]!;
const second = (command: CommandSpec) => command.name.split(" ")[1];
const topics = () => [...groups().map(first), "config", "log"];

/** Commands of two words with one first word are one case: options and what follows are those of all of them. */
function groups(): readonly CommandSpec[] {
  return [...Map.groupBy(COMMANDS, first).values()].map((group) => {
    const options = new Map(
      group.flatMap((command) => command.options).map((option) => [option.name, option]),
    );
    const brief = group.length === 1 ? group[0]!.brief : group.map(second).join(", ");
    return { ...group[0]!, brief, options: [...options.values()] };
  });
}

/** What may follow a command besides options. */
function words(command: CommandSpec): readonly string[] {
  if (second(command) !== undefined) {
    return COMMANDS.filter((other) => first(other) === first(command)).map((other) => second(other)!);
  }
  if (command.args?.completes === "command") return topics();
  return command.args?.choices ?? [];
}

/** What the daemon is asked for, if that may follow a command. */
function offered(command: CommandSpec): typeof OFFERED[number] | undefined {
  return OFFERED.find((kind) => kind === command.args?.completes);
}

const takesValue = (option: OptionSpec) => option.kind !== "switch";

/** A quoted word for the shells whose quotes are alike. */
function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function bash(): string {
  const cases = groups().map((command) => {
    const options = ["--help", ...command.options.map((option) => `--${option.name}`)].join(" ");
    const target = command.args?.completes === "target" ? ' targets="netns: pid: /run/netns/"' : "";
    const asked = offered(command) === undefined ? "" : ` offered=${offered(command)}`;
    return `    ${first(command)}) words="${
      words(command).join(" ")
    }" options="${options}"${target}${asked} ;;`;
  });
  const subcommands = groups().filter((command) => second(command) !== undefined).map((command) =>
    `      ${first(command)}) words="${words(command).join(" ")}" ;;`
  );
  const asked = (option: OptionSpec) => OFFERED.find((kind) => kind === option.completes);
  const values = new Map<string, string>(); // one line per option: names mean the same everywhere
  for (const option of COMMANDS.flatMap((command) => command.options).filter(takesValue)) {
    const reply = option.choices !== undefined
      ? `compgen -W "${option.choices.join(" ")}" -- "$word"`
      : option.completes === "file"
      ? 'compgen -f -- "$word"'
      : option.completes === "folder"
      ? 'compgen -d -- "$word"'
      : option.completes === "host"
      ? 'compgen -A hostname -- "$word"'
      : ":";
    const kind = asked(option);
    const work = kind === undefined ? `mapfile -t COMPREPLY < <(${reply})` : `_meshnet_offers ${kind}`;
    values.set(`--${option.name}`, `    --${option.name}) ${work}; return ;;`);
  }
  return `# bash completion for meshnet
_meshnet() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD - 1]} command=\${COMP_WORDS[1]}
  local words='' options='' targets='' offered=''
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    mapfile -t COMPREPLY < <(compgen -W "${groups().map(first).join(" ")} --help --version" -- "$word")
    return
  fi
  [[ $before == '=' ]] && before=\${COMP_WORDS[COMP_CWORD - 2]}
  [[ $word == '=' ]] && word='' before=\${COMP_WORDS[COMP_CWORD - 1]}
  case $before in
${[...values.values()].join("\n")}
  esac
  case $command in
${cases.join("\n")}
  esac
  if [[ $word == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
  elif [[ -n $targets ]]; then
    _meshnet_targets "$word"
  elif [[ -n $offered ]]; then
    _meshnet_offers "$offered"
  elif ((COMP_CWORD == 2)); then
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
  elif ((COMP_CWORD == 3)) && [[ $command == help ]]; then
    case \${COMP_WORDS[2]} in
${subcommands.join("\n")}
      *) return ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
  fi
}

# Namespaces by name. Bash splits words at colons, so what is already typed before one must not come again.
_meshnet_targets() {
  local names name line=\${COMP_LINE:0:COMP_POINT}
  local typed=\${line##* }
  names='pid:'
  for name in /run/netns/* /var/run/netns/*; do
    [[ -e $name ]] && names+=" netns:\${name##*/}"
  done
  mapfile -t COMPREPLY < <(compgen -W "$names" -- "$typed" | sort -u)
  if [[ $typed == *:* && $COMP_WORDBREAKS == *:* ]]; then
    COMPREPLY=("\${COMPREPLY[@]#"\${typed%:*}:"}")
  fi
  [[ \${#COMPREPLY[@]} == 1 && \${COMPREPLY[0]} != *: ]] || compopt -o nospace 2>/dev/null
}

# What the daemon knows; nothing while it does not run.
_meshnet_offers() {
  local one line=\${COMP_LINE:0:COMP_POINT}
  local typed=\${line##* }
  typed=\${typed#--*=}
  while IFS= read -r one; do
    [[ $one == "$typed"* ]] && COMPREPLY+=("$one")
  done < <(meshnet ${OFFER_WORD} "$1" 2>/dev/null)
  if [[ $typed == *:* && $COMP_WORDBREAKS == *:* ]]; then
    COMPREPLY=("\${COMPREPLY[@]#"\${typed%:*}:"}")
  fi
}
complete -F _meshnet meshnet
`;
}

function zshValue(option: OptionSpec): string {
  if (!takesValue(option)) return "";
  const action = option.choices !== undefined
    ? `(${option.choices.join(" ")})`
    : option.completes === "file"
    ? "_files"
    : option.completes === "folder"
    ? "_files -/"
    : option.completes === "host"
    ? "_hosts"
    : option.completes !== undefined
    ? ` _meshnet_offers ${option.completes}`
    : " ";
  return `:${(option.placeholder ?? option.name).replaceAll(":", "\\:")}:${action}`;
}

function zsh(): string {
  const bracketed = (text: string) => text.replace(/[[\]:]/g, "\\$&");
  const cases = groups().map((command) => {
    const options = command.options.map((option) =>
      quote(`--${option.name}[${bracketed(option.brief)}]${zshValue(option)}`)
    );
    const rest = command.args?.completes === "target"
      ? ["'*:target:_meshnet_targets'"]
      : command.args?.completes === "host"
      ? ["'*:host:_hosts'"]
      : offered(command) !== undefined
      // The blank keeps the shell from putting arguments of its own in front.
      ? [`'*:${offered(command)}: _meshnet_offers ${offered(command)}'`]
      : words(command).length > 0
      ? [`'1:word:(${words(command).join(" ")})'`]
      : [];
    return `    ${first(command)}) _arguments -s '--help[Explain the command]' ${
      [...options, ...rest].join(" ")
    } ;;`;
  });
  return `#compdef meshnet
_meshnet_targets() {
  local -a names
  names=(/run/netns/*(N:t))
  compadd -- netns:\${^names} pid:
}
_meshnet_offers() {
  local -a offers
  offers=(\${(f)"$(meshnet ${OFFER_WORD} $1 2>/dev/null)"})
  compadd -a offers
}
_meshnet() {
  local -a commands
  commands=(
${groups().map((command) => `    ${quote(`${first(command)}:${command.brief}`)}`).join("\n")}
  )
  if ((CURRENT == 2)); then
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words
  ((CURRENT--))
  case $command in
${cases.join("\n")}
  esac
}
if [[ $funcstack[1] == _meshnet ]]; then _meshnet "$@"; else compdef _meshnet meshnet; fi
`;
}

function fish(): string {
  const lines = [
    "# fish completion for meshnet",
    "function __meshnet_targets",
    "    for name in /run/netns/*",
    '        echo netns:(string replace -r ".*/" "" -- $name)',
    "    end",
    "    echo pid:",
    "end",
    "complete -c meshnet -f",
  ];
  for (const command of groups()) {
    const here = `-n '__fish_seen_subcommand_from ${first(command)}'`;
    lines.push(
      `complete -c meshnet -n __fish_use_subcommand -a ${first(command)} -d ${quote(command.brief)}`,
    );
    for (const word of words(command)) lines.push(`complete -c meshnet ${here} -a ${word}`);
    if (command.args?.completes === "target") {
      lines.push(`complete -c meshnet ${here} -a '(__meshnet_targets)'`);
    }
    if (command.args?.completes === "host") {
      lines.push(`complete -c meshnet ${here} -a '(__fish_print_hostnames)'`);
    }
    if (offered(command) !== undefined) {
      lines.push(`complete -c meshnet ${here} -a '(meshnet ${OFFER_WORD} ${offered(command)} 2>/dev/null)'`);
    }
    for (const option of command.options) {
      const value = !takesValue(option)
        ? ""
        : option.choices !== undefined
        ? ` -x -a ${quote(option.choices.join(" "))}`
        : option.completes === "file" || option.completes === "folder"
        ? " -r -F"
        : option.completes === "host"
        ? " -x -a '(__fish_print_hostnames)'"
        : option.completes !== undefined
        ? ` -x -a '(meshnet ${OFFER_WORD} ${option.completes} 2>/dev/null)'`
        : " -x";
      lines.push(`complete -c meshnet ${here} -l ${option.name}${value} -d ${quote(option.brief)}`);
    }
  }
  return lines.join("\n") + "\n";
}

/** The script of each shell. */
export const COMPLETIONS: Readonly<Record<typeof SHELLS[number], () => string>> = { bash, zsh, fish };
