/** The commands for clients of Docker's API. */
import { RUN_DIR_OPTION } from "../core/options.ts";
import type { CommandSpec } from "./command.ts";
import { JSON_OPTION } from "./command_options.ts";

/** Rows of the table of commands. */
export const DOCKER_COMMANDS: readonly CommandSpec[] = [
  {
    name: "docker env",
    brief: "Print what has a shell's `docker` attach whatever it creates",
    about:
      "Prints a line for the shell: from then on `docker run` and other clients of Docker speak to it through meshnet. " +
      "A container that they create on Docker's usual network is on the network `mesh`, too, before its first process " +
      "starts. MESHNET_CIDR in its environment says where: `10.2.1.1/24`, `net:10.32.1.0/24`, both with a blank between, " +
      "or `none`. Networks of meshnet's driver get their addresses from meshnet. Everything else goes through as it is. " +
      "--restore prints what takes it back.",
    options: [
      { name: "restore", kind: "switch", brief: "Print what gives DOCKER_HOST back" },
      JSON_OPTION,
      RUN_DIR_OPTION,
    ],
    examples: [
      ["eval $(meshnet docker env)", "from now on"],
      ["eval $(meshnet docker env --restore)", "no longer"],
    ],
    load: () => import("./commands/docker_env.ts"),
  },
  {
    name: "docker config",
    brief: "Print the option of `docker` that attaches what it creates",
    about: "As `meshnet docker env`, for a single command.",
    options: [JSON_OPTION, RUN_DIR_OPTION],
    examples: [["docker $(meshnet docker config) run -d --name web nginx", "this one container"]],
    load: () => import("./commands/docker_config.ts"),
  },
];
