/** Every option of `meshnet up`, once: parsing, environment, file keys, help and completions read this table. */

/** One option of a command. */
export interface OptionSpec {
  /** Name without the leading dashes, kebab case. */
  readonly name: string;
  /** `switch` takes no value; `list` is comma-separated (and an array in the file); `number` is a whole number. */
  readonly kind: "text" | "list" | "number" | "switch" | "choice";
  /** How help names the value. */
  readonly placeholder?: string;
  /** The values of a `choice`. */
  readonly choices?: readonly string[];
  /** The default, as one would type it. */
  readonly fallback?: string;
  /** One line for help, without full stop. */
  readonly brief: string;
  /** What a shell may complete the value with. */
  readonly completes?: "file" | "folder" | "host" | "hosts" | "attached";
}

/** Names of the options of `up` that environment and file may set too. */
export type UpOptionName =
  | "peers"
  | "name"
  | "nickname"
  | "port"
  | "host"
  | "password-file"
  | "trusted-subnets"
  | "no-discovery"
  | "conn-limit"
  | "datapath"
  | "no-fastdp"
  | "mtu"
  | "ip-range"
  | "ip-subnet"
  | "ip-init"
  | "reclaim-after"
  | "firewall"
  | "dns-domain"
  | "dns-listen"
  | "dns-order"
  | "dns-ttl"
  | "dns-forward"
  | "resolv-conf"
  | "no-dns"
  | "docker"
  | "docker-plugin"
  | "no-docker-network"
  | "no-multicast-route"
  | "docker-proxy"
  | "docker-proxy-tls"
  | "docker-proxy-attach"
  | "docker-proxy-inspect"
  | "docker-proxy-host-label"
  | "docker-proxy-host-match"
  | "docker-proxy-host-replace"
  | "compat"
  | "log-level"
  | "log-format"
  | "run-dir"
  | "socket-group"
  | "state-dir";

/** Where the control socket lives unless told otherwise. */
export const DEFAULT_RUN_DIR = "/run/meshnet";
/** Where identity, targets and attachments are kept unless told otherwise. */
export const DEFAULT_STATE_DIR = "/var/lib/meshnet";
/** The configuration file read unless told otherwise. */
export const DEFAULT_CONFIG_FILE = "/etc/meshnet/meshnet.toml";
/** Where Docker's engine is reached. */
export const DEFAULT_ENGINE_SOCKET = "/var/run/docker.sock";
/** Addresses of containers come from here unless told otherwise. */
export const DEFAULT_IP_RANGE = "10.32.0.0/12";
/** TCP port of the mesh, and UDP port of sleeve; fastdp takes the next one. */
export const DEFAULT_PORT = 6783;
/** The file in the run folder through which the daemon is controlled. */
export const CONTROL_SOCKET = "control.sock";
/** The file in the run folder by which members of `--socket-group` ask, and change nothing. */
export const STATUS_SOCKET = "status.sock";
/** Where that file is made, and under which path the kernel lists its socket for good. Not longer than the final one: paths
 * of sockets have 107 bytes at most. */
export const FIRST_CONTROL_SOCKET = ".control/s";

/** The option that every command which talks to the daemon has. */
export const RUN_DIR_OPTION: OptionSpec & { readonly name: "run-dir" } = {
  name: "run-dir",
  kind: "text",
  placeholder: "DIR",
  fallback: DEFAULT_RUN_DIR,
  brief: "Folder of the control socket; one per router on this machine",
  completes: "folder",
};

