/** Whether this host reaches something else at an address that is given to a container by hand. */
import { staysOnLink } from "../../attach/conflict.ts";
import { type Cidr, formatCidr, isIpv4, networkOf, overlap } from "../../core/addr.ts";
import { MeshnetError } from "../../core/errors.ts";
import { DEFAULT_PREFIX, type HostRoute } from "../checks/routes.ts";

/** Throws "attach/in-use" for the first address whose network a route of this host overlaps. A wider route through a router
 * is no fault: what is attached is only nearer. */
export function refuseRouted(
  given: readonly Cidr[],
  target: string,
  routes: () => readonly HostRoute[],
): void {
  if (given.length === 0) return;
  const all = routes().filter(({ destination }) =>
    destination.prefix > DEFAULT_PREFIX && !staysOnLink(destination)
  );
  for (const cidr of given) {
    const network = networkOf(cidr);
    const clash = all.find(({ destination, viaGateway }) =>
      isIpv4(destination.ip) === isIpv4(cidr.ip) && overlap(network, destination) &&
      !(viaGateway && destination.prefix < cidr.prefix)
    );
    if (clash === undefined) continue;
    throw new MeshnetError(
      "attach/in-use",
      `Cannot attach ${formatCidr(cidr)} to ${target}: this host has a route to ${
        formatCidr(clash.destination)
      } by ${clash.interface}`,
      { hint: "Choose an address of another network, or attach it all the same with --force" },
    );
  }
}
