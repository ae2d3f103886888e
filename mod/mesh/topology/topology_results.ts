/** What changes of the topology led to. */
import type { PeerName } from "../../core/names.ts";
import type { PeerRecord } from "../../core/topology_record.ts";

/** What a change of records did besides. */
export interface TopologyEffects {
  /** A short id changed its owner or is used again: what was cached by short id is wrong. */
  readonly invalidated: boolean;
  /** We had to take another short id: tell the others, and keep it for the next start. */
  readonly selfChanged: boolean;
}

/** What merging a payload did. */
export interface MergeResult extends TopologyEffects {
  /** Every peer with a record in the payload. */
  readonly named: PeerName[];
  /** Peers whose record was added or replaced. */
  readonly changed: PeerName[];
  /** A former self of ours is remembered: our version was raised, and the others have to be told. */
  readonly selfOutdated: boolean;
  /** Records and references that were left out because we know MAX_PEERS or MAX_STATE_BYTES already. */
  readonly refused: number;
}

/** What a collection did. */
export interface CollectResult extends TopologyEffects {
  /** The records as they were. */
  readonly removed: PeerRecord[];
}
