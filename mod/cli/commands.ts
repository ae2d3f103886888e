/** Every command, once: parsing, help and completions read this table; the code of each is loaded when it runs. */
import { CONFIG_OPTION, type OptionSpec, RUN_DIR_OPTION, UP_OPTIONS } from "../core/options.ts";
import type { CommandSpec } from "./command.ts";

const JSON_OPTION: OptionSpec = { name: "json", kind: "switch", brief: "Print JSON for scripts" };
const STATE_DIR_OPTION = UP_OPTIONS.find((option) => option.name === "state-dir")!;
/** Pages of `status`. */
export const STATUS_PAGES = ["connections", "peers", "targets"] as const;
/** Shells that `completions` knows. */
export const SHELLS = ["bash", "zsh", "fish"] as const;

const TARGET_ABOUT =
  "TARGET is a network namespace: netns:NAME as `ip netns` lists it, pid:N for the one that a process lives in, " +
  "or the path of a namespace file.";

/** All commands, in the order in which help lists them. */
export const COMMANDS: readonly CommandSpec[] = [
  {
    name: "up",
    brief: "Run the router on this host, in the foreground",
    about:
      "Joins this host to the mesh and keeps running: SIGTERM or `meshnet down` stops it, SIGHUP reads the " +
      "peers anew. It takes over what an earlier run left in the kernel, so traffic goes on across a restart. " +
      "Needs root, and /dev/net/tun or a kernel with the openvswitch module.",
    options: [...UP_OPTIONS, CONFIG_OPTION],
    examples: [
      ["meshnet up", "the first host"],
      ["meshnet up --peers host1", "every other host; one reachable peer is enough"],
    ],
    load: () => import("./commands/up.ts"),
  },
  {
    name: "down",
    brief: "Stop the router; containers keep talking",
    about:
      "Stops the daemon and waits until it has ended. Interfaces, datapath and kernel flows stay, so that " +
      "running connections go on; the next `meshnet up` takes them over. Use `meshnet reset` to remove them.",
    options: [RUN_DIR_OPTION],
    examples: [],
    load: () => import("./commands/down.ts"),
  },
  {
    name: "reset",
    brief: "Stop and remove everything meshnet made on this host",
    about:
      "Stops the daemon if it runs, then removes interfaces, datapath and stored state, the host's identity " +
      "included. Attached containers lose this network. Works when the daemon is not running, too.",
    options: [
      { name: "force", kind: "switch", brief: "Kill a daemon that does not stop, and go on after errors" },
      RUN_DIR_OPTION,
      STATE_DIR_OPTION,
      CONFIG_OPTION,
    ],
    examples: [],
    load: () => import("./commands/reset.ts"),
  },
  {
    name: "status",
    brief: "Show the state of the network, and what to do if it is bad",
    about:
      "Without a page: an overview. Connections: every link to another host, how it carries traffic, and why " +
      "not if it does not. Peers: every host of the mesh with its links. Targets: what this host was told to " +
      "connect to.",
    args: { usage: "[connections|peers|targets]", brief: "Page", least: 0, most: 1, choices: STATUS_PAGES },
    options: [JSON_OPTION, RUN_DIR_OPTION],
    examples: [["meshnet status connections --json", "one page for a script"]],
    load: () => import("./commands/status.ts"),
  },
  {
    name: "attach",
    brief: "Connect a network namespace to the network",
    about:
      "Gives the namespace an interface with the addresses, ready when the command returns. Giving the same " +
      `again changes nothing; the daemon restores it after a restart. ${TARGET_ABOUT}`,
    args: {
      usage: "CIDR... TARGET",
      brief: "Addresses, and where",
      least: 1,
      most: 1000,
      completes: "target",
    },
    options: [JSON_OPTION, RUN_DIR_OPTION],
    examples: [
      ["meshnet attach 10.2.1.1/24 netns:web", "one address"],
      ["meshnet attach 10.2.1.1/24 10.3.1.1/24 pid:4711", "two networks"],
    ],
    load: () => import("./commands/attach.ts"),
  },
  {
    name: "detach",
    brief: "Take addresses or the whole interface away again",
    about: `Without CIDR it removes the interface and forgets the attachment. ${TARGET_ABOUT}`,
    args: {
      usage: "[CIDR...] TARGET",
      brief: "Addresses, and where",
      least: 1,
      most: 1000,
      completes: "target",
    },
    options: [JSON_OPTION, RUN_DIR_OPTION],
    examples: [["meshnet detach netns:web", "everything"]],
    load: () => import("./commands/detach.ts"),
  },
  {
    name: "connect",
    brief: "Add hosts to connect to; remembered across restarts",
    about: "The daemon keeps trying until it is connected; `meshnet status connections` shows how it goes.",
    args: { usage: "HOST[:PORT]...", brief: "Hosts", least: 1, most: 1000, completes: "host" },
    options: [
      { name: "replace", kind: "switch", brief: "Forget all other targets" },
      JSON_OPTION,
      RUN_DIR_OPTION,
    ],
    examples: [["meshnet connect host2 192.0.2.7:6783", "two targets"]],
    load: () => import("./commands/connect.ts"),
  },
  {
    name: "forget",
    brief: "Stop connecting to hosts; live connections stay",
    about: "Takes targets off the list, named exactly as `meshnet status targets` shows them.",
    args: { usage: "HOST[:PORT]...", brief: "Targets", least: 1, most: 1000, completes: "host" },
    options: [JSON_OPTION, RUN_DIR_OPTION],
    examples: [],
    load: () => import("./commands/forget.ts"),
  },
  {
    name: "report",
    brief: "Print everything a bug report needs, without secrets",
    about:
      "JSON with status, configuration, host facts and the daemon's inner state. Read it before you send it: " +
      "addresses and names of hosts are in it.",
    options: [JSON_OPTION, RUN_DIR_OPTION],
    examples: [["meshnet report > report.json", "to attach to a bug report"]],
    load: () => import("./commands/report.ts"),
  },
  {
    name: "service unit",
    brief: "Print a hardened systemd unit for the daemon",
    about:
      "The unit runs `meshnet up` with the configuration file and no more rights than it needs. Write it to " +
      "/etc/systemd/system/meshnet.service, then run `systemctl daemon-reload`.",
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
  {
    name: "version",
    brief: "Print the version",
    about: "The version of this command; `meshnet status` shows that of the daemon.",
    options: [JSON_OPTION],
    examples: [],
    load: () => import("./commands/version.ts"),
  },
  {
    name: "help",
    brief: "Explain a command, or `config` for the configuration file",
    about: "Without a word it lists all commands.",
    args: { usage: "[COMMAND|config]", brief: "Command", least: 0, most: 2, completes: "command" },
    options: [],
    examples: [],
    load: () => import("./commands/help.ts"),
  },
];
