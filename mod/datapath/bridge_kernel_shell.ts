/** Requests to the kernel's Linux bridge: making it or finding it, and the TAP's place in it. */
import { MeshnetError } from "../core/errors.ts";
import type { NetlinkSocket } from "../core/ports.ts";
import { newBridge, setBridgePort, setLink } from "../wire/netlink/rtnetlink.ts";
import type { HostLeg } from "./host_leg.ts";
import { linkOf } from "./links_shell.ts";
import { BRIDGE_SETTINGS, type BridgeWanted, planBridge } from "./bridge_setup.ts";

/** What the bridge is made of. */
export interface BridgeParts extends BridgeWanted {
  readonly name: string;
  /** Name of the TAP. */
  readonly tap: string;
  /** Keeps the bridge's own interface closed to this host, or open. */
  readonly leg: Pick<HostLeg, "keep">;
  /** Keeps the kernel from speaking through an interface by itself; called before it goes up. */
  readonly quiet: (name: string) => void;
}

/** Has the bridge `name` as wanted, with the TAP as one of its ports; what hangs on it already stays. Says
 * whether anything had to change. Throws "datapath/wrong-kind" when the name is that of something else. */
export function ensureBridge(socket: NetlinkSocket, wanted: BridgeParts): boolean {
  const { name } = wanted;
  if (linkOf(socket, name) === undefined) socket.request(newBridge(name, BRIDGE_SETTINGS));
  const bridge = linkOf(socket, name);
  const tap = linkOf(socket, wanted.tap);
  if (bridge === undefined || tap === undefined) {
    const missing = bridge === undefined ? name : wanted.tap;
    throw new MeshnetError(
      "datapath/unavailable",
      `Cannot set up the bridge: interface ${missing} has just gone`,
    );
  }
  if (bridge.kind !== "bridge") {
    throw new MeshnetError(
      "datapath/wrong-kind",
      `Cannot use ${name} as bridge: it is an interface of kind ${bridge.kind ?? "unknown"}`,
      {
        hint: bridge.kind === "openvswitch"
          ? "Restart meshnet: a start moves its ports to the kind of switch that it is to have"
          : `If nothing uses it, remove it with \`ip link delete ${name}\``,
      },
    );
  }
  for (const one of [bridge, tap]) if (!one.up) wanted.quiet(one === bridge ? name : wanted.tap);
  const closed = wanted.leg.keep(socket, bridge); // before it goes up
  const changes = planBridge(wanted, { bridge, tap });
  for (const { index, passReserved, ...change } of changes) {
    socket.request(setLink(index, change));
    if (passReserved) socket.request(setBridgePort(index, { passReserved }));
  }
  return closed || changes.length > 0;
}
