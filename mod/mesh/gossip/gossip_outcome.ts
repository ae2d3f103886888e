/** What handling gossip leads to, for those who act on it. */
import type { PeerName } from "../../core/names.ts";
import type { GossipData } from "../../core/ports.ts";
import type { PeerRecord } from "../../core/topology_record.ts";
import type { TopologyEffects } from "../topology/topology_results.ts";

/** What gossip and collections have done to the topology since the router took the last outcome. */
export interface GossipOutcome extends TopologyEffects {
  /** Records were added or replaced by gossip, or removed: routes have to be recalculated. */
  readonly changed: boolean;
  /** Peers that have left the mesh. */
  readonly removed: readonly PeerRecord[];
  /** Received records that were refused because too much is known already. */
  readonly refused: number;
  /** Records that changed by gossip in a lean mesh: they go along the broadcast tree of their peer, which in a full mesh
   * means that nobody passes them on. */
  readonly relays: ReadonlySet<PeerName>;
}

/** What the neighbour that sent the last message is told in return. */
export interface GossipAnswer {
  /** The channel to tell it on. */
  readonly channel: string;
  /** What to tell. */
  readonly data: GossipData;
}
