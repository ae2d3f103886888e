/** What a target has on the network, whether that is remembered or not. */
import type { Ip } from "../core/addr.ts";
import { messageOf } from "../core/errors.ts";
import type { NetlinkSocket } from "../core/ports.ts";
import { decodeAddress, dumpAddresses } from "../wire/netlink/rtnetlink.ts";
import type { Attachments } from "./attachments_shell.ts";
import { TargetKernel } from "./kernel_shell.ts";
import { listLinks, sure } from "./links_shell.ts";
import { parseAttachTarget, resolveTarget } from "./target.ts";

/** Addresses that the network's interface in a target has now; none where that cannot be seen. */
export function presentAddresses(
  { adapters, options }: Pick<Attachments, "adapters" | "options">,
  target: string,
): readonly Ip[] {
  try {
    using host = adapters.openRoute(undefined);
    const { path } = resolveTarget(parseAttachTarget(target), adapters.probe);
    using kernel = new TargetKernel(adapters, host, path);
    const pair = kernel.findPair(options.interface, `look at ${target}`);
    return pair?.addresses.map(({ ip }) => ip) ?? [];
  } catch (thrown) {
    adapters.log.debug("target-not-seen", { target, reason: messageOf(thrown) });
    return [];
  }
}

/** The interface of a socket's namespace that has an address; undefined: none has it. */
export function interfaceWith(socket: NetlinkSocket, ip: Ip): string | undefined {
  const found = socket.request(dumpAddresses()).map((reply) => sure(decodeAddress(reply)))
    .find(({ cidr }) => cidr.ip === ip);
  if (found === undefined) return undefined;
  return listLinks(socket).find(({ index }) => index === found.index)?.name ?? `number ${found.index}`;
}
