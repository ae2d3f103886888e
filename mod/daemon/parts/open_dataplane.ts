/** The data plane: its worker begins to load before anything else is known, and is told later what to be. */
import { warmAead } from "../../../ffi/crypto_api.ts";
import { Wakeup } from "../../../ffi/poll.ts";
import { exposedIn, isHostInterface, listLinks } from "../../attach/mod.ts";
import type { OverlayEvent } from "../../core/overlay_port.ts";
import type { Logger } from "../../core/ports.ts";
import { ESP_CIPHER, FAST_EXTENSION } from "../../overlay/ports/esp_port.ts";
import type { Ip } from "../../core/addr.ts";
import type { Disturbed, NetworkChange, PortProgram } from "../../overlay/ports/dataplane_messages.ts";
import { EXTENSION } from "../../overlay/ports/sleeve_port.ts";
import { NAME_PORT } from "../../core/name_leg.ts";
import { TAP_NAME } from "../../overlay/ports/tap_port.ts";
import type { Config } from "../config/config.ts";
import { type DataplaneHandle, loadDataplane } from "../threads/dataplane_client.ts";
import type { Ending } from "../ending.ts";
import { comparePeers } from "../threads/clear_peers.ts";
import { ipsecUse } from "../threads/ipsec_parts.ts";
import { listRoutes, openNetlinkIn } from "../host/netlink.ts";
import { DATAPATH } from "../host/ovs_host.ts";
import { hasGcm } from "../threads/sleeve_parts.ts";
import { type AddressUse, announceMtu } from "../../overlay/ports/dataplane_types.ts";
import { defaultMtu, mtuAdvice, possibleMtu, type Wrapping } from "../host/underlay.ts";
import type { Base } from "./open_base.ts";
import type { Host } from "./open_host.ts";
import type { State } from "./open_state.ts";

/** What our overlays understand beyond the protocol. */
const EXTENSIONS: readonly string[] = [
  ...[EXTENSION.partial, EXTENSION.gcm, EXTENSION.beat],
  ...[FAST_EXTENSION.beat, FAST_EXTENSION.rekey, FAST_EXTENSION.ipv6, FAST_EXTENSION.here],
];

/** What the data plane tells parts that are opened after it. Each of them sets its own. */
export interface DataplaneHooks {
  /** Takes what the mesh is told. Events answer requests, and only the router makes those. */
  onEvent: (event: OverlayEvent) => void;
  /** This host's interfaces, addresses or routes have changed. */
  onNetwork: (change: NetworkChange) => void;
  /** The switch was changed by others and is mended. */
  onMended: () => void;
  /** Something happened to interfaces of containers. */
  onDisturbed: (disturbed: Disturbed) => void;
  /** Other programs have changed this host's firewall. */
  onFirewall: () => void;
  /** Somebody uses an address. */
  onAddressUsed: (use: AddressUse) => void;
  /** IPv4 addresses came to interfaces, ours or not. */
  onAddressesAdded: (added: readonly Ip[]) => void;
}

/** A data plane whose worker is being loaded. Disposing it ends the worker. */
export interface LoadedDataplane extends AsyncDisposable {
  readonly handle: DataplaneHandle;
  readonly hooks: DataplaneHooks;
}

/** A data plane that runs. Disposing it ends the worker; datapath, ports and flows stay. */
export interface RunningDataplane extends AsyncDisposable {
  /** The MTU of containers. */
  readonly mtu: number;
  /** What new ports are to be given at once. */
  readonly portProgram: PortProgram | undefined;
  /** What this host's overlays announce. */
  readonly extensions: readonly string[];
}

