/** Every command, once: parsing, help and completions read this table; the code of each is loaded when it runs. */
import { CONFIG_OPTION, RUN_DIR_OPTION, UP_OPTIONS } from "../core/options.ts";
import type { CommandSpec } from "./command.ts";
import { JSON_OPTION, NAME_OPTION, WAIT_OPTIONS } from "./command_options.ts";
import { DOCKER_COMMANDS } from "./commands_docker.ts";
import { DOCTOR_COMMANDS } from "./commands_doctor.ts";
import { EXPOSE_COMMANDS } from "./commands_expose.ts";
import { HOST_COMMANDS } from "./commands_host.ts";
import { STATUS_COMMANDS } from "./commands_status.ts";

const STATE_DIR_OPTION = UP_OPTIONS.find((option) => option.name === "state-dir")!;

const TARGET_ABOUT =
  "TARGET is a container of Docker, by its name or id, or a network namespace: netns:NAME as `ip netns` " +
  "lists it, pid:N for that of a process, or the path of a namespace file.";

/** All commands, in the order in which help lists them. */
export const COMMANDS: readonly CommandSpec[] = [
  {
    name: "up",
    brief: "Run the router on this host, in the foreground",
    about:
      "Joins this host to the mesh and keeps running until SIGTERM or `meshnet down` stops it. SIGHUP makes it " +
      "read its peers again. A new start takes over what the last one left in the kernel, so traffic goes on " +
      "across a restart. Needs root, and /dev/net/tun or a kernel with the openvswitch module.",
    options: [...UP_OPTIONS, CONFIG_OPTION],
    examples: [
      ["meshnet up", "the first host"],
      ["meshnet up --peers host1", "every other host; one reachable peer is enough"],
    ],
    load: () => import("./commands/up.ts"),
  },
  {
    name: "down",
    brief: "Stop the router; traffic of kernel paths goes on",
    about:
      "Stops the daemon and waits until it has ended. Interfaces, datapath and kernel flows stay, so what the " +
      "kernel carries goes on. Traffic to hosts that are reached over user-space UDP stops; the command says " +
      "how many. The next `meshnet up` takes everything over. `meshnet reset` removes it.",
    options: [RUN_DIR_OPTION],
    examples: [],
    load: () => import("./commands/down.ts"),
  },
  {
    name: "reset",
    brief: "Stop and remove everything meshnet made on this host",
    about:
      "Stops the daemon if it runs. Then removes interfaces, datapath and stored state, the host's identity " +
      "included. Attached containers lose this network; those of Docker's networks have it again after " +
      "`meshnet up`. Also works when the daemon is not running. It shows what it will do, and asks; without " +
      "a terminal it does nothing unless --yes is given. " +
      "With --keep-state the next `meshnet up` attaches the containers again.",
    options: [
      { name: "yes", kind: "switch", brief: "Do not ask; needed where there is no terminal" },
      { name: "dry-run", kind: "switch", brief: "Show what would be done, and change nothing" },
      { name: "keep-state", kind: "switch", brief: "Keep identity, peers, addresses and attachments" },
      { name: "force", kind: "switch", brief: "Kill a daemon that does not stop; go on after errors" },
      RUN_DIR_OPTION,
      STATE_DIR_OPTION,
      CONFIG_OPTION,
    ],
    examples: [],
    load: () => import("./commands/reset.ts"),
  },
  ...STATUS_COMMANDS,
  {
    name: "attach",
    brief: "Connect a container or a network namespace to the network",
    about:
      "Gives the namespace an interface with the addresses. It is ready when the command returns. Without an " +
      "address, or with net:default, it gets a free one of the network's range; net:CIDR takes one of that " +
      "subnet. An address that somebody in the network uses already is refused. Attaching the same again changes " +
      "nothing. The daemon remembers the attachment and restores it " +
      "after a restart. A namespace that is made again under its name gets its addresses again, and so does a " +
      "container that is started again, until it is removed. The names of " +
      "--name lead to its addresses on all hosts, as long as it is attached. They are kept as the addresses are; " +
      "attach again with another --name to add one, and `meshnet dns remove` takes one away. " +
      "With --health it is probed twice a second from inside its own network namespace, where lo has to be up: " +
      "whether it takes connections, gives a page (status 200 to 399), or a program of this host ends with exit " +
      "code 0. That program gets no shell (`exec:sh -c '...'` gives it one), has until the next probe is due, and " +
      "finds MESHNET_TARGET and MESHNET_ADDRESS in its environment. When two probes in a row fail, all " +
      "hosts leave the target out of their answers, until it answers again. Where none of a name answers, all are answered. " +
      "`,every=2s` and `,after=3` behind the check set another pace. `meshnet ps` says how it is, and since when. " +
      "What is started with `ip netns exec` asks this host for names: attaching writes /etc/netns/NAME/resolv.conf, " +
      "and detaching gives it back as it was. So it is with a process (pid:N) that has an /etc/resolv.conf of its own, " +
      "mounted for it or on a file system of its own. " +
      TARGET_ABOUT,
    args: {
      usage: "[CIDR...] TARGET",
      brief: "Addresses, and where",
      least: 1,
      most: 1000,
      completes: "target",
    },
    options: [
      NAME_OPTION,
      {
        name: "health",
        kind: "text",
        placeholder: "CHECK",
        brief: "Answer its names while it answers: tcp:PORT, http:PORT/PATH, exec:COMMAND; none ends that",
      },
      { name: "no-dns", kind: "switch", brief: "Leave its resolv.conf alone" },
      {
        name: "force",
        kind: "switch",
        brief: "Attach given addresses that others use already, or that this host reaches elsewhere",
      },
      ...WAIT_OPTIONS,
      JSON_OPTION,
      RUN_DIR_OPTION,
    ],
    examples: [
      ["meshnet attach web", "a container"],
      ["meshnet attach netns:web", "a network namespace"],
      ["meshnet attach --name web,www.shop netns:web", "two names"],
      ["meshnet attach --name web --health tcp:80 web", "while it answers"],
      ["meshnet attach --name db --health exec:db-ready db", "as a program says"],
      ["meshnet attach net:10.32.1.0/24 netns:web", "one of that subnet"],
      ["meshnet attach 10.2.1.1/24 netns:web", "this address"],
      ["meshnet attach 10.2.1.1/24 10.3.1.1/24 pid:4711", "two networks"],
    ],
    load: () => import("./commands/attach.ts"),
  },
  {
    name: "detach",
    brief: "Remove addresses, or the whole interface",
    about:
      "Without a CIDR it removes the interface and forgets the attachment. Addresses of the network's range " +
      `are free again. ${TARGET_ABOUT}`,
    args: {
      usage: "[CIDR...] TARGET",
      brief: "Addresses, and where",
      least: 1,
      most: 1000,
      completes: "attached",
    },
    options: [JSON_OPTION, RUN_DIR_OPTION],
    examples: [["meshnet detach netns:web", "everything"]],
    load: () => import("./commands/detach.ts"),
  },
  ...EXPOSE_COMMANDS,
  {
    name: "ps",
    brief: "List who holds which addresses on this host",
    about:
      "Every target that was attached here, every name that was given to `meshnet ipam allocate`, and this host itself " +
      "where it is exposed. HEALTH says how checks find it (`attach --health`), and whether its container is paused or " +
      "unhealthy.",
    args: { usage: "[TARGET...]", brief: "Only these", least: 0, most: 1000, completes: "attached" },
    options: [JSON_OPTION, RUN_DIR_OPTION],
    examples: [],
    load: () => import("./commands/ps.ts"),
  },
  {
    name: "ipam allocate",
    brief: "Reserve a free address for a name, without attaching anything",
    about:
      "Prints an address that nobody else gets until `meshnet ipam release`. The same name gets the same address " +
      "again. It waits until an address is free.",
    args: { usage: "NAME [SUBNET]", brief: "For whom, and in which subnet", least: 1, most: 2 },
    options: [...WAIT_OPTIONS, JSON_OPTION, RUN_DIR_OPTION],
    examples: [["meshnet ipam allocate printer 10.32.1.0/24", "an address of that subnet"]],
    load: () => import("./commands/ipam_allocate.ts"),
  },
  {
    name: "ipam claim",
    brief: "Reserve a certain address for a name",
    about: "Fails when somebody else has the address. The host that owns it is asked for it.",
    args: { usage: "NAME CIDR", brief: "For whom, and which", least: 2, most: 2 },
    options: [...WAIT_OPTIONS, JSON_OPTION, RUN_DIR_OPTION],
    examples: [["meshnet ipam claim printer 10.32.1.7/12", "this address"]],
    load: () => import("./commands/ipam_claim.ts"),
  },
  {
    name: "ipam release",
    brief: "Give reserved addresses back",
    about:
      "Without an address it gives back all that the name has. What is attached is given back by `detach`.",
    args: { usage: "NAME [ADDRESS]", brief: "Whose, and which", least: 1, most: 2 },
    options: [JSON_OPTION, RUN_DIR_OPTION],
    examples: [["meshnet ipam release printer", "all that it has"]],
    load: () => import("./commands/ipam_release.ts"),
  },
  {
    name: "ipam export",
    brief: "Print a backup of who owns and holds which addresses",
    about:
      "Prints JSON that `meshnet ipam import` takes back after a disaster. It says how the hosts share the range, which " +
      "is the same on all of them, and which addresses the names on this host hold. Keep one of each host.",
    options: [RUN_DIR_OPTION],
    examples: [["meshnet ipam export > addresses.json", "keep it on another disk"]],
    load: () => import("./commands/ipam_export.ts"),
  },
  {
    name: "ipam import",
    brief: "Take a backup of addresses back after a disaster",
    about:
      "FILE is what `meshnet ipam export` printed; - reads it from standard input. When all hosts have lost their " +
      "state, connect them, and import a backup on one of them: they own again what it says. Then import its own backup " +
      "on each host: its names hold their addresses again. Where the hosts know already who owns what, only that second " +
      "part is done. It refuses what could give an address two owners.",
    args: { usage: "FILE", brief: "The backup", least: 1, most: 1 },
    options: [
      {
        name: "gone",
        kind: "list",
        placeholder: "HOST,...",
        brief: "Owners in the backup that are gone for good",
      },
      JSON_OPTION,
      RUN_DIR_OPTION,
    ],
    examples: [
      ["meshnet ipam import addresses.json", "all hosts are here"],
      ["meshnet ipam import addresses.json --gone host3", "host3 will not come back"],
    ],
    load: () => import("./commands/ipam_import.ts"),
  },
  {
    name: "ipam status",
    brief: "Show which host owns how many addresses; as `status ipam`",
    about: "The range, what goes on, every owner with its share, and who waits for an address.",
    options: [JSON_OPTION, RUN_DIR_OPTION],
    examples: [],
    load: () => import("./commands/ipam_status.ts"),
  },
  {
    name: "dns add",
    brief: "Give a name records, on all hosts",
    about:
      "RECORD is an address, cname:NAME for an alias, srv:PRIORITY:WEIGHT:PORT:NAME for a service, or a target " +
      "that is attached on this host. A name without the domain gets it; inside records, a name that ends in a dot is " +
      "taken as it is. This host remembers the records and gives them until `meshnet dns remove`, also after a " +
      "restart; while it is away they are not answered. Several hosts may give one name.",
    args: { usage: "NAME [RECORD...]", brief: "Which, and what it stands for", least: 1, most: 1000 },
    options: [
      {
        name: "order",
        kind: "choice",
        choices: ["balanced", "random", "nearest"],
        brief: "In which order the addresses of this name are answered, whoever gives them",
      },
      JSON_OPTION,
      RUN_DIR_OPTION,
    ],
    examples: [
      ["meshnet dns add printer 192.0.2.7 fd00::7", "two addresses"],
      ["meshnet dns add www cname:web", "an alias"],
      ["meshnet dns add _http._tcp.shop srv:0:0:80:web", "a service"],
      ["meshnet dns add shop netns:web", "one more name"],
    ],
    load: () => import("./commands/dns_add.ts"),
  },
  {
    name: "dns remove",
    brief: "Take records of a name away, or the whole name",
    about:
      "Without a RECORD all that this host gives for the name goes, also from what is attached. Records of other " +
      "hosts are removed there.",
    args: { usage: "NAME [RECORD...]", brief: "Which, and what of it", least: 1, most: 1000 },
    options: [JSON_OPTION, RUN_DIR_OPTION],
    examples: [
      ["meshnet dns remove printer", "the name"],
      ["meshnet dns remove printer 192.0.2.7", "one of its addresses"],
    ],
    load: () => import("./commands/dns_remove.ts"),
  },
  {
    name: "dns lookup",
    brief: "Print what a name of the network stands for",
    about:
      "Prints one record in a line: what this host knows of the name, aliases first. Fails where there is none.",
    args: { usage: "NAME", brief: "Which", least: 1, most: 1 },
    options: [JSON_OPTION, RUN_DIR_OPTION],
    examples: [["meshnet dns lookup web", "the addresses of web"]],
    load: () => import("./commands/dns_lookup.ts"),
  },
  {
    name: "dns list",
    brief: "List all names of the network",
    about:
      "Every record with whose it is and which host gives it. What is not answered as usual says so: `left out` where " +
      "others of the name are answered instead, as its target does not answer or is paused, or its host is away; and " +
      "`kept for 40 s more` where the daemon of its host is away and nobody else has the name.",
    options: [JSON_OPTION, RUN_DIR_OPTION],
    examples: [],
    load: () => import("./commands/dns_list.ts"),
  },
  ...DOCKER_COMMANDS,
  {
    name: "prime",
    brief: "Wait until the hosts have shared the range of addresses out",
    about: "Makes them agree now rather than with the first address that somebody asks for.",
    options: [...WAIT_OPTIONS, JSON_OPTION, RUN_DIR_OPTION],
    examples: [],
    load: () => import("./commands/prime.ts"),
  },
  {
    name: "rmpeer",
    brief: "Take over the addresses of hosts that are gone for good",
    about:
      "PEER is a name or a nickname as `meshnet status ipam` shows them. Any number of people may do this on any " +
      "number of hosts at once: one host takes over. It needs the consent of all hosts that are left, and waits for " +
      "those that are away. A host that was removed must not come back with its old state: run `meshnet reset` on it.",
    args: { usage: "PEER...", brief: "Hosts that are gone", least: 1, most: 1000, completes: "lost" },
    options: [...WAIT_OPTIONS, JSON_OPTION, RUN_DIR_OPTION],
    examples: [["meshnet rmpeer host3", "its disk is lost"]],
    load: () => import("./commands/rmpeer.ts"),
  },
  ...DOCTOR_COMMANDS,
  ...HOST_COMMANDS,
  {
    name: "version",
    brief: "Print the version",
    about: "Prints the version of this command. `meshnet status` shows that of the daemon.",
    options: [JSON_OPTION],
    examples: [],
    load: () => import("./commands/version.ts"),
  },
  {
    name: "help",
    brief: "Explain a command, `config` (the configuration file) or `log` (its events)",
    about: "Without a word it lists all commands.",
    args: { usage: "[COMMAND|config|log]", brief: "Command", least: 0, most: 2, completes: "command" },
    options: [],
    examples: [],
    load: () => import("./commands/help.ts"),
  },
];
