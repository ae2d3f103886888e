/** What a peer publishes of itself (source: spec mesh.md, section 6.1). */
import type { PeerName, PeerUid, ShortId } from "./names.ts";

/** One connection as the publishing peer sees it. */
export interface LinkRecord {
  /** The remote peer. */
  readonly peer: PeerName;
  /** `ip:port` or `[v6]:port`: dialled address if outbound, else the remote's source address. */
  readonly address: string;
  readonly outbound: boolean;
  /** Whether traffic flows over it, as that end sees it. */
  readonly established: boolean;
}

/** A peer's published record. Only the peer itself changes it; `(version, uid)` orders its states. */
export interface PeerRecord {
  readonly name: PeerName;
  readonly nickname: string;
  /** 0 for a placeholder: a peer known only by reference. */
  readonly uid: PeerUid;
  readonly version: bigint;
  /** undefined: HasShortID is false. */
  readonly shortId: ShortId | undefined;
  readonly links: readonly LinkRecord[];
}
