/** What the links of the data plane, taken together, say about ways and addresses. */
import type { Ip } from "../../core/addr.ts";
import type { PeerName } from "../../core/names.ts";
import type { LinkId, OverlayRequest } from "../../core/overlay_port.ts";
import type { EspTable } from "./esp_table.ts";
import type { FastdpLink } from "./fastdp_link.ts";
import type { Forwarder } from "./forwarder.ts";
import type { LinkFacts, Path } from "../paths/network.ts";
import type { SleeveLink } from "./sleeve_link.ts";
import type { LinkSwitch } from "./link_switch.ts";

/** A connection is about to be made. */
export type PrepareRequest = Extract<OverlayRequest, { kind: "prepare" }>;

/** A forwarder and its place in the list. */
export interface Slot<F extends Forwarder> {
  readonly forwarder: F;
  readonly slot: number;
}

/** A connection of the mesh, as the data plane keeps it. */
export interface OverlayLink {
  readonly id: LinkId;
  readonly request: PrepareRequest;
  /** VXLAN port at both ends. */
  readonly udpPort: number;
  readonly switch: LinkSwitch;
  readonly fastdp: Slot<FastdpLink> | undefined;
  readonly sleeve: Slot<SleeveLink> | undefined;
  confirmed: boolean;
  /** The last status told. */
  told: string;
  /** MTU of the peer's containers; undefined: not known. */
  peerMtu: number | undefined;
  /** Where the peer was last said to be heard. */
  seenAt: Ip;
  /** Whether there was a way, if only a likely one, when last looked at. */
  likely: boolean;
}

/** Where the peer of a link is heard: at another address than its connection's, if any overlay has followed it there. */
export function addressOfPeer({ request, fastdp, sleeve }: OverlayLink): Ip {
  const heard = [sleeve?.forwarder.remote?.ip, fastdp?.forwarder.remote];
  return heard.find((ip) => ip !== undefined && ip !== request.remote.ip) ?? request.remote.ip;
}

/** Ways to peers over working links; the newest link of a peer counts. */
export function pathsOf(links: Iterable<OverlayLink>): ReadonlyMap<PeerName, Path> {
  const paths = new Map<PeerName, Path>();
  for (const link of links) {
    const path = link.switch.path();
    if (path !== undefined) paths.set(link.request.peer, path);
  }
  return paths;
}

/** What the links say about addresses. */
export function factsOf(links: readonly OverlayLink[], guards: Pick<EspTable, "guardOf">): LinkFacts {
  const clear = new Set<Ip>();
  const open = new Set<Ip>();
  const guardedAt = new Map<Ip, Set<Ip>>();
  const sealed = new Set<Ip>();
  const likely = new Map<PeerName, Path>();
  for (const { confirmed, fastdp, request, switch: overlays } of links) {
    const path = confirmed ? overlays.likelyPath() : undefined;
    if (path !== undefined) likely.set(request.peer, path);
    const esp = fastdp?.forwarder.options.esp;
    if (request.protection.kind === "sealed") {
      // Guarded by the kernel, what comes has been sealed, and what goes will be. Until it answers (within this very
      // round) nothing is taken, but flows found at start stay.
      const guard = esp === undefined ? "no" : guards.guardOf(esp.options.path);
      if (guard === "" && confirmed) {
        const { ip } = request.remote;
        clear.add(ip);
        guardedAt.set(ip, (guardedAt.get(ip) ?? new Set()).add(request.local));
      } else if (guard !== "" && guard !== undefined) sealed.add(request.remote.ip);
    } else if (confirmed && fastdp !== undefined) open.add(fastdp.forwarder.remote);
  }
  for (const ip of open) guardedAt.delete(ip);
  const all = clear.union(open);
  return { paths: pathsOf(links), likely, clear: all, guardedAt, sealed: sealed.difference(all) };
}
