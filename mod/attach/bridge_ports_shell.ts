/** Ports of a Linux bridge. */
import { MeshnetError } from "../core/errors.ts";
import type { NetlinkSocket } from "../core/ports.ts";
import { setLink } from "../wire/netlink/rtnetlink.ts";
import type { SwitchPorts } from "./adapters.ts";
import { findLink } from "./links_shell.ts";

/** Host interfaces as ports of one bridge. A bridge does not send frames back to where they came from: as it should be. */
export class BridgePorts implements SwitchPorts {
  /** `socket` is an rtnetlink socket of the daemon's namespace; `bridge` the name of the bridge. */
  constructor(readonly socket: NetlinkSocket, readonly bridge: string) {}

  /** Whether an interface is a port of this bridge. */
  has(name: string): boolean {
    const master = findLink(this.socket, name)?.master;
    return master !== undefined && master === findLink(this.socket, this.bridge)?.index;
  }

  /** Makes an interface a port of this bridge. */
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
    if (link.master !== bridge.index) this.socket.request(setLink(link.index, { master: bridge.index }));
  }

  /** Takes an interface out of this bridge. */
  remove(name: string): void {
    const link = findLink(this.socket, name);
    if (link !== undefined && this.has(name)) this.socket.request(setLink(link.index, { master: 0 }));
  }
}
