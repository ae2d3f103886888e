/** Ports of a Linux bridge. */
import { MeshnetError } from "../core/errors.ts";
import type { NetlinkSocket } from "../core/ports.ts";
import { type Link, setBridgePort, setLink } from "../wire/netlink/rtnetlink.ts";
import type { SwitchPorts } from "./adapters.ts";
import { findLink } from "./links_shell.ts";

/** Host interfaces as ports of one bridge. A bridge does not send frames back to where they came from: as it should be. */
export class BridgePorts implements SwitchPorts {
  /** `socket` is an rtnetlink socket of the daemon's namespace; `bridge` the name of the bridge. */
  constructor(readonly socket: NetlinkSocket, readonly bridge: string) {}

  /** Whether an interface is a port of this bridge, through which nothing reaches this host. */
  has(name: string): boolean {
    const link = findLink(this.socket, name);
    return link !== undefined && this.#isPort(link) && link.passesReserved !== false;
  }

  #isPort({ master }: Link): boolean {
    return master !== undefined && master === findLink(this.socket, this.bridge)?.index;
  }

  /** Makes an interface a port of this bridge; on failure it is where it was. */
  add(name: string): void {
    const bridge = findLink(this.socket, this.bridge);
    const link = findLink(this.socket, name);
    if (bridge === undefined || link === undefined) {
      const missing = bridge === undefined ? this.bridge : name;
      throw new MeshnetError(
        "netlink/request-failed",
        `Cannot add ${name} to the bridge: there is no ${missing}`,
      );
    }
    const wasPort = link.master === bridge.index;
    if (!wasPort) this.socket.request(setLink(link.index, { master: bridge.index }));
    if (wasPort && link.passesReserved !== false) return;
    try {
      this.socket.request(setBridgePort(link.index, { passReserved: true }));
    } catch (thrown) {
      if (!wasPort) this.socket.request(setLink(link.index, { master: link.master ?? 0 }));
      throw thrown;
    }
  }

  /** Takes an interface out of this bridge. */
  remove(name: string): void {
    const link = findLink(this.socket, name);
    if (link !== undefined && this.#isPort(link)) this.socket.request(setLink(link.index, { master: 0 }));
  }
}
