/** What was carried from and to a peer, as the status says it. Pure. */
import type { TrafficView } from "../overlay/ports/dataplane_types.ts";

/** What one overlay carried. Frames of containers; what the kernel hands over as one large packet counts as one. */
export interface OverlayTraffic {
  /** Packets that came from the peer. */
  readonly receivedPackets: number;
  /** Their bytes, from the Ethernet header on. */
  readonly receivedBytes: number;
  /** Packets that were sent to the peer. */
  readonly sentPackets: number;
  /** Their bytes, from the Ethernet header on. */
  readonly sentBytes: number;
}

/** What was carried over connections with a peer since the daemon began, with what they pass on for others. It never goes
 * back, whatever becomes of connections and flows. */
export interface TrafficReport {
  /** Through tunnels of the kernel. */
  readonly fastdp: OverlayTraffic;
  /** Through user space. */
  readonly sleeve: OverlayTraffic;
}

/** What was carried from and to this host's neighbours. */
export class TrafficReports {
  readonly #byPeer: ReadonlyMap<string, TrafficView>;

  constructor(views: readonly TrafficView[]) {
    this.#byPeer = new Map(views.map((view) => [view.peer, view]));
  }

  /** null: nothing was. */
  of(peer: string | undefined): TrafficReport | null {
    const ways = peer === undefined ? undefined : this.#byPeer.get(peer)?.ways;
    return ways === undefined ? null : { fastdp: overlayOf(ways.fastdp), sleeve: overlayOf(ways.sleeve) };
  }
}

function overlayOf({ received, sent }: TrafficView["ways"]["fastdp"]): OverlayTraffic {
  return {
    ...{ receivedPackets: received.packets, receivedBytes: received.bytes },
    ...{ sentPackets: sent.packets, sentBytes: sent.bytes },
  };
}
