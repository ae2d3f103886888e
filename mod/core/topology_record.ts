/** What a peer publishes of itself (source: spec mesh.md, section 6.1). */
import type { PeerName, PeerUid, ShortId } from "./names.ts";

/** One connection as the publishing peer sees it. */
export interface LinkRecord {
  /** The remote peer. */
  readonly peer: PeerName;
  /** `ip:port` or `[v6]:port`: dialled address if outbound, else the remote's source address. */
  readonly address: string;
  /** Whether the publishing peer dialled it. */
  readonly outbound: boolean;
  /** Whether traffic flows over it, as that end sees it. */
  readonly established: boolean;
}

/** A peer's published record. Only the peer itself changes it; `(version, uid)` orders its states. */
export interface PeerRecord {
  /** Whose record it is. */
  readonly name: PeerName;
  /** For people; empty for a placeholder. */
  readonly nickname: string;
  /** 0 for a placeholder: a peer known only by reference. */
  readonly uid: PeerUid;
  /** Unsigned 64 bits; grows with each change that the peer makes. */
  readonly version: bigint;
  /** undefined: HasShortID is false. */
  readonly shortId: ShortId | undefined;
  /** Its connections, at most one to a peer. */
  readonly links: readonly LinkRecord[];
}

/** The part of a record that decides whether it is news: all but its links. */
export type PeerSummary = Pick<PeerRecord, "name" | "uid" | "version" | "shortId">;
