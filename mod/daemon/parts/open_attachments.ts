/** What hangs on the network here: the switch's own leg, the attached namespaces, and who looks after them. */
import { inNetns } from "../../../ffi/netns.ts";
import { sendFrames } from "../../../ffi/packet_socket.ts";
import { interfaceIndex } from "../../../ffi/process.ts";
import {
  type AttachAdapters,
  Attachments,
  BridgePorts,
  CONTAINER_INTERFACE,
  CONTAINER_INTERFACE_WEAVE,
  OvsPorts,
} from "../../attach/mod.ts";
import { messageOf } from "../../core/errors.ts";
import type { Logger, NetlinkSocket } from "../../core/ports.ts";
import { bridgeMac } from "../../datapath/bridge_setup.ts";
import { TAP_NAME } from "../../overlay/ports/tap_port.ts";
import { ProcNamespaces } from "../../sys/namespaces.ts";
import { ProcSysctl } from "../../sys/sysctl.ts";
import { mendBridge, warnOfFirewall } from "../bridge_host.ts";
import type { Config } from "../config.ts";
import { type AttachmentKeeper, keepAttached } from "../keep_attached.ts";
import { openNetlinkIn } from "../netlink.ts";
import { DATAPATH, findOvs } from "../ovs_host.ts";
import type { Base } from "./open_base.ts";
import type { DataplaneHooks } from "./open_dataplane.ts";
import type { Host } from "./open_host.ts";
import type { State } from "./open_state.ts";

/** Attachments that are looked after. Disposing it stops that; the interfaces stay. */
export interface AttachmentsPart extends Disposable {
  readonly attachments: Attachments;
  readonly keeper: AttachmentKeeper;
  /** What the start found of earlier runs. */
  readonly restored: ReturnType<Attachments["reconcile"]>;
}

/** Closes the switch's own leg, takes over or restores what earlier runs attached, and begins to look after it. */
export function openAttachments(
  config: Pick<Config, "compat">,
  { base: { logger, random }, hooks, host, mtu, state: { identity, store } }: {
    readonly base: Base;
    readonly hooks: DataplaneHooks;
    readonly host: Host;
    /** MTU of containers. */
    readonly mtu: number;
    readonly state: State;
  },
): AttachmentsPart {
  using undo = new DisposableStack();
  const { choice: { kind }, openRoute } = host;
  const sysctl = new ProcSysctl(inNetns);
  closeHostLeg(sysctl, logger);
  if (kind === "bridge") warnOfFirewall(DATAPATH, { sysctl, logger });
  const ports = kind === "bridge"
    ? new BridgePorts(undo.use(openRoute()), DATAPATH)
    : ovsPorts(undo.use(openNetlinkIn({ protocol: "generic" })));
  const adapters: AttachAdapters = {
    ...{ store, random, ports, sysctl, openRoute, sendFrames, pid: Deno.pid },
    later: (ms, work) => void setTimeout(work, ms),
    log: logger,
    probe: new ProcNamespaces(),
  };
  const containerInterface = config.compat === "weave" ? CONTAINER_INTERFACE_WEAVE : CONTAINER_INTERFACE;
  const attachments = undo.use(
    new Attachments(adapters, { mtu, interface: containerInterface, multicastRoute: true }),
  );
  const restored = attachments.reconcile();
  const bridge = { name: DATAPATH, tap: TAP_NAME, mtu, mac: bridgeMac(identity.name) };
  const mend = () =>
    mendBridge({ ...bridge, quiet: () => closeHostLeg(sysctl, logger) }, { openRoute, logger });
  const keeper = undo.use(keepAttached(attachments, kind === "bridge" ? mend : undefined));
  hooks.onMended = keeper.disturbed;
  const held = undo.move();
  return { attachments, keeper, restored, [Symbol.dispose]: () => held[Symbol.dispose]() };
}

function ovsPorts(socket: NetlinkSocket): OvsPorts {
  return new OvsPorts(socket, findOvs(socket, interfaceIndex), interfaceIndex(DATAPATH));
}

/** Without this the kernel gives the host's own leg a link-local address, and containers reach the host's services; and
 * the TAP would speak for itself. */
function closeHostLeg(sysctl: ProcSysctl, logger: Logger): void {
  const keys = [DATAPATH, TAP_NAME].map((name) => `net/ipv6/conf/${name}/disable_ipv6`);
  try {
    for (const key of keys) if (sysctl.read(undefined, key) === "0") sysctl.write(undefined, key, "1");
  } catch (error) {
    logger.warn("containers can reach this host over IPv6", { reason: messageOf(error) });
  }
}
