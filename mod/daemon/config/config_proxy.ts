/** Settings of the proxy for clients of the engine: where it listens, and what it does about containers. */
import { type Endpoint, parseEndpoint } from "../../core/addr.ts";
import type { UpOptionName } from "../../core/options.ts";
import { PARSERS, refuseSetting, settingList, settingText, type Sourced } from "./config_values.ts";

/** Where the proxy listens. */
export type ProxyListener =
  | { readonly kind: "unix"; readonly path: string }
  | { readonly kind: "tls"; readonly endpoint: Endpoint };

/** How clients of the engine are served. */
export interface ProxyConfig {
  /** In the order in which they were given. */
  readonly listen: readonly ProxyListener[];
  /** Files for clients over TCP; undefined: there are none. */
  readonly tls: { readonly ca: string; readonly cert: string; readonly key: string } | undefined;
  /** Whether containers are attached that do not ask for it. */
  readonly all: boolean;
  /** Whether a look at a container shows its address of the mesh as its own. */
  readonly showMesh: boolean;
  /** Where containers without a host name get one from. */
  readonly hostName: {
    readonly label: string | undefined;
    readonly match: RegExp | undefined;
    readonly replacement: string;
  };
}

/** Options that are read here. */
export type ProxyOptionName = Extract<UpOptionName, `docker-proxy${string}`>;

/** The file in the run folder at which it listens unless told otherwise. */
const SOCKET = "docker.sock";
const MOST_LISTENERS = 8;

/** The settings as they were given; undefined when there is no proxy. */
export function parseProxy(
  { cwd, engine, pick, runDir }: {
    readonly cwd: string;
    /** The engine's socket; undefined: none is worked with. */
    readonly engine: string | undefined;
    readonly runDir: string;
    readonly pick: (name: ProxyOptionName) => Sourced | undefined;
  },
): ProxyConfig | undefined {
  const given = pick("docker-proxy")!;
  const files = pick("docker-proxy-tls");
  const [match, replacement] = [pick("docker-proxy-host-match"), pick("docker-proxy-host-replace")];
  const label = pick("docker-proxy-host-label");
  const config = {
    listen: listenersOf(given, { engine, runDir }),
    tls: files && filesOf(files, cwd),
    all: PARSERS.proxyAttach(pick("docker-proxy-attach")!) === "all",
    showMesh: PARSERS.flag(pick("docker-proxy-inspect")),
    hostName: {
      label: label && settingText(label),
      match: match && patternOf(match),
      replacement: replacement === undefined ? "" : settingText(replacement),
    },
  };
  if (config.tls === undefined && config.listen.some(({ kind }) => kind === "tls")) {
    refuseSetting(
      given,
      "Name files with --docker-proxy-tls CA,CERT,KEY as well: who reaches an engine over TCP can do " +
        "everything on this host, so clients have to show a certificate; or give unix:///PATH",
    );
  }
  return engine === undefined || config.listen.length === 0 ? undefined : config;
}

function listenersOf(
  given: Sourced,
  { engine, runDir }: { readonly engine: string | undefined; readonly runDir: string },
): readonly ProxyListener[] {
  const items = settingList(given);
  if (items.length === 1 && items[0] === "off") return [];
  if (items.length > MOST_LISTENERS) refuseSetting(given, `Give at most ${MOST_LISTENERS}`);
  return items.map((item): ProxyListener => {
    const one = { ...given, value: item };
    const path = item === "auto" ? `${runDir}/${SOCKET}` : PARSERS.socketPath(item);
    if (path !== undefined && path === engine) {
      refuseSetting(one, "Give another path: the engine itself listens there");
    }
    if (path !== undefined) return { kind: "unix", path };
    const endpoint = parseEndpoint(/^tcp:\/\/(.*)$/.exec(item)?.[1] ?? "");
    if (endpoint === undefined || endpoint.port === 0) {
      return refuseSetting(
        one,
        "Give auto, off, unix:///PATH, or tcp://ADDRESS:PORT, several separated by commas",
      );
    }
    return { kind: "tls", endpoint };
  });
}

function filesOf(given: Sourced, cwd: string): NonNullable<ProxyConfig["tls"]> {
  const [ca, cert, key, ...more] = settingList(given).map((file) =>
    PARSERS.path({ ...given, value: file }, cwd)
  );
  if (ca === undefined || cert === undefined || key === undefined || more.length > 0) {
    return refuseSetting(
      given,
      "Give three files with commas between: the CA of clients, this host's certificate, and its key",
    );
  }
  return { ca, cert, key };
}

function patternOf(given: Sourced): RegExp {
  try {
    return new RegExp(settingText(given));
  } catch {
    return refuseSetting(given, "Give a regular expression, for example ^app-(.*)$");
  }
}
