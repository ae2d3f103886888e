/** A network driver of Docker that does nothing but answer: what Docker itself takes for a network that is not its own
 * bridge. Its interfaces were made before, and lead nowhere. */
import { ip } from "../lab/common/process.ts";
import type { Host } from "../lab/common/world.ts";

/** What networks call it. */
export const IDLE_DRIVER = "idle";
const SUBNET = "10.254.0";
/** Host parts of addresses: one for each container. */
const FIRST = 2;

/** Serves so many containers, one after the other, of an engine on a host. */
export class IdleDriver implements AsyncDisposable {
  readonly #server: Deno.HttpServer<Deno.UnixAddr>;
  #next = FIRST;
  #joined = 0;

  private constructor(folder: string) {
    Deno.mkdirSync(folder, { recursive: true });
    const path = `${folder}/${IDLE_DRIVER}.sock`;
    this.#server = Deno.serve({ path, onListen() {} }, async (request) => {
      await request.text();
      return Response.json(this.#answer(new URL(request.url).pathname));
    });
  }

  /** `folder`: where the engine looks for plugins. */
  static async start(host: Host, { containers, folder }: {
    readonly containers: number;
    readonly folder: string;
  }): Promise<IdleDriver> {
    const pairs = Array.from(
      { length: containers },
      (_, i) => `link add idle${i} type veth peer name idlep${i}`,
    );
    await ip([...pairs, ...pairs.map((_, i) => `link set idlep${i} up`)], host.netns);
    return new IdleDriver(folder);
  }

  #answer(call: string): unknown {
    switch (call) {
      case "/Plugin.Activate":
        return { Implements: ["NetworkDriver", "IpamDriver"] };
      case "/NetworkDriver.GetCapabilities":
        return { Scope: "local", ConnectivityScope: "global" };
      case "/IpamDriver.GetDefaultAddressSpaces":
        return { LocalDefaultAddressSpace: "idle", GlobalDefaultAddressSpace: "idle-global" };
      case "/IpamDriver.RequestPool":
        return {
          ...{ PoolID: "idle", Pool: `${SUBNET}.0/24` },
          Data: { "com.docker.network.gateway": "0.0.0.0/0" },
        };
      case "/IpamDriver.RequestAddress":
        return { Address: `${SUBNET}.${this.#next++}/24`, Data: {} };
      case "/NetworkDriver.CreateEndpoint":
        return { Interface: { MacAddress: "02:00:00:00:fe:01" } };
      case "/NetworkDriver.EndpointOperInfo":
        return { Value: {} };
      case "/NetworkDriver.Join":
        return { InterfaceName: { SrcName: `idle${this.#joined++}`, DstPrefix: "eth" } };
      default:
        return {};
    }
  }

  /** Answers nobody any more. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}
