/** The commands that find faults. */
import { CONFIG_OPTION, type OptionSpec, RUN_DIR_OPTION, UP_OPTIONS } from "../core/options.ts";
import type { CommandSpec } from "./command.ts";
import { JSON_OPTION } from "./command_options.ts";

const STATE_DIR_OPTION = UP_OPTIONS.find((option) => option.name === "state-dir")!;

const FROM_OPTION = {
  name: "from",
  kind: "text",
  placeholder: "TARGET",
  brief: "The container or namespace to start from",
  completes: "attached",
} as const satisfies OptionSpec;

/** In the order in which help lists them. */
export const DOCTOR_COMMANDS: readonly CommandSpec[] = [
  {
    name: "doctor",
    brief: "Look at host and mesh, and name every fault with its fix",
    about:
      "Makes the checks with which `meshnet up` begins, and those that only a running daemon can make: whether " +
      "traffic flows to all hosts and is as fast and as large as it should be, whether addresses are used twice, " +
      "whether disk, open files and name server are as they should be. Where the daemon does not run it looks at " +
      "what can be seen without it. Exit code 0: all is well; 4: something is wrong.",
    options: [JSON_OPTION, RUN_DIR_OPTION, STATE_DIR_OPTION, CONFIG_OPTION],
    examples: [["meshnet doctor", "what is wrong here, and what to do"]],
    load: () => import("./commands/doctor.ts"),
  },
  {
    name: "check",
    brief: "Look at the way to another host, port by port",
    about:
      "One line each for TCP, UDP, kernel tunnels, ESP, MTU, clock, password and firewall, with the commands of nft " +
      "and iptables that mend it. What only traffic can prove is known once the daemons are connected: their " +
      "heartbeats tell. Without a connection it hears how the other host introduces itself, and leaves before it " +
      "has said who it is. Works without the daemon as far as it goes. Exit code 0: no fault; 4: there are some.",
    args: { usage: "HOST[:PORT]", brief: "Another host", least: 1, most: 1, completes: "hosts" },
    options: [JSON_OPTION, RUN_DIR_OPTION, CONFIG_OPTION],
    examples: [["meshnet check host2", "why does it not connect"]],
    load: () => import("./commands/check.ts"),
  },
  {
    name: "ping",
    brief: "Name each hop to an address, a name or a host, with its time",
    about:
      "Asks the network who has the address, and every host on the way for its next hop: container, host, overlay " +
      "with cipher, host, container. Times are round trips. Says where it ends, and why. What is attached here can be " +
      "called as `meshnet ps` calls it. The start is --from, or the first container here that has a route there. Exit code 0: it is reached; 4: it is not.",
    args: { usage: "ADDRESS|NAME|HOST", brief: "Where to", least: 1, most: 1, completes: "places" },
    options: [FROM_OPTION, JSON_OPTION, RUN_DIR_OPTION],
    examples: [["meshnet ping 10.32.0.7", "an address"], ["meshnet ping host2", "a host"]],
    load: () => import("./commands/ping.ts"),
  },
  {
    name: "trace",
    brief: "Show where frames go, hop by hop, and which hop swallows them",
    about:
      "As `ping`, and sends four frames from the container to the destination. Each host on the way says what it " +
      "does with such frames, and how many its flows carried before and after. So it is found out who swallowed " +
      "them. Hosts that do not understand such questions (Weave Net) are named as such. " +
      "Exit code 0: it is reached; 4: it is not.",
    args: { usage: "ADDRESS|NAME|HOST", brief: "Where to", least: 1, most: 1, completes: "places" },
    options: [FROM_OPTION, JSON_OPTION, RUN_DIR_OPTION],
    examples: [["meshnet trace web --from netns:db", "from one container to a name"]],
    load: () => import("./commands/trace.ts"),
  },
];