/** Options of `up`, in the order in which help lists them. */
export const UP_OPTIONS: readonly (OptionSpec & { readonly name: UpOptionName })[] = [
  {
    name: "peers",
    kind: "list",
    placeholder: "HOST[:PORT],...",
    brief: "Hosts to connect to; one host of the mesh is enough. Remembered: later starts need not name them",
    completes: "host",
  },
  {
    name: "name",
    kind: "text",
    placeholder: "NAME",
    brief: "Name of this host among its peers, xx:xx:xx:xx:xx:xx; remembered (default: made once)",
  },
  { name: "nickname", kind: "text", placeholder: "TEXT", brief: "Name for people (default: the host name)" },
  {
    name: "port",
    kind: "number",
    placeholder: "PORT",
    fallback: String(DEFAULT_PORT),
    brief: "TCP and UDP port of the mesh; kernel tunnels use UDP on the next one",
  },
  {
    name: "host",
    kind: "text",
    placeholder: "ADDRESS",
    brief: "Address of this host to listen on and connect from (default: all)",
  },
  {
    name: "password-file",
    kind: "text",
    placeholder: "FILE",
    brief: "File with the password of the mesh; or set MESHNET_PASSWORD",
    completes: "file",
  },
  {
    name: "trusted-subnets",
    kind: "list",
    placeholder: "CIDR,...",
    brief: "Between hosts in these networks traffic may stay in clear",
  },
  { name: "no-discovery", kind: "switch", brief: "Connect only to --peers, not to the peers of peers" },
  {
    name: "conn-limit",
    kind: "number",
    placeholder: "N",
    fallback: "200",
    brief: "Most connections to other peers; 0 for no limit",
  },
  {
    name: "datapath",
    kind: "choice",
    choices: ["auto", "ovs", "ebpf", "bridge"],
    fallback: "auto",
    brief: "What moves frames: the kernel's Open vSwitch, eBPF programs, or a bridge and user space",
  },
  { name: "no-fastdp", kind: "switch", brief: "Use no kernel tunnels: all traffic over user-space UDP" },
  {
    name: "mtu",
    kind: "number",
    placeholder: "BYTES",
    brief: "MTU of the container network (default: from the underlay)",
  },
  {
    name: "ip-range",
    kind: "text",
    placeholder: "CIDR|off",
    fallback: DEFAULT_IP_RANGE,
    brief: "Range that addresses are allocated from, the same on all hosts; off: none are",
  },
  {
    name: "ip-subnet",
    kind: "text",
    placeholder: "CIDR",
    brief: "Subnet of that range for those who name none (default: the whole range)",
  },
  {
    name: "ip-init",
    kind: "text",
    placeholder: "HOW",
    fallback: "consensus",
    brief: "How the first hosts share the range: consensus[=N], seed=NAME,... or observer",
  },
  {
    name: "reclaim-after",
    kind: "text",
    placeholder: "TIME|off",
    fallback: "off",
    brief: "Take over from hosts that are away for this long (24h) while most others are here",
  },
  {
    name: "firewall",
    kind: "choice",
    choices: ["auto", "report", "off"],
    fallback: "auto",
    brief: "This host's firewall: let containers' traffic through it, only say what it drops, or ignore it",
  },
  {
    name: "dns-domain",
    kind: "text",
    placeholder: "DOMAIN",
    brief: "Domain of the names of containers, the same on all hosts (default: mesh.internal)",
  },
  {
    name: "dns-listen",
    kind: "list",
    placeholder: "ADDRESS[:PORT],...",
    brief:
      "Addresses of this host on which it answers DNS besides 169.254.53.53 of containers (default: none)",
  },
  {
    name: "dns-order",
    kind: "choice",
    choices: ["balanced", "random", "nearest"],
    fallback: "balanced",
    brief: "Order of the addresses of a name: each first as often, all shuffled, or the nearest first",
  },
  {
    name: "dns-ttl",
    kind: "number",
    placeholder: "SECONDS",
    brief: "How long clients may keep an answer (default: 0 if balanced, else 1)",
  },
  {
    name: "dns-forward",
    kind: "list",
    placeholder: "DOMAIN=SERVER,...",
    brief: "Servers of single other domains, such as corp.example=10.0.0.53",
  },
  {
    name: "resolv-conf",
    kind: "text",
    placeholder: "FILE",
    fallback: "/etc/resolv.conf",
    brief: "File with the servers for all other names; it is followed",
    completes: "file",
  },
  { name: "no-dns", kind: "switch", brief: "No names: this host gives none, and knows none" },
  {
    name: "docker",
    kind: "text",
    placeholder: "SOCKET|auto|off",
    fallback: "auto",
    brief: "Container engine whose containers are attached: unix:///PATH; auto: Docker's usual socket",
    completes: "file",
  },
  {
    name: "docker-plugin",
    kind: "text",
    placeholder: "SOCKET|off",
    fallback: "/run/docker/plugins/meshnet.sock",
    brief: "Where Docker asks for networks of the driver `meshnet`",
    completes: "file",
  },
  {
    name: "no-docker-network",
    kind: "switch",
    brief: "Do not have Docker make the network `mesh`; containers join it with --net mesh",
  },
  {
    name: "no-multicast-route",
    kind: "switch",
    brief: "Give containers no route for multicast; it goes where their default route leads",
  },
  {
    name: "docker-proxy",
    kind: "list",
    placeholder: "LISTEN,...|off",
    fallback: "auto",
    brief: "Where clients of Docker have what they create attached: unix:///PATH, tcp://ADDRESS:PORT; " +
      "auto: docker.sock in the run folder",
  },
  {
    name: "docker-proxy-tls",
    kind: "list",
    placeholder: "CA,CERT,KEY",
    brief: "Files for its clients over TCP: the CA that theirs are of, and this host's own",
    completes: "file",
  },
  {
    name: "docker-proxy-attach",
    kind: "choice",
    choices: ["all", "asked"],
    fallback: "all",
    brief: "Which containers it attaches: all, or those alone that have MESHNET_CIDR in their environment",
  },
  {
    name: "docker-proxy-inspect",
    kind: "switch",
    brief: "A look at a container through it shows the address of the mesh as the container's own",
  },
  {
    name: "docker-proxy-host-label",
    kind: "text",
    placeholder: "LABEL",
    brief: "Label with the host name of a container that was given none (default: its name)",
  },
  {
    name: "docker-proxy-host-match",
    kind: "text",
    placeholder: "REGEX",
    brief: "What is replaced in that host name",
  },
  {
    name: "docker-proxy-host-replace",
    kind: "text",
    placeholder: "TEXT",
    brief: "By what; $1 is the first group of the pattern (default: nothing)",
  },
  {
    name: "compat",
    kind: "choice",
    choices: ["weave"],
    brief: "Fit into a Weave network: interface ethwe in containers, MTU 1376",
  },
  {
    name: "log-level",
    kind: "choice",
    choices: ["debug", "info", "warn", "error"],
    fallback: "info",
    brief: "Least important message to log",
  },
  {
    name: "log-format",
    kind: "choice",
    choices: ["text", "json"],
    fallback: "text",
    brief: "How to log on standard error",
  },
  RUN_DIR_OPTION,
  {
    name: "socket-group",
    kind: "text",
    placeholder: "GROUP",
    brief:
      "Group whose members may look without being root: whatever changes nothing, like status, ps, history, doctor, report",
  },
  {
    name: "state-dir",
    kind: "text",
    placeholder: "DIR",
    fallback: DEFAULT_STATE_DIR,
    brief: "Folder for identity, targets and attachments",
    completes: "folder",
  },
];

/** The option that names the file; it cannot be set inside it. */
export const CONFIG_OPTION: OptionSpec = {
  name: "config",
  kind: "text",
  placeholder: "FILE",
  fallback: DEFAULT_CONFIG_FILE,
  brief: "Configuration file, TOML",
  completes: "file",
};

/** The environment variable of an option. */
export function envName(option: string): string {
  return `MESHNET_${option.toUpperCase().replaceAll("-", "_")}`;
}
