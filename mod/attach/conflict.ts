/** Whether new addresses get in the way of what a container already has. */
import { type Cidr, cidrContains, formatCidr, isIpv4, networkOf, overlap, parseCidr } from "../core/addr.ts";
import { MeshnetError } from "../core/errors.ts";

/** What a namespace has on interfaces other than ours. */
export interface OtherNetworks {
  readonly addresses: readonly { readonly name: string; readonly cidr: Cidr }[];
  /** Routes of the main table. */
  readonly routes: readonly {
    readonly name: string;
    readonly destination: Cidr;
    readonly viaGateway: boolean;
  }[];
}

const LINK_LOCAL: readonly Cidr[] = ["fe80::/10", "169.254.0.0/16", "224.0.0.0/4", "ff00::/8"].map((c) =>
  parseCidr(c)!
);

/** Whether a route concerns the neighbourhood of its own interface only. */
export function staysOnLink(destination: Cidr): boolean {
  return LINK_LOCAL.some((range) => cidrContains(range, destination.ip));
}

/**
 * `action` of an address completes "Cannot". Throws "attach/bad-address" when the namespace has an address of `wanted` already, or when the network of one and
 * another network would fight for the same packets. Returns warnings: sentences without full stop.
 */
export function checkConflicts(
  action: (text: string) => string,
  wanted: readonly Cidr[],
  others: OtherNetworks,
): readonly string[] {
  const warnings: string[] = [];
  for (const cidr of wanted) {
    const text = formatCidr(cidr);
    const taken = others.addresses.find((other) => other.cidr.ip === cidr.ip);
    if (taken !== undefined) {
      throw new MeshnetError(
        "attach/bad-address",
        `Cannot ${action(text)}: interface ${taken.name} has the address ${formatCidr(taken.cidr)}`,
        { hint: "Choose an address that is free there" },
      );
    }
    const network = networkOf(cidr);
    for (const { name, destination, viaGateway } of others.routes) {
      if (destination.prefix === 0 || staysOnLink(destination)) continue; // a default route may lead anywhere
      if (isIpv4(destination.ip) !== isIpv4(cidr.ip) || !overlap(network, destination)) continue;
      const route = formatCidr(destination);
      if (viaGateway && destination.prefix < cidr.prefix) {
        warnings.push(
          `Addresses of ${
            formatCidr(network)
          } are reached through the mesh, no longer by ${route} on ${name}`,
        );
        continue;
      }
      throw new MeshnetError(
        "attach/bad-address",
        `Cannot ${action(text)}: its network overlaps ${route} on interface ${name} there`,
        { hint: `Choose an address outside ${route}, or take that network away there first` },
      );
    }
  }
  return [...new Set(warnings)];
}
