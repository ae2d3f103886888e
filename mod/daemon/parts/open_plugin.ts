/** Docker's network plugin: the socket at which Docker asks for networks, addresses and interfaces. */
import { checkReplaceable, listenAtFile } from "../../control/socket_file.ts";
import { HttpServer } from "../../control/http_server.ts";
import { CONTAINER_INTERFACE, CONTAINER_INTERFACE_WEAVE, macOf } from "../../attach/mod.ts";
import { formatCidr } from "../../core/addr.ts";
import { messageOf } from "../../core/errors.ts";
import type { WantedNetwork } from "../../docker/engine_api.ts";
import { pluginEndpoints } from "../../docker/plugin_shell.ts";
import type { Ipam } from "../addresses/addresses.ts";
import type { Config } from "../config/config.ts";
import { EngineAddresses } from "../engine/engine_addresses.ts";
import type { AttachmentsPart } from "./open_attachments.ts";
import type { Base } from "./open_base.ts";
import type { State } from "./open_state.ts";

/** The network that Docker has without anybody making it. */
const NETWORK = "mesh";
const CLOSED: PluginPart = { network: undefined, given: undefined, [Symbol.dispose]() {} };

/** The plugin. Disposing it refuses Docker; interfaces and addresses stay. */
export interface PluginPart extends Disposable {
  /** What Docker is to make; undefined: nothing. */
  readonly network: WantedNetwork | undefined;
  /** What Docker was given; undefined: nothing. */
  readonly given: EngineAddresses | undefined;
}

/** Opens the socket, unless that is off, or something else is there: then the log says so and the rest works. */
export async function openPlugin(
  { compat, docker, dockerNetwork, dockerPlugin: path }: Pick<
    Config,
    "compat" | "docker" | "dockerNetwork" | "dockerPlugin"
  >,
  { attached: { endpoints }, base: { clock, logger, random }, ipam, state }: {
    readonly attached: AttachmentsPart;
    readonly base: Base;
    readonly ipam: Ipam | undefined;
    readonly state: State;
  },
): Promise<PluginPart> {
  endpoints.keep();
  if (docker === undefined || path === undefined) return CLOSED;
  const addresses = ipam && new EngineAddresses({ ipam, clock, random });
  const off = () => Promise.reject(new Error("this host gives out no addresses"));
  const server = new HttpServer(
    pluginEndpoints({
      network: ipam && { range: ipam.range, subnet: ipam.subnet },
      allocate: (subnet, gone) => addresses?.allocate(subnet, gone) ?? off(),
      claim: (cidr, gone) => addresses?.claim(cidr, gone) ?? off(),
      release: async (ip) => await addresses?.release(ip),
      macFor: (ip) => macOf(`${state.identity.name} ${ip}`),
      plug: (endpoint) => endpoints.make(endpoint),
      unplug: (endpoint) => endpoints.remove(endpoint),
      interfacePrefix: compat === "weave" ? CONTAINER_INTERFACE_WEAVE : CONTAINER_INTERFACE,
      logger,
    }),
    { logger },
  );
  try {
    await checkReplaceable(path);
    Deno.mkdirSync(path.slice(0, path.lastIndexOf("/")), { recursive: true });
    const file = listenAtFile(path);
    server.serve(file.listener);
    const close = () => {
      file.remove();
      server.stopListening();
    };
    const driver = path.slice(path.lastIndexOf("/") + 1).replace(/\.sock$/, "");
    const network = ipam === undefined || !dockerNetwork ? undefined : {
      name: NETWORK,
      ...{ driver, subnet: formatCidr(ipam.subnet) },
    };
    return { network, given: addresses, [Symbol.dispose]: close };
  } catch (thrown) {
    logger.warn("no plugin for docker", { path, reason: messageOf(thrown) });
    return CLOSED;
  }
}
