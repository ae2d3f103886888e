/** Where every setting of the daemon comes from: flag beats environment beats file beats default. */
import type { Cidr, Ip } from "../../core/addr.ts";
import { equalBytes } from "../../core/bytes.ts";
import type { PeerName } from "../../core/names.ts";
import {
  CONFIG_OPTION,
  DEFAULT_CONFIG_FILE,
  envName,
  type OptionSpec,
  UP_OPTIONS,
  type UpOptionName,
} from "../../core/options.ts";
import { closest } from "../../core/suggest.ts";
import { nicknameOf } from "../../wire/mesh/mesh_text.ts";
import { type ConfigFile, type RawValue, readConfigFile } from "./config_file.ts";
import { type DnsConfig, parseDns } from "./config_dns.ts";
import { type IpamConfig, parseIpam } from "./config_ipam.ts";
import { parseProxy, type ProxyConfig } from "./config_proxy.ts";
import { PARSERS, type Sourced } from "./config_values.ts";
import { groupNumber } from "./group.ts";
import { readPassword } from "./password.ts";

/** Everything `up` can be told, checked. */
export interface Config {
  /** undefined: nobody says, so those of the last run stay. */
  readonly peers: readonly string[] | undefined;
  /** undefined: the stored or a new one. */
  readonly name: PeerName | undefined;
  /** Name for people; the host name unless set. */
  readonly nickname: string;
  /** TCP port of the mesh; fastdp takes the next one for UDP. */
  readonly port: number;
  /** Address to listen on and dial from; undefined: all. */
  readonly host: Ip | undefined;
  /** undefined: no password, nothing is encrypted. */
  readonly password: Uint8Array<ArrayBuffer> | undefined;
  /** Whether it was read from a file. */
  readonly passwordFromFile: boolean;
  /** Between their hosts traffic may stay in clear. */
  readonly trustedSubnets: readonly Cidr[];
  /** Whether addresses learnt from other peers are dialled. */
  readonly discovery: boolean;
  /** 0: no limit. */
  readonly connLimit: number;
  /** What moves frames. */
  readonly datapath: "auto" | "ovs" | "ebpf" | "bridge";
  /** Whether the kernel's tunnels may be used. */
  readonly fastdp: boolean;
  /** undefined: derived from the underlay. */
  readonly mtu: number | undefined;
  /** How addresses are allocated; undefined: they are not. */
  readonly ipam: IpamConfig | undefined;
  /** How names are answered; undefined: they are not. */
  readonly dns: DnsConfig | undefined;
  /** Whether this host's firewall is changed, only judged, or not looked at. */
  readonly firewall: "auto" | "report" | "off";
  /** Path of the container engine's socket; undefined: none is worked with. */
  readonly docker: string | undefined;
  /** Whether Docker is to have a network `mesh` without anybody making it. */
  readonly dockerNetwork: boolean;
  /** Whether multicast of containers goes into the mesh. */
  readonly multicastRoute: boolean;
  /** Path of the socket at which Docker asks for networks; undefined: it cannot. */
  readonly dockerPlugin: string | undefined;
  /** How clients of the engine are served; undefined: they are not. */
  readonly dockerProxy: ProxyConfig | undefined;
  /** Whose names to use. */
  readonly compat: "weave" | undefined;
  /** Least important message to log. */
  readonly logLevel: "debug" | "info" | "warn" | "error";
  /** How to log. */
  readonly logFormat: "text" | "json";
  /** Extensions of the protocol that are not announced to peers: `MESHNET_WITHOUT`, a comma between two. For finding
   * faults, and for measuring one against the other. */
  readonly without: readonly string[];
  /** Number of the group whose members may ask, and change nothing. */
  readonly socketGroup: number | undefined;
  /** Absolute. */
  readonly runDir: string;
  /** Absolute. */
  readonly stateDir: string;
  /** For `report`: each option as text and where it came from; no secrets. SIGHUP changes that of `peers`. */
  readonly origins: Origins;
  /** Oddities worth a line in the log, sentences without full stop. */
  readonly warnings: readonly string[];
}

/** Each option as text, null where nobody set it, and where it came from. */
export type Origins = Record<string, { readonly value: RawValue | null; readonly from: string }>;

