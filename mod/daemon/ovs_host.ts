/** What the daemon asks of Open vSwitch besides the data plane. */
import { ERRNO } from "../core/errno.ts";
import { MeshnetError } from "../core/errors.ts";
import type { NetlinkSocket } from "../core/ports.ts";
import {
  decodeDatapath,
  encodeDatapathDelete,
  encodeDatapathGet,
  findOvsFamilies,
  type OvsFamilies,
} from "../wire/ovs.ts";

/** Finds Open vSwitch in this kernel, which may load it now; `probeInterface` asks for an interface by name, which makes
 * the kernel look for a module of that name. Throws `datapath/module-missing`. */
export function findOvs(socket: NetlinkSocket, probeInterface: (name: string) => unknown): OvsFamilies {
  const found = findOvsFamilies(socket);
  if (found !== undefined) return found;
  probeInterface("openvswitch");
  const loaded = findOvsFamilies(socket);
  if (loaded !== undefined) return loaded;
  throw new MeshnetError(
    "datapath/module-missing",
    "This kernel has no Open vSwitch: module openvswitch is not loaded",
    {
      hint:
        "Load it with `modprobe openvswitch`; where there is no such module, install the package that has it " +
        "(Ubuntu cloud images: linux-modules-extra-$(uname -r)) or run a distribution's own kernel",
    },
  );
}

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
