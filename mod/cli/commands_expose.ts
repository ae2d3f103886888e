/** The commands by which a host itself takes part in the network. */
import { RUN_DIR_OPTION } from "../core/options.ts";
import type { CommandSpec } from "./command.ts";
import { JSON_OPTION, NAME_OPTION, WAIT_OPTIONS } from "./command_options.ts";

/** Rows of the table of commands. */
export const EXPOSE_COMMANDS: readonly CommandSpec[] = [
  {
    name: "expose",
    brief: "Give this host itself addresses in the network",
    about:
      "Containers then reach this host, and it reaches them and other exposed hosts. Without an address, or with " +
      "net:default, it gets a free one of the network's range; net:CIDR takes one of that subnet. What containers of " +
      "these networks send to addresses beyond this host is forwarded, under an address of this host, where " +
      "net.ipv4.ip_forward is 1 and their routes lead here. Exposing the same again changes nothing. The daemon " +
      "remembers it, also across a reboot. As long as nothing is exposed, no container reaches this host.",
    args: { usage: "[CIDR...]", brief: "Addresses", least: 0, most: 1000 },
    options: [
      NAME_OPTION,
      {
        name: "no-masquerade",
        kind: "switch",
        brief: "What is forwarded keeps its own addresses: routers beyond must know the way back",
      },
      ...WAIT_OPTIONS,
      JSON_OPTION,
      RUN_DIR_OPTION,
    ],
    examples: [
      ["meshnet expose", "a free address"],
      ["meshnet expose --name gateway", "and a name"],
      ["meshnet expose net:10.32.1.0/24", "one of that subnet"],
      ["meshnet expose 10.2.1.254/24 --no-masquerade", "no translation"],
    ],
    load: () => import("./commands/expose.ts"),
  },
  {
    name: "hide",
    brief: "Take this host's own addresses out of the network",
    about:
      "Without a CIDR it takes all that `meshnet expose` gave. Then no container reaches this host any more, nor " +
      "anything through it. Addresses of the network's range are free again.",
    args: { usage: "[CIDR...]", brief: "Addresses", least: 0, most: 1000 },
    options: [JSON_OPTION, RUN_DIR_OPTION],
    examples: [["meshnet hide", "everything"]],
    load: () => import("./commands/hide.ts"),
  },
];
