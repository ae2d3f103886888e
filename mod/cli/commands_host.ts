/** The commands about what this host connects to and how it is set up. */
import { CONFIG_OPTION, RUN_DIR_OPTION, UP_OPTIONS } from "../core/options.ts";
import type { CommandSpec } from "./command.ts";
import { JSON_OPTION, TIMEOUT_OPTION } from "./command_options.ts";

/** Shells that `completions` knows. */
export const SHELLS = ["bash", "zsh", "fish"] as const;

const STATE_DIR_OPTION = UP_OPTIONS.find((option) => option.name === "state-dir")!;

/** What shells ask the daemon for: attached targets, hosts that were named, these and hosts of the mesh, hosts and names of
 * the mesh, owners of addresses that cannot be reached. */
export const OFFERED = ["attached", "targets", "hosts", "places", "lost"] as const;
/** The word before one of these, in place of a command. */
export const OFFER_WORD = "__offer";

/** Rows of the table of commands. */
export const HOST_COMMANDS: readonly CommandSpec[] = [
  {
    name: "connect",
    brief: "Add hosts to connect to; remembered across restarts",
    about: "The daemon tries until it is connected. `meshnet status connections` shows how it goes.",
    args: { usage: "HOST[:PORT]...", brief: "Hosts", least: 1, most: 1000, completes: "host" },
    options: [
      { name: "replace", kind: "switch", brief: "Forget all other targets" },
      { name: "wait", kind: "switch", brief: "Return when traffic reaches them, or exit 4" },
      TIMEOUT_OPTION,
      JSON_OPTION,
      RUN_DIR_OPTION,
    ],
    examples: [
      ["meshnet connect host2 192.0.2.7:6783", "two targets"],
      ["meshnet connect host2 --wait --timeout 10", "and wait for it"],
    ],
    load: () => import("./commands/connect.ts"),
  },
  {
    name: "forget",
    brief: "Stop connecting to hosts; live connections stay",
    about: "Takes hosts off the list of targets. Write them as `meshnet status targets` shows them.",
    args: { usage: "HOST[:PORT]...", brief: "Targets", least: 1, most: 1000, completes: "targets" },
    options: [JSON_OPTION, RUN_DIR_OPTION],
    examples: [],
    load: () => import("./commands/forget.ts"),
  },
  {
    name: "report",
    brief: "Print everything a bug report needs, without secrets",
    about:
      "Prints JSON: status, configuration, facts about the host and the daemon's inner state. Read it before you " +
      "send it, as it names hosts and their addresses. Where the daemon does not run it prints what can be said " +
      "without: settings that `up` would have, files, history, and every fault that `doctor` sees; exit code 3.",
    options: [JSON_OPTION, RUN_DIR_OPTION, STATE_DIR_OPTION, CONFIG_OPTION],
    examples: [["meshnet report > report.json", "to attach to a bug report"]],
    load: () => import("./commands/report.ts"),
  },
  {
    name: "config check",
    brief: "Check the settings that `meshnet up` would have, and print them",
    about:
      "Reads flags, environment, configuration file and password as `meshnet up` does, and prints each setting that " +
      "is no default with where it comes from. As root it also makes the checks with which `up` begins: ports, folders, " +
      "the range against the routes of this host. Exits with 2 where a setting is wrong and with 1 where this host " +
      "cannot have it, as `up` does. Changes nothing, and needs no daemon; `meshnet report` shows what a running one has.",
    options: [
      ...UP_OPTIONS,
      CONFIG_OPTION,
      {
        name: "settings-only",
        kind: "switch",
        brief: "Do not look whether this host can have them, as a reload does",
      },
      JSON_OPTION,
    ],
    examples: [["meshnet config check", "before a restart"]],
    load: () => import("./commands/config_check.ts"),
  },
  {
    name: "service unit",
    brief: "Print a hardened systemd unit for the daemon",
    about:
      "The unit runs `meshnet up` with the configuration file and no more rights than it needs. Write it to " +
      "/etc/systemd/system/meshnet.service, then run `systemctl daemon-reload` and " +
      "`systemctl enable --now meshnet`.",
    options: [
      {
        name: "exec",
        kind: "text",
        placeholder: "FILE",
        brief: "The executable to start (default: this one)",
        completes: "file",
      },
    ],
    examples: [["meshnet service unit > /etc/systemd/system/meshnet.service", "install it"]],
    load: () => import("./commands/service_unit.ts"),
  },
  {
    name: "completions",
    brief: "Print completions for a shell",
    about:
      "Load them with `source <(meshnet completions bash)`, or write them to the folder your shell reads.",
    args: { usage: "bash|zsh|fish", brief: "Shell", least: 1, most: 1, choices: SHELLS },
    options: [],
    examples: [["meshnet completions bash > /etc/bash_completion.d/meshnet", "for all users"]],
    load: () => import("./commands/completions.ts"),
  },
];
