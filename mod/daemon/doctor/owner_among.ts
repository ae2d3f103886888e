/** Whose address it is. */
import { cidrContains, type Ip, ipv4Number, isIpv4 } from "../../core/addr.ts";
import type { PeerName } from "../../core/names.ts";
import type { AllocatorStatus } from "../../ipam/status.ts";

/** The host that owns an address, if it is of the range. */
export function ownerAmong(
  { entries, range, rangeSize }: Pick<AllocatorStatus, "entries" | "range" | "rangeSize">,
  ip: Ip,
): PeerName | undefined {
  if (!isIpv4(ip) || !cidrContains(range, ip)) return undefined;
  const distance = (from: Ip) => (ipv4Number(ip) - ipv4Number(from) + rangeSize) % rangeSize;
  return entries.find(({ size, token }) => distance(token) < size)?.peer;
}
