/** A network plugin of Docker: networks that reach over all hosts, with addresses of the mesh. */
import { type Cidr, formatCidr, type Ip, type Mac } from "../core/addr.ts";
import type { Decoded } from "../core/brand.ts";
import { MeshnetError, messageOf } from "../core/errors.ts";
import type { Logger } from "../core/ports.ts";
import type { Endpoints } from "../control/http_answer.ts";
import { fieldsOf } from "./engine_api.ts";
import {
  checkNetwork,
  endpointAnswer,
  joinAnswer,
  type PoolNetwork,
  Pools,
  readAddressRelease,
  readAddressRequest,
  readEndpoint,
  readEndpointId,
  readSandbox,
  SPACES,
} from "./plugin_calls.ts";

/** Docker repeats a call whose answer did not come, and has no body left to send. */
const REPEATED = "meshnet was started anew in the middle of this: try again";

/** What the plugin has done. */
export interface PluginParts {
  /** Where addresses come from; undefined: none are given out. */
  readonly network: PoolNetwork | undefined;
  /** Allocates an address of a subnet. */
  readonly allocate: (subnet: Cidr, gone: () => AbortSignal) => Promise<Cidr>;
  /** Takes this address. */
  readonly claim: (cidr: Cidr, gone: () => AbortSignal) => Promise<void>;
  /** Gives an address back; fine when nobody has it. */
  readonly release: (ip: Ip) => Promise<void>;
  /** The MAC address of whoever has this address on this host. Always the same: others know it for up to a minute after its
   * container was started anew, and nobody tells them of another one. */
  readonly macFor: (ip: Ip) => Mac;
  /** Makes the interface of an endpoint, whose container will have its namespace at a path, and gives its name on the host.
   * Says whether it is the first one there. */
  readonly plug: (
    endpoint: string,
    sandbox: string,
  ) => { readonly interfaceName: string; readonly isFirst: boolean };
  /** An endpoint is about to be taken out of its container. */
  readonly leave: (endpoint: string) => void;
  /** Removes it; fine when it has gone. */
  readonly unplug: (endpoint: string) => void;
  /** Where the interface in a container leads besides the network's own addresses. */
  readonly routes: readonly string[];
  /** What the interface is called in containers; Docker puts a number behind it. */
  readonly interfacePrefix: string;
  /** Sees to it that names are answered, and resolves when they are. The first thing that a container does may be to ask. */
  readonly answerNames: () => Promise<void>;
  readonly logger: Logger;
}

/** What Docker asks, by path. What cannot be done is answered with a sentence: Docker shows it to whoever asked. */
export function pluginEndpoints(parts: PluginParts): Endpoints {
  const { logger } = parts;
  const pools = new Pools();
  const calls: Record<string, (body: unknown, gone: () => AbortSignal) => unknown> = {
    "/Plugin.Activate": () => ({ Implements: ["NetworkDriver", "IpamDriver"] }),
    "/NetworkDriver.GetCapabilities": () => ({ Scope: "local", ConnectivityScope: "global" }),
    "/IpamDriver.GetCapabilities": () => ({ RequiresMACAddress: false, RequiresRequestReplay: false }),
    "/IpamDriver.GetDefaultAddressSpaces": () => ({
      LocalDefaultAddressSpace: SPACES.local,
      GlobalDefaultAddressSpace: SPACES.global,
    }),
    "/IpamDriver.RequestPool": (body) => valueOf(pools.request(body, parts.network)),
    "/IpamDriver.ReleasePool": () => ({}),
    "/IpamDriver.RequestAddress": async (body, gone) => {
      pools.otherCall();
      const wish = valueOf(readAddressRequest(body));
      if (wish.kind === "any") {
        const { ip } = await parts.allocate(wish.from, gone);
        return { Address: formatCidr({ ip, prefix: wish.prefix }), Data: {} };
      }
      await parts.claim(wish.cidr, gone);
      return { Address: formatCidr(wish.cidr), Data: {} };
    },
    "/IpamDriver.ReleaseAddress": async (body) => {
      const ip = readAddressRelease(body);
      if (ip !== undefined) await parts.release(ip);
      return {};
    },
    "/NetworkDriver.CreateNetwork": (body) => {
      pools.otherCall();
      valueOf(checkNetwork(body));
      return {};
    },
    "/NetworkDriver.DeleteNetwork": () => ({}),
    "/NetworkDriver.CreateEndpoint": (body) => {
      const { ip, mac } = valueOf(readEndpoint(body));
      void parts.answerNames(); // begins now; Join waits for it
      return endpointAnswer(mac === undefined ? parts.macFor(ip) : undefined);
    },
    "/NetworkDriver.EndpointOperInfo": () => ({ Value: {} }),
    "/NetworkDriver.Join": async (body) => {
      const plugged = parts.plug(valueOf(readEndpointId(body)), readSandbox(body));
      await parts.answerNames();
      return joinAnswer({ ...plugged, prefix: parts.interfacePrefix, routes: parts.routes });
    },
    // Docker still takes the interface out of the container after this.
    "/NetworkDriver.Leave": (body) => {
      parts.leave(valueOf(readEndpointId(body)));
      return {};
    },
    "/NetworkDriver.DeleteEndpoint": (body) => {
      parts.unplug(valueOf(readEndpointId(body)));
      return {};
    },
    "/NetworkDriver.ProgramExternalConnectivity": () => ({}),
    "/NetworkDriver.RevokeExternalConnectivity": () => ({}),
    "/NetworkDriver.DiscoverNew": () => ({}),
    "/NetworkDriver.DiscoverDelete": () => ({}),
  };
  return Object.fromEntries(
    Object.entries(calls).map(([path, call]) => [path, {
      method: "POST" as const,
      async handle(body: unknown, gone: () => AbortSignal): Promise<unknown> {
        try {
          return await call(body, gone);
        } catch (thrown) {
          const hint = thrown instanceof MeshnetError && thrown.hint !== undefined ? ` (${thrown.hint})` : "";
          const reason = Object.keys(fieldsOf(body)).length === 0 ? REPEATED : messageOf(thrown) + hint;
          logger.warn("docker asked for what cannot be done", { call: path.slice(1), reason });
          // The two halves of the protocol read it under different names.
          return { Err: reason, Error: reason };
        }
      },
    }]),
  );
}

function valueOf<T>(decoded: Decoded<T>): T {
  if (decoded.ok) return decoded.value;
  throw new MeshnetError("usage/bad-option", decoded.reason);
}
