/** The bridge of a running daemon, kept as it must be. */
import type { Logger, NetlinkSocket } from "../../core/ports.ts";
import { type BridgeParts, ensureBridge } from "../../datapath/bridge_kernel_shell.ts";

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
