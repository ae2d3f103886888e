/** Docker's network plugin: the socket at which Docker asks for networks, addresses and interfaces. */
import { interfaceRuns } from "../../../ffi/process.ts";
import type { Problem } from "../../control/api_types.ts";
import { checkReplaceable } from "../../control/socket_file.ts";
import { HttpServer } from "../../control/http_server.ts";
import { serveAtFile } from "../../control/served_socket.ts";
import { CONTAINER_INTERFACE, CONTAINER_INTERFACE_WEAVE, ContainerLookups, macOf } from "../../attach/mod.ts";
import { formatCidr } from "../../core/addr.ts";
import { MeshnetError, messageOf } from "../../core/errors.ts";
import { NAME_SERVER_IP } from "../../core/name_leg.ts";
import type { WantedNetwork } from "../../docker/engine_api.ts";
import { driverOf } from "../../docker/plugin_calls.ts";
import { pluginEndpoints } from "../../docker/plugin_shell.ts";
import type { PeerName } from "../../core/names.ts";
import type { Ipam } from "../addresses/addresses.ts";
import type { Config } from "../config/config.ts";
import { Timers } from "../../sys/clock.ts";
import { ProcNamespaces } from "../../sys/namespaces.ts";
import { EngineAddresses } from "../engine/engine_addresses.ts";
import { EnginePlaces } from "../engine/engine_places.ts";
import { InsideNames } from "../engine/inside_names.ts";
import { MemberKeeper } from "../engine/member_keeper.ts";
import { redirectNames } from "../host/name_redirect.ts";
import type { Names } from "../names/names.ts";
import type { AttachmentsPart } from "./open_attachments.ts";
import type { Base } from "./open_base.ts";
import type { Host } from "./open_host.ts";
import type { NameLegPart } from "./open_name_leg.ts";
import type { State } from "./open_state.ts";

/** The network that Docker has without anybody making it. */
const NETWORK = "mesh";
const MULTICAST = "224.0.0.0/4";
const CLOSED: PluginPart = {
  ...{ driver: undefined, network: undefined, common: undefined, given: undefined, members: undefined },
  places: undefined,
  lookupProblem: () => undefined,
  [Symbol.dispose]() {},
};

/** The plugin. Disposing it refuses Docker; interfaces and addresses stay. */
export interface PluginPart extends Disposable {
  /** What its networks name as their driver; undefined: there is no plugin. */
  readonly driver: string | undefined;
  /** What Docker is to make; undefined: nothing. */
  readonly network: WantedNetwork | undefined;
  /** The network that the proxy puts containers on, made when it is needed; undefined: there is no plugin. */
  readonly common: WantedNetwork | undefined;
  /** What Docker was given; undefined: nothing. */
  readonly given: EngineAddresses | undefined;
  /** Who is in its networks. */
  readonly members: MemberKeeper | undefined;
  /** The same as the engine has it. */
  readonly places: EnginePlaces | undefined;
  /** Why containers in its networks find no names, with what to do. */
  readonly lookupProblem: () => Problem | undefined;
}

