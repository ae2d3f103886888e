/** A small mesh as the flows of one host see it. */
import type { Mac } from "../../../mod/core/addr.ts";
import type { PeerName, ShortId } from "../../../mod/core/names.ts";
import type { TopologyView } from "../../../mod/core/overlay_port.ts";
import type { Millis } from "../../../mod/core/time.ts";
import type { ForwardContext } from "../../../mod/overlay/flows/forward.ts";
import { MacTable } from "../../../mod/overlay/flows/mac_table.ts";
import { localPlace, peerPlace } from "../../../mod/overlay/flows/place.ts";
import { type LinkFacts, Network, type Path, type TunnelPath } from "../../../mod/overlay/paths/network.ts";
import { PortTable } from "../../../mod/overlay/paths/port_table.ts";
import type { FlowAction, FlowKey, PortNo } from "../../../mod/wire/netlink/ovs_keys.ts";
import { vniOf } from "../../../mod/wire/packet/vxlan.ts";
import { routesOf } from "./ovs_host.ts";
import { hostIp, vport } from "./kernel.ts";

/** Us (short id 1) -- B (2) -- C (3);  us -- D (4);  E (5) is known and cannot be reached. */
export const NAMES: readonly PeerName[] = ["a", "b", "c", "d", "e"].map((each) =>
  `02:00:00:00:00:0${each}` as PeerName
);
/** The tunnel port. */
export const VXLAN = 9 as PortNo;
/** Containers at ports 1 and 2, at B, C and E, and of nobody. */
export const [BOX, OTHER, AT_B, AT_C, AT_E, NOBODY] = [0x10, 0x12, 0x14, 0x16, 0x18, 0x1a] as [
  Mac,
  Mac,
  Mac,
  Mac,
  Mac,
  Mac,
];
/** Everybody. */
export const ALL = 0xffff_ffff_ffff as Mac;

/** A view of the mesh with links between peers, given by index in NAMES. */
export function viewOf(
  links: readonly (readonly [number, number])[],
  shortIds = [1, 2, 3, 4, 5],
): TopologyView {
  const edges = links.flatMap(([a, b]) => [[a, b], [b, a]]).sort(([a, b], [c, d]) => a! - c! || b! - d!);
  return {
    names: NAMES,
    self: 0,
    shortIds: Int16Array.from(shortIds),
    edges: Uint32Array.from(edges.flat()),
  };
}

/** The mesh above. */
export const VIEW: TopologyView = viewOf([[0, 1], [0, 3], [1, 2]]);

/** A tunnel to the host with this number. */
export function pathTo(n: number): TunnelPath {
  return { kind: "tunnel", port: VXLAN, local: hostIp(1), remote: hostIp(n) };
}

/** What links say when these neighbours' (by index in NAMES) work. */
export function linksTo(neighbours: readonly number[], more: Partial<LinkFacts> = {}): LinkFacts {
  const paths = new Map<PeerName, Path>(neighbours.map((index) => [NAMES[index]!, pathTo(index + 1)]));
  const clear = new Set(neighbours.map((index) => hostIp(index + 1)));
  return { paths, likely: paths, clear, guardedAt: new Map(), sealed: new Set(), ...more };
}

/** What decisions are made from: this mesh at rest, and two containers of ours. The link to D is sealed. */
export function world(): ForwardContext {
  const ports = new PortTable();
  for (const n of [0, 1, 2]) ports.add(vport(n, "netdev", `p${n}`));
  ports.add(vport(VXLAN, "vxlan", "vxlan-6784", 6784));
  const macs = new MacTable({ total: 100, perPort: 100, perPeer: 100 });
  const seen = 0 as Millis;
  macs.learn(BOX, localPlace(1 as PortNo), seen);
  macs.learn(OTHER, localPlace(2 as PortNo), seen);
  macs.learn(AT_B, peerPlace(2 as ShortId), seen);
  macs.learn(AT_C, peerPlace(3 as ShortId), seen);
  macs.learn(AT_E, peerPlace(5 as ShortId), seen);
  const network = new Network();
  network.setView(VIEW, routesOf(VIEW), seen);
  network.setLinks(linksTo([1, 3], { guardedAt: new Map([[hostIp(4), new Set([hostIp(1)])]]) }), seen);
  return { ports, macs, network };
}

/** Delivers to a port. */
export const out = (port: number): FlowAction => ({ kind: "output", port: port as PortNo });
/** Sends from one peer to another by short id, through the host with number `via`. */
export const tun = (from: number, to: number, via: number): FlowAction => ({
  kind: "tunnel",
  port: VXLAN,
  tunnel: { id: vniOf(from as ShortId, to as ShortId), src: hostIp(1), dst: hostIp(via) },
});
/** A frame of a container of ours. */
export const local = (ethSrc: Mac, ethDst: Mac, inPort = 1): FlowKey & { ethSrc: Mac; ethDst: Mac } => ({
  inPort: inPort as PortNo,
  ethSrc,
  ethDst,
});
/** A frame from one peer to another by short id, which came from the host with number `via`. */
export const remote = (
  from: number,
  to: number,
  via: number,
  ethSrc: Mac,
  ethDst: Mac,
): FlowKey & { ethSrc: Mac; ethDst: Mac } => ({
  inPort: VXLAN,
  tunnel: { id: vniOf(from as ShortId, to as ShortId), src: hostIp(via), dst: hostIp(1) },
  ethSrc,
  ethDst,
});
