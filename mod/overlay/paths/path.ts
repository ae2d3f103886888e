/** How neighbours are reached. */
import type { Ip } from "../../core/addr.ts";
import type { PeerName, ShortId } from "../../core/names.ts";
import type { LinkId } from "../../core/overlay_port.ts";
import type { PortNo } from "../../wire/netlink/ovs_keys.ts";

/** A neighbour is reached through a tunnel of the kernel: our vxlan port, our address, its address. */
export interface TunnelPath {
  readonly kind: "tunnel";
  readonly port: PortNo;
  readonly local: Ip;
  readonly remote: Ip;
}

/** A neighbour is reached through user space: its port of the datapath, and the link it sends over. */
export interface SleevePath {
  readonly kind: "sleeve";
  readonly port: PortNo;
  readonly link: LinkId;
}

/** How a neighbour is reached. */
export type Path = TunnelPath | SleevePath;

/** A link, as frames name it. */
export interface LinkEnd {
  readonly link: LinkId;
  readonly peer: PeerName;
  /** Where its tunnel leads; undefined: it has none. */
  readonly tunnel: Ip | undefined;
}

/** A neighbour to hand a frame to. */
export interface Hop {
  readonly short: ShortId;
  readonly path: Path;
}

/** A text that is the same for hops that are the same. */
export function hopText(hop: Hop): string {
  const { path, short } = hop;
  return path.kind === "sleeve"
    ? `${short}@${path.port}/link ${path.link}`
    : `${short}@${path.port}/${path.local}/${path.remote}`;
}