/** What has become of the settings since the daemon was started. */
export interface Reloaded {
  /** The peers that they name now; undefined: none, so those that are there stay. */
  readonly peers: readonly string[] | undefined;
  /** Where those come from. */
  readonly peersFrom: Origins[string];
  /** Settings that have another value now, which takes a restart. */
  readonly needRestart: readonly string[];
}

/** Flags of `up` as typed: a text, or true for a switch; absent ones were not given. */
export type Flags = Readonly<Record<string, string | boolean | undefined>>;

/** Where settings may come from. */
export interface ConfigSources {
  /** The command line. */
  readonly flags: Flags;
  /** The whole environment. */
  readonly env: Readonly<Record<string, string>>;
  /** undefined: there is none. */
  readonly file: ConfigFile | undefined;
  /** The nickname unless set. */
  readonly hostname: string;
  /** Absolute folder against which relative paths count. */
  readonly cwd: string;
}

/** Variables that are not options of `up`. */
const OTHER_VARIABLES = [
  "MESHNET_PASSWORD",
  "MESHNET_CONFIG",
  "MESHNET_BIN",
  "MESHNET_CACHE_DIR",
  "MESHNET_EXE",
  "MESHNET_LIB_DIR",
  "MESHNET_ORIG_DOCKER_HOST",
  "MESHNET_WITHOUT",
];

/** Variables of Weave Net that nothing reads here: what sets the same, and the option that does it, too. */
const WEAVE_VARIABLES: Readonly<Record<string, readonly [variable: string, option: UpOptionName]>> = {
  WEAVE_PASSWORD: ["MESHNET_PASSWORD", "password-file"],
  WEAVE_PORT: ["MESHNET_PORT", "port"],
  WEAVE_MTU: ["MESHNET_MTU", "mtu"],
  WEAVE_NO_FASTDP: ["MESHNET_NO_FASTDP", "no-fastdp"],
};

/** Reads the file named by flag or environment, and the password, and checks everything. */
export async function loadConfig(flags: Flags): Promise<Config> {
  const sources = await readSources(flags);
  const config = resolveConfig(sources);
  const { fromFile, password, warnings } = await readPassword(
    { variable: sources.env["MESHNET_PASSWORD"], file: sourceOf("password-file", sources) },
    sources.cwd,
  );
  return { ...config, password, passwordFromFile: fromFile, warnings: [...config.warnings, ...warnings] };
}

/** Reads the settings again. The environment of a process stays as it was, so only files can have changed. */
export async function reloadConfig(flags: Flags, running: Config): Promise<Reloaded> {
  const sources = await readSources(flags);
  const fresh = resolveConfig(sources);
  const changed = Object.keys(fresh.origins).filter((name) =>
    name !== "peers" &&
    JSON.stringify(fresh.origins[name]!.value) !== JSON.stringify(running.origins[name]?.value)
  );
  const file = sourceOf("password-file", sources);
  if (running.passwordFromFile && file !== undefined && !changed.includes("password-file")) {
    const { password } = await readPassword({ variable: undefined, file }, sources.cwd);
    const same = password !== undefined && equalBytes(password, running.password ?? new Uint8Array());
    if (!same) changed.push("the password");
  }
  return { peers: fresh.peers, peersFrom: fresh.origins["peers"]!, needRestart: changed };
}

/** Where the daemon leaves files, as flags, environment and file name it. */
export async function loadFolders(
  flags: Flags,
): Promise<
  & Pick<Config, "docker" | "dockerPlugin" | "runDir" | "stateDir">
  & { readonly sockets: readonly string[] }
> {
  const { docker, dockerPlugin, dockerProxy, runDir, stateDir } = resolveConfig(await readSources(flags));
  const listeners = dockerProxy?.listen ?? [];
  const proxies = listeners.flatMap((one) => one.kind === "unix" ? [one.path] : []);
  const sockets = dockerPlugin === undefined ? proxies : [dockerPlugin, ...proxies];
  return { docker, dockerPlugin, runDir, stateDir, sockets };
}

async function readSources(flags: Flags): Promise<ConfigSources> {
  const env = Deno.env.toObject();
  const named = flags["config"] ?? env[envName(CONFIG_OPTION.name)];
  const required = typeof named === "string" && named !== "";
  const file = await readConfigFile(required ? named : DEFAULT_CONFIG_FILE, { required });
  return { flags, env, file, hostname: Deno.hostname(), cwd: Deno.cwd() };
}