/** Begins to load the worker. */
export function openDataplane(
  { faults, logger }: Pick<Base, "faults" | "logger">,
  end: (how: Ending) => void,
): LoadedDataplane {
  const hooks: DataplaneHooks = {
    onEvent: () => {},
    onNetwork: () => {},
    onMended: () => {},
    onDisturbed: () => {},
    onFirewall: () => {},
    onAddressUsed: () => {},
    onAddressesAdded: () => {},
  };
  const handle = loadDataplane({
    createWakeup: () => Wakeup.create(),
    log: logger,
    guard: (what, work) => faults.guard(what, work),
    onEvent: (event) => hooks.onEvent(event),
    onNetwork: (change) => hooks.onNetwork(change),
    onMended: () => hooks.onMended(),
    onDisturbed: (disturbed) => hooks.onDisturbed(disturbed),
    onFirewall: () => hooks.onFirewall(),
    onAddressUsed: (use) => hooks.onAddressUsed(use),
    onAddressesAdded: (added) => hooks.onAddressesAdded(added),
    onFailure: (error) => end({ kind: "broken", error }),
  });
  return { handle, hooks, [Symbol.asyncDispose]: () => handle.stop() };
}

/** Tells the worker what to be, and waits until the kernel's datapath is open. */
export async function startDataplane(
  config: Config,
  { base: { faults, logger }, dataplane: { handle }, host, state: { identity, store } }: {
    readonly base: Base;
    readonly dataplane: LoadedDataplane;
    readonly host: Host;
    readonly state: State;
  },
): Promise<RunningDataplane> {
  const { kind, noBetter, noFastdp, noSleeve, overlays } = host.choice;
  if (kind === "ebpf" && noBetter !== undefined) logger.info("no Open vSwitch", { reason: noBetter });
  if (noFastdp !== undefined) logger.info("no fast datapath", { reason: noFastdp });
  if (noSleeve !== undefined) logger.warn("no user-space path", { reason: noSleeve });
  const mtu = config.mtu ?? mtuOfUnderlay(host, {
    logger,
    wrapping: { compat: config.compat, sealed: config.password !== undefined },
  });
  const extensions = EXTENSIONS.filter((name) =>
    !config.without.includes(name) && (name !== EXTENSION.gcm || config.password !== undefined && hasGcm())
  );
  const encrypts = config.password !== undefined;
  const ipsec = await ipsecUse(encrypts && overlays.includes("fastdp"), {
    ...{ store, log: logger },
    open: () => openNetlinkIn({ protocol: "xfrm" }),
  });
  const clear = comparePeers(config, { store, log: logger });
  const ciphers = ipsec === "on" ? warmAead(ESP_CIPHER) : undefined;
  const portProgram = await handle.start({
    ...{ kind, name: DATAPATH, mtu, vxlanPort: config.port + 1, encrypts, ipsec },
    distrusts: clear.distrusts,
    peer: identity.name,
    ...{ overlays, noFastdp, extensions },
    sleeve: { port: config.port, host: config.host },
    watchFirewall: config.firewall !== "off",
    legOpen: exposedIn(store).length > 0,
  });
  clear.settled();
  const loaded = ciphers?.then((reason) => {
    if (reason !== undefined) logger.debug("overlay/ipsec", { what: "load ciphers", reason });
    handle.ciphersReady();
  });
  if (loaded !== undefined) faults.later("load ciphers", loaded);
  return {
    mtu,
    portProgram,
    extensions: [...extensions, announceMtu(mtu)],
    [Symbol.asyncDispose]: () => handle.stop(),
  };
}

function mtuOfUnderlay(
  { openRoute }: Pick<Host, "openRoute">,
  { logger, wrapping }: { readonly logger: Logger; readonly wrapping: Wrapping },
): number {
  using socket = openRoute();
  const links = listLinks(socket);
  const underlay = { links, routes: listRoutes(socket) };
  const isOurs = (name: string) =>
    [DATAPATH, TAP_NAME, NAME_PORT].includes(name) || isHostInterface(name) || /^vxlan-/.test(name);
  const mtu = defaultMtu(underlay, isOurs, wrapping);
  const possible = possibleMtu(underlay, isOurs, wrapping);
  const reason = wrapping.compat !== undefined ? undefined : mtuAdvice(mtu, possible);
  if (reason !== undefined) logger.info("containers could have larger packets", { mtu, reason });
  return mtu;
}
