/** Ports of a Linux bridge at whose hooks programs switch frames. */
import { ERRNO } from "../core/errno.ts";
import type { NetlinkSocket } from "../core/ports.ts";
import { deleteFilter, FILTER_PLACE, newFilterHooks, setBpfFilter } from "../wire/netlink/rtnetlink.ts";
import { BridgePorts } from "./bridge_ports_shell.ts";
import { failedWith, findLink } from "./links_shell.ts";

/** Host interfaces as ports: each has its program before its first frame comes. The data plane keeps it there. */
export class EbpfPorts extends BridgePorts {
  /** `program`: a descriptor of this process, and what the filter is called. */
  constructor(
    socket: NetlinkSocket,
    bridge: string,
    readonly program: { readonly fd: number; readonly name: string },
  ) {
    super(socket, bridge);
  }

  /** Makes an interface a port; on failure it is where it was. The program is there first: no frame comes before it. */
  override add(name: string): void {
    const ifindex = findLink(this.socket, name)?.index;
    if (ifindex === undefined) return super.add(name); // says that it is missing
    try {
      this.socket.request(newFilterHooks(ifindex));
    } catch (thrown) {
      if (!failedWith(thrown, ERRNO.EEXIST)) throw thrown;
    }
    this.socket.request(setBpfFilter(ifindex, { ...FILTER_PLACE, ...this.program, hook: "in" }));
    try {
      super.add(name);
    } catch (thrown) {
      this.#takeOff(ifindex);
      throw thrown;
    }
  }

  #takeOff(ifindex: number): void {
    try {
      this.socket.request(deleteFilter(ifindex, { ...FILTER_PLACE, hook: "in" }));
    } catch {
      // The interface has gone, or the kernel refuses this, too: what failed first is told.
    }
  }
}