/** Everything but the password, which needs a file to be read. Throws MeshnetError naming source, value and fix. */
export function resolveConfig(sources: ConfigSources): Config {
  const origins: Origins = {};
  const pick = (name: UpOptionName): Sourced | undefined => {
    const found = sourceOf(name, sources);
    origins[name] = { value: found?.value ?? null, from: found?.label ?? "default" };
    return found;
  };
  pick("password-file");
  const { cwd } = sources;
  const [engine, runDir] = [PARSERS.docker(pick("docker")!), PARSERS.runDir(pick("run-dir")!, cwd)];
  const compat = PARSERS.compat(pick("compat"));
  return {
    peers: PARSERS.peers(pick("peers")),
    name: PARSERS.name(pick("name")),
    nickname: PARSERS.nickname(pick("nickname")) ?? (nicknameOf(sources.hostname) || "unknown"),
    port: PARSERS.port(pick("port")!),
    host: PARSERS.host(pick("host")),
    password: undefined,
    passwordFromFile: false,
    trustedSubnets: PARSERS.subnets(pick("trusted-subnets")),
    discovery: !PARSERS.flag(pick("no-discovery")),
    connLimit: PARSERS.connLimit(pick("conn-limit")!),
    datapath: PARSERS.datapath(pick("datapath")!),
    fastdp: !PARSERS.flag(pick("no-fastdp")),
    mtu: PARSERS.mtu(pick("mtu")),
    ipam: parseIpam({
      range: pick("ip-range")!,
      subnet: pick("ip-subnet"),
      init: pick("ip-init")!,
      reclaimAfter: pick("reclaim-after")!,
    }),
    firewall: PARSERS.firewall(pick("firewall")!),
    docker: engine,
    dockerNetwork: !PARSERS.flag(pick("no-docker-network")),
    multicastRoute: !PARSERS.flag(pick("no-multicast-route")),
    dockerPlugin: PARSERS.dockerPlugin(pick("docker-plugin")!),
    dockerProxy: parseProxy({ cwd, engine, pick, runDir }),
    compat,
    dns: parseDns({ compat, cwd, off: PARSERS.flag(pick("no-dns")), pick }),
    logLevel: PARSERS.logLevel(pick("log-level")!),
    logFormat: PARSERS.logFormat(pick("log-format")!),
    without: (sources.env["MESHNET_WITHOUT"] ?? "").split(",").map((word) => word.trim()).filter(Boolean),
    runDir,
    stateDir: PARSERS.path(pick("state-dir")!, cwd),
    socketGroup: groupNumber(pick("socket-group")),
    origins,
    warnings: [...unknownVariables(sources.env), ...weaveVariables(sources)],
  };
}

/** The source that wins for an option. A blank variable counts as unset. */
function sourceOf(name: UpOptionName, sources: ConfigSources): Sourced | undefined {
  const flag = sources.flags[name];
  if (flag !== undefined) return { value: flag, source: "flag", label: `--${name}` };
  const variable = sources.env[envName(name)];
  if (variable !== undefined && variable.trim() !== "") {
    return { value: variable, source: "environment", label: envName(name) };
  }
  const inFile = sources.file?.values.get(name);
  if (inFile !== undefined) {
    return { value: inFile, source: "file", label: `${name} in ${sources.file!.path}` };
  }
  const option: OptionSpec = UP_OPTIONS.find((known) => known.name === name)!;
  return option.fallback === undefined
    ? undefined
    : { value: option.fallback, source: "default", label: "default" };
}

function unknownVariables(env: Readonly<Record<string, string>>): readonly string[] {
  const known = [...UP_OPTIONS.map((option) => envName(option.name)), ...OTHER_VARIABLES];
  return Object.keys(env).filter((key) => key.startsWith("MESHNET_") && !known.includes(key)).map((key) => {
    const near = closest(key, known);
    return `Nothing reads the environment variable ${key}` +
      (near === undefined ? "" : `; did you mean ${near}?`);
  });
}

/** Who has moved from Weave Net must not believe that a password is set. */
function weaveVariables(sources: ConfigSources): readonly string[] {
  const { env } = sources;
  return Object.entries(WEAVE_VARIABLES).flatMap(([theirs, [ours, option]]) => {
    const isSet = env[ours] || (sourceOf(option, sources)?.source ?? "default") !== "default";
    return !env[theirs] || isSet
      ? []
      : [`Nothing reads the environment variable ${theirs}; set ${ours} instead`];
  });
}
