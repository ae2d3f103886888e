/** This host's kernel: checked before anything changes, the datapath chosen, the network namespace held. */
import type { NetlinkSocket } from "../../core/ports.ts";
import { checksAt, refuseFaults } from "../checks.ts";
import { hostChecks } from "../checks/host_checks.ts";
import type { DatapathChoice } from "../host/choose_datapath.ts";
import { claimNamespace } from "../host/claim_namespace.ts";
import type { Config } from "../config/config.ts";
import { openNetlinkIn } from "../host/netlink.ts";
import { DATAPATH } from "../host/ovs_host.ts";
import type { Base } from "./open_base.ts";

/** The host, as found. Disposing it lets go of the namespace. */
export interface Host extends Disposable {
  /** Which datapath and overlays, and why not the better ones. */
  readonly choice: DatapathChoice;
  /** Opens a socket of rtnetlink in this namespace, or in another one by its path. The caller owns it. */
  openRoute(netns?: string): NetlinkSocket;
}

/** Checks and chooses; changes nothing. Throws the MeshnetError of the first check that fails. */
export async function openHost(config: Config, { logger }: Pick<Base, "logger">): Promise<Host> {
  using undo = new DisposableStack();
  let choice: DatapathChoice | undefined;
  await refuseFaults(checksAt("start", hostChecks(config, { chosen: (one) => choice = one })));
  const { squatter } = undo.use(claimNamespace(DATAPATH));
  if (squatter !== undefined) {
    logger.warn("a program of another user poses as a router", {
      pid: squatter.pid,
      uid: squatter.uid ?? undefined,
    });
  }
  const held = undo.move();
  return { choice: choice!, openRoute, [Symbol.dispose]: () => held[Symbol.dispose]() };
}

function openRoute(netns?: string): NetlinkSocket {
  return openNetlinkIn(netns === undefined ? { protocol: "route" } : { protocol: "route", netns });
}
