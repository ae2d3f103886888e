/** The commands that tell how the network is. */
import { CONFIG_OPTION, RUN_DIR_OPTION, UP_OPTIONS } from "../core/options.ts";
import type { CommandSpec } from "./command.ts";
import { JSON_OPTION, TIMEOUT_OPTION } from "./command_options.ts";

const STATE_DIR_OPTION = UP_OPTIONS.find((option) => option.name === "state-dir")!;

/** Pages of `status`. */
export const STATUS_PAGES = ["connections", "peers", "targets", "ipam", "dns"] as const;

/** Rows of the table of commands. */
export const STATUS_COMMANDS: readonly CommandSpec[] = [
  {
    name: "status",
    brief: "Show the state of the network, and what to do if it is bad",
    about:
      "Without a page it shows an overview. `connections` shows each connection to another host: how it carries " +
      "traffic, or why it does not. `peers` shows each host of the mesh and its connections. `targets` shows " +
      "what this host was told to connect to. `ipam` shows which host owns how many addresses, and who waits " +
      "for one. `dns` shows where and how names are answered; `meshnet dns list` " +
      "shows the names.",
    args: {
      usage: "[connections|peers|targets|ipam|dns]",
      brief: "Page",
      least: 0,
      most: 1,
      choices: STATUS_PAGES,
    },
    options: [
      { name: "check", kind: "switch", brief: "Print one line, ok or what is wrong, and exit 0 or 4" },
      { name: "watch", kind: "switch", brief: "Show it again every second; with --check, each change" },
      JSON_OPTION,
      RUN_DIR_OPTION,
    ],
    examples: [
      ["meshnet status connections --json", "one page for a script"],
      ["meshnet status --check", "exits 4 when something is wrong"],
    ],
    load: () => import("./commands/status.ts"),
  },
  {
    name: "history",
    brief: "Show what happened lately: who came, who left and why",
    about:
      "The last 256 changes, oldest first: starts and ends of the daemon, peers that came and left, other ways of " +
      "traffic, targets. They are kept over restarts. Where no daemon runs, it shows what the last one has left.",
    options: [JSON_OPTION, RUN_DIR_OPTION, STATE_DIR_OPTION, CONFIG_OPTION],
    examples: [["meshnet history | tail", "the last ten"]],
    load: () => import("./commands/history.ts"),
  },
  {
    name: "wait",
    brief: "Wait until other hosts are reached",
    about:
      "Returns as soon as so many other hosts, and those that are named, are reached by traffic. Without either it " +
      "waits until `meshnet status --check` says ok. It waits for a daemon that is still starting, too. When the time " +
      "is over it says what is missing and exits with 4, or with 3 where no daemon runs.",
    options: [
      { name: "peers", kind: "number", placeholder: "N", brief: "So many other hosts are reached" },
      {
        name: "connected",
        kind: "list",
        placeholder: "HOST,...",
        brief: "These are reached: targets as given, names, nicknames or addresses",
        completes: "hosts",
      },
      TIMEOUT_OPTION,
      RUN_DIR_OPTION,
    ],
    examples: [
      ["meshnet wait --peers 2", "two other hosts"],
      ["meshnet wait --connected host2 --timeout 10", "host2, for ten seconds at most"],
    ],
    load: () => import("./commands/wait.ts"),
  },
];
