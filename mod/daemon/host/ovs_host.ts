/** What the daemon asks of Open vSwitch besides the data plane. */
import { ERRNO } from "../../core/errno.ts";
import { MeshnetError } from "../../core/errors.ts";
import type { NetlinkSocket } from "../../core/ports.ts";
import {
  decodeDatapath,
  encodeDatapathDelete,
  encodeDatapathGet,
  findOvsFamilies,
} from "../../wire/netlink/ovs.ts";

export { findOvs } from "../../datapath/ovs_kernel_shell.ts";

/** Name of the datapath and of the host's own leg. */
export const DATAPATH = "meshnet";

/** Deletes a datapath with its ports and flows; false when there is none. */
export function removeDatapath(socket: NetlinkSocket, name: string): boolean {
  const families = findOvsFamilies(socket);
  if (families === undefined) return false;
  try {
    const [reply] = socket.request(encodeDatapathGet(families, name));
    const datapath = reply && decodeDatapath(reply);
    if (!datapath?.ok) return false;
    socket.request(encodeDatapathDelete(families, datapath.value.ifindex));
    return true;
  } catch (error) {
    if (error instanceof MeshnetError && error.errno === ERRNO.ENODEV) return false;
    throw error;
  }
}
