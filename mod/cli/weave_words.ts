/** What people type who know Weave Net, and the line that does it here. Pure. Loaded where a command line is wrong. */

/** Its commands that have another name here, or none. */
const COMMANDS: Readonly<Record<string, string>> = {
  "setup": "`weave setup` needs nothing here: `meshnet up` has all that it needs in one file",
  "setup-cni": "There is no CNI plug-in here; `meshnet attach NAME` connects a container",
  "launch":
    "`weave launch` is `meshnet up --peers HOST,...` here; `meshnet help service unit` has it as a service",
  "launch-router": "`weave launch-router` is `meshnet up --peers HOST,...` here",
  "launch-proxy":
    "`weave launch-proxy` needs nothing here: `meshnet up` does it; see `meshnet help docker env`",
  "launch-plugin": "`weave launch-plugin` needs nothing here: `meshnet up` serves Docker's networks, too",
  "stop": "Did you mean `meshnet down`? (`weave stop` is that here)",
  "stop-router": "`weave stop-router` is `meshnet down` here",
  "stop-proxy": "The daemon is all in one here: `meshnet down` stops it",
  "stop-plugin": "The daemon is all in one here: `meshnet down` stops it",
  "run":
    "`meshnet up` runs the router; `docker $(meshnet docker config) run ...` runs a container that is attached",
  "start":
    "Did you mean `meshnet up`? It starts the router; `docker start NAME` starts a container, which is attached as before",
  "restart":
    "`meshnet up` starts the router; `docker restart NAME` leaves a container attached as it was before",
  "dns-add": "`weave dns-add` is `meshnet dns add NAME ADDRESS` here",
  "dns-remove": "`weave dns-remove` is `meshnet dns remove NAME [ADDRESS]` here",
  "dns-lookup": "`weave dns-lookup` is `meshnet dns lookup NAME` here",
  "dns-args": "`weave dns-args` needs nothing here: what is attached asks the mesh for names",
  "env": "`weave env` is `meshnet docker env` here: `eval $(meshnet docker env)`",
  "docker-bridge-ip": "Containers ask for names at the address that `meshnet status dns` shows",
  "bridge-type": "`meshnet status` shows what moves frames on this host, in the line Datapath",
  "attach-bridge":
    "`weave attach-bridge` needs nothing here; `meshnet expose` joins this host to the network",
};

/** Its options of other names: the option that does it here, as it is typed. */
const OPTIONS: Readonly<Record<string, string>> = {
  "dns-listen-address": "--dns-listen ADDRESS",
  "docker-api": "--docker SOCKET",
  "hostname-from-label": "--docker-proxy-host-label LABEL",
  "hostname-match": "--docker-proxy-host-match REGEX",
  "hostname-replacement": "--docker-proxy-host-replace TEXT",
  "ipalloc-default-subnet": "--ip-subnet CIDR",
  "ipalloc-init": "--ip-init HOW",
  "ipalloc-range": "--ip-range CIDR",
  "no-default-ipalloc": "--docker-proxy-attach asked",
  "rewrite-inspect": "--docker-proxy-inspect",
  "without-dns": "--no-dns",
  "without-masquerade": "--no-masquerade",
};

/** Its options of `launch` that need nothing here, and why. */
const NEEDLESS: Readonly<Record<string, string>> = {
  "no-restart": "the service says whether it starts again",
  "plugin": "Docker's networks are served anyway, unless --docker-plugin is off",
  "proxy": "clients of Docker are served anyway, unless --docker-proxy is off",
  "resume": "peers are remembered",
};

/** The hint for one of its commands; undefined: it is none. */
export function weaveCommand(word: string): string | undefined {
  return Object.hasOwn(COMMANDS, word) ? COMMANDS[word] : undefined;
}

/** The hint for one of its options, where the command has one for it; undefined: there is none. */
export function weaveOption(
  name: string,
  command: { readonly name: string; readonly options: readonly { readonly name: string }[] },
): string | undefined {
  if (command.name === "up" && Object.hasOwn(NEEDLESS, name)) return `Leave --${name} out: ${NEEDLESS[name]}`;
  const ours = Object.hasOwn(OPTIONS, name) ? OPTIONS[name]! : undefined;
  return ours !== undefined && command.options.some((option) => ours.split(" ")[0] === `--${option.name}`)
    ? `It is ${ours} here`
    : undefined;
}