/** Opens the socket, unless that is off, or something else is there: then the log says so and the rest works. */
export async function openPlugin(
  { compat, docker, dockerNetwork, dockerPlugin: path, multicastRoute }: Pick<
    Config,
    "compat" | "docker" | "dockerNetwork" | "dockerPlugin" | "multicastRoute"
  >,
  { attached, base, host, ipam, mtu, names, nameLeg, state }: {
    readonly attached: AttachmentsPart;
    readonly base: Base;
    readonly host: Pick<Host, "openRoute">;
    readonly ipam: Ipam | undefined;
    /** MTU of containers. */
    readonly mtu: number;
    readonly names: Names | undefined;
    readonly nameLeg: Pick<NameLegPart, "listen">;
    readonly state: State;
  },
): Promise<PluginPart> {
  const { endpoints, mender, onEndpoints } = attached;
  const { clock, faults, logger, random } = base;
  endpoints.keep();
  if (docker === undefined || path === undefined) return CLOSED;
  using undo = new DisposableStack();
  const timers = undo.use(new Timers(faults));
  const addresses = ipam && new EngineAddresses({ ipam, clock, random });
  const namespaces = new ProcNamespaces();
  const hasServer = names !== undefined && nameLeg.listen !== undefined;
  const inside = !hasServer ? undefined : new InsideNames({
    ...{ service: names.service, redirect: redirectNames, log: logger },
    later: (ms, work) => timers.later("names inside a container", ms, work),
  });
  const lookups = undo.use(
    new ContainerLookups({
      host: undo.use(host.openRoute()),
      openRoute: host.openRoute,
      mtu,
      multicastRoute,
      probe: namespaces,
      passesFrames: interfaceRuns,
      redirect: (namespace) => inside!.answer(namespace),
      nameServer: hasServer,
      later: (ms, work) => timers.later("look-ups of a container", ms, work),
      log: logger,
    }),
  );
  const places = new EnginePlaces({
    ...{ addresses, faults, logger },
    lookAtPairs: () => endpoints.look(),
    mend: (lost) => mender.mend(lost),
    later: (ms, work) => timers.later("places in an engine", ms, work),
  });
  const members = new MemberKeeper({
    ...{ store: state.store, logger, names, endpoints, lookups, places },
    holds: (ip) => addresses?.holds(ip) === true,
    shares: (namespace, isShared) => inside?.shares(namespace, isShared),
    release: async (ip) => await addresses?.release(ip),
    isThere: (namespace) => namespaces.identify(namespace)?.device === namespaces.own().device,
    later: (what, work) => faults.later(what, work),
    after: (ms, work) => timers.later("whose endpoints are", ms, work),
  });
  onEndpoints.call = (only) => members.look(only);
  undo.defer(() => onEndpoints.call = () => {});
  const calls = pluginCalls({
    ...{ addresses, endpoints, members, places, service: hasServer ? names.service : undefined },
    ...{ compat, ipam, logger, multicastRoute, self: state.identity.name },
  });
  // Docker sends a call again without its body when its connection was closed meanwhile.
  const server = new HttpServer(pluginEndpoints(calls), { logger, limits: { idleStay: true } });
  try {
    await checkReplaceable(path);
    Deno.mkdirSync(path.slice(0, path.lastIndexOf("/")), { recursive: true });
    const { stopListening } = serveAtFile(server, path, { logger, what: "plugin" });
    undo.defer(stopListening);
    const driver = driverOf(path);
    const common = ipam && { name: NETWORK, driver, subnet: formatCidr(ipam.subnet) };
    const network = dockerNetwork ? common : undefined;
    const held = undo.move();
    return {
      ...{ driver, network, common, given: addresses, members, places },
      lookupProblem: () => hasServer ? lookupProblem(lookups.problem ?? inside?.problem) : undefined,
      [Symbol.dispose]: () => held[Symbol.dispose](),
    };
  } catch (thrown) {
    logger.warn("no plugin for docker", { path, reason: messageOf(thrown) });
    return CLOSED;
  }
}

/** What each call of Docker brings about. */
function pluginCalls(
  { addresses, compat, endpoints, ipam, logger, members, multicastRoute, places, self, service }:
    & {
      /** undefined: this host gives out no addresses. */
      readonly addresses: EngineAddresses | undefined;
      readonly endpoints: AttachmentsPart["endpoints"];
      readonly ipam: Ipam | undefined;
      readonly members: MemberKeeper;
      readonly places: EnginePlaces;
      readonly self: PeerName;
      /** The name server; undefined: containers do not find it. */
      readonly service: Names["service"] | undefined;
    }
    & Pick<Config, "compat" | "multicastRoute">
    & Pick<Base, "logger">,
): Parameters<typeof pluginEndpoints>[0] {
  const off = () => Promise.reject(new Error("this host gives out no addresses"));
  return {
    network: ipam && { range: ipam.range, subnet: ipam.subnet },
    async allocate(subnet, gone) {
      if (addresses === undefined) return await off();
      await places.ready();
      const waited = await members.addressFor(subnet);
      if (waited !== undefined) return { ip: waited, prefix: subnet.prefix };
      try {
        return await addresses.allocate(subnet, gone);
      } catch (thrown) {
        const isFull = thrown instanceof MeshnetError && thrown.code === "ipam/exhausted";
        if (!isFull || !await members.giveUp(subnet)) throw thrown;
        return await addresses.allocate(subnet, gone);
      }
    },
    async claim(cidr, gone) {
      if (addresses === undefined) return await off();
      await places.ready();
      if (!members.take(cidr.ip) || !addresses.holds(cidr.ip)) await addresses.claim(cidr, gone);
    },
    async release(ip) {
      // An engine that was cut off may have given an address to two.
      if (!members.keeps(ip) && !places.isUsed(ip)) await addresses?.release(ip);
    },
    macFor: (ip) => macOf(`${self} ${ip}`),
    plug: (endpoint, sandbox) => {
      const interfaceName = endpoints.make(endpoint);
      return { interfaceName, isFirst: members.joins(endpoint, sandbox) };
    },
    async answerNames() {
      service?.expectClient();
      await service?.settled();
    },
    leave(endpoint) {
      places.left(endpoint);
      members.leaves(endpoint);
    },
    unplug(endpoint) {
      places.left(endpoint);
      members.leaves(endpoint);
      endpoints.removeSoon(endpoint);
    },
    routes: [...multicastRoute ? [MULTICAST] : [], ...service === undefined ? [] : [`${NAME_SERVER_IP}/32`]],
    interfacePrefix: compat === "weave" ? CONTAINER_INTERFACE_WEAVE : CONTAINER_INTERFACE,
    logger,
  };
}

function lookupProblem(reason: string | undefined): Problem | undefined {
  if (reason === undefined) return undefined;
  return {
    message: `Containers of Docker's networks find no names of the mesh: ${reason}`,
    hint: `Name the server when you start containers: docker run --dns ${NAME_SERVER_IP}`,
  };
}
