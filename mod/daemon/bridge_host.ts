/** The bridge of a running daemon: kept as it must be, and what the host's firewall does to it. */
import type { Sysctl } from "../attach/mod.ts";
import type { Logger, NetlinkSocket } from "../core/ports.ts";
import { type BridgeParts, ensureBridge } from "../datapath/bridge_kernel_shell.ts";

const THROUGH_IPTABLES = "net/bridge/bridge-nf-call-iptables";

/** Undoes what somebody changed about the bridge: without its TAP no other host is reached. Throws what the
 * kernel refuses. */
export function mendBridge(
  bridge: BridgeParts,
  { logger, openRoute }: { readonly logger: Logger; readonly openRoute: () => NetlinkSocket },
): void {
  using socket = openRoute();
  if (ensureBridge(socket, bridge)) {
    logger.warn("the bridge was changed by another program, and is mended", {});
  }
}

/** Says so when frames from one port of a bridge to another pass iptables, which drops them on hosts that forward only
 * for some: those of Docker, for one. */
export function warnOfFirewall(
  bridge: string,
  { logger, sysctl }: { readonly logger: Logger; readonly sysctl: Pick<Sysctl, "read"> },
): void {
  if (sysctl.read(undefined, THROUGH_IPTABLES) !== "1") return;
  logger.warn("this host's firewall sees traffic of containers", {
    key: THROUGH_IPTABLES,
    reason: `traffic that it does not let through is lost: iptables -I FORWARD -i ${bridge} -j ACCEPT`,
  });
}
