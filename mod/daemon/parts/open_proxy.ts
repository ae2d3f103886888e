/** The proxy for clients of the engine: where it listens, and how it puts containers on the mesh. */
import { parseAddressWish } from "../../attach/mod.ts";
import { checkReplaceable, listenAtFile } from "../../control/socket_file.ts";
import { formatEndpoint, parseCidr } from "../../core/addr.ts";
import { messageOf } from "../../core/errors.ts";
import { LineLimit } from "../../core/line_limit.ts";
import { DockerProxy } from "../../docker/proxy/proxy_shell.ts";
import { openFileLimit } from "../checks/limits.ts";
import type { Config } from "../config/config.ts";
import type { ProxyConfig, ProxyListener } from "../config/config_proxy.ts";
import type { Base } from "./open_base.ts";
import type { PluginPart } from "./open_plugin.ts";

/** Where its socket is made, in the folder in which it is to be. */
const FIRST_SOCKET = ".docker/s";
/** Who may open its socket while nobody may open the engine's. */
const MODE = 0o660;
/** Lines in the log about clients that were turned away: so many at once, and one more after so many milliseconds. */
const REFUSALS = { burst: 10, refill: 60_000 } as const;

/** The proxy. Disposing it takes no more clients. */
export interface ProxyPart extends Disposable {
  /** Where it listens, as DOCKER_HOST names it; empty: nowhere. */
  readonly listens: readonly string[];
  /** The engine is there: who may use its socket may use the proxy's. */
  engineFound(): void;
}

/** Opens it, unless it is off. What cannot be opened is logged, and the rest works. */
export async function openProxy(
  { dns, docker: socket, dockerProxy }: Pick<Config, "dns" | "docker" | "dockerProxy">,
  { base: { clock, faults, logger }, plugin: { common } }: {
    readonly base: Base;
    readonly plugin: Pick<PluginPart, "common">;
  },
): Promise<ProxyPart> {
  using undo = new DisposableStack();
  if (socket === undefined || dockerProxy === undefined) {
    return { listens: [], engineFound() {}, [Symbol.dispose]() {} };
  }
  const { all, hostName, showMesh } = dockerProxy;
  const proxy = undo.use(
    new DockerProxy({
      ...{ socket, showMesh, faults, logger, clients: Math.floor(openFileLimit() / 8) },
      creating: common && {
        ...{ common, logger },
        isOurs: (network) => network === common.name || network.startsWith(`${common.name}-`),
        options: {
          ...{ all, hostName, domain: dns?.domain.slice(0, -1) },
          ...{ parse: parseAddressWish, common: parseCidr(common.subnet)! },
        },
      },
    }),
  );
  const paths: string[] = [];
  const listens: string[] = [];
  for (const listener of dockerProxy.listen) {
    const name = nameOf(listener);
    try {
      if (listener.kind === "unix") {
        undo.use(await listenAt(listener.path, proxy));
        paths.push(listener.path);
      } else undo.use(await listenForTls(listener, { clock, faults, logger, proxy, tls: dockerProxy.tls! }));
      listens.push(name);
    } catch (thrown) {
      logger.warn("no proxy for clients of docker", { listen: name, reason: messageOf(thrown) });
    }
  }
  const engineFound = () => {
    for (const path of paths) {
      try {
        admitSame(path, socket);
      } catch (thrown) {
        logger.debug("cannot change who may use the proxy", { path, reason: messageOf(thrown) });
      }
    }
  };
  engineFound();
  const held = undo.move();
  return { listens, engineFound, [Symbol.dispose]: () => held[Symbol.dispose]() };
}

function nameOf(listener: ProxyListener): string {
  return listener.kind === "unix" ? `unix://${listener.path}` : `tcp://${formatEndpoint(listener.endpoint)}`;
}

async function listenAt(path: string, proxy: DockerProxy): Promise<Disposable> {
  await checkReplaceable(path);
  Deno.mkdirSync(path.slice(0, path.lastIndexOf("/")) || "/", { recursive: true });
  const file = listenAtFile(path, { first: FIRST_SOCKET });
  proxy.serve(file.listener);
  return { [Symbol.dispose]: () => file.remove() };
}

async function listenForTls(
  { endpoint }: Extract<ProxyListener, { kind: "tls" }>,
  { clock, faults, logger, proxy, tls }: Pick<Base, "clock" | "faults" | "logger"> & {
    readonly proxy: DockerProxy;
    readonly tls: NonNullable<ProxyConfig["tls"]>;
  },
): Promise<Disposable> {
  const { listenTls } = await import("../../docker/proxy/tls_shell.ts"); // 5 MB, for those alone who want it
  const read = (file: string) => Deno.readTextFileSync(file);
  const lines = new LineLimit(REFUSALS, clock.now());
  return listenTls(endpoint, {
    ...{ ca: read(tls.ca), cert: read(tls.cert), key: read(tls.key) },
    ...{ clients: proxy.most, faults },
    welcome: (client) => proxy.welcome(client),
    refused(reason) {
      const leftOut = lines.pass(clock.now());
      if (leftOut !== undefined) logger.info("client of docker turned away", { reason, leftOut });
    },
  });
}

/** Lets those use the proxy who may use the engine. */
function admitSame(path: string, engine: string): void {
  let found: Deno.FileInfo;
  try {
    found = Deno.statSync(engine);
  } catch {
    return; // no engine yet
  }
  Deno.chownSync(path, found.uid, found.gid);
  Deno.chmodSync(path, (found.mode ?? MODE) & 0o777);
}
