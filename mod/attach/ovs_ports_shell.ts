/** Ports of the kernel's Open vSwitch datapath (spec dataplane.md 2.2 and 3). */
import { ERRNO } from "../core/errno.ts";
import { MeshnetError } from "../core/errors.ts";
import type { NetlinkSocket } from "../core/ports.ts";
import {
  decodeVport,
  encodeVportDelete,
  encodeVportGet,
  encodeVportNew,
  type OvsFamilies,
} from "../wire/netlink/ovs.ts";
import type { Vport } from "../wire/netlink/ovs_keys.ts";
import type { SwitchPorts } from "./adapters.ts";

/** Whether a request failed because what it names is not there. */
function isMissing(thrown: unknown): boolean {
  return thrown instanceof MeshnetError && (thrown.errno === ERRNO.ENODEV || thrown.errno === ERRNO.ENOENT);
}

/**
 * Host interfaces as netdev ports of one datapath. New ports are made without a receiver of misses of their own
 * (pid 0): the datapath dispatches misses by CPU, and the data plane hears of every new port and adds itself.
 */
export class OvsPorts implements SwitchPorts {
  /** `socket` is a Generic Netlink socket; `datapath` the index of the datapath's own interface. */
  constructor(
    readonly socket: NetlinkSocket,
    readonly families: OvsFamilies,
    readonly datapath: number,
  ) {}

  #find(name: string): Vport | undefined {
    try {
      const [reply] = this.socket.request(encodeVportGet(this.families, this.datapath, { name }));
      const decoded = reply === undefined ? undefined : decodeVport(reply);
      if (decoded?.ok === false) {
        throw new MeshnetError("netlink/request-failed", `Cannot understand port ${name}: ${decoded.reason}`);
      }
      // A lookup by name finds ports of every datapath of this namespace.
      return decoded?.value.datapath === this.datapath ? decoded.value.vport : undefined;
    } catch (thrown) {
      if (isMissing(thrown)) return undefined;
      throw thrown;
    }
  }

  /** Whether an interface is a port of this datapath. */
  has(name: string): boolean {
    return this.#find(name) !== undefined;
  }

  /** Makes an interface a port of this datapath. */
  add(name: string): void {
    try {
      this.socket.request(
        encodeVportNew(this.families, this.datapath, { name, kind: "netdev", upcallPid: 0 }),
      );
    } catch (thrown) {
      const taken = thrown instanceof MeshnetError &&
        (thrown.errno === ERRNO.EEXIST || thrown.errno === ERRNO.EBUSY);
      if (taken && this.has(name)) return;
      throw thrown;
    }
  }

  /** Takes an interface out of this datapath. */
  remove(name: string): void {
    const found = this.#find(name);
    if (found === undefined) return;
    try {
      this.socket.request(encodeVportDelete(this.families, this.datapath, found.port));
    } catch (thrown) {
      if (!isMissing(thrown)) throw thrown; // gone with its interface meanwhile
    }
  }
}
