/** Peer records as the vectors write them. */
import type { PeerName, PeerUid, ShortId } from "../../../../mod/core/names.ts";
import type { PeerRecord } from "../../../../mod/core/topology_record.ts";

/** One peer in mesh-topology.json and in the captured sessions. */
export interface PeerJson {
  readonly name: PeerName;
  readonly nick_name: string;
  readonly uid: string;
  readonly version: string;
  readonly short_id: number;
  readonly has_short_id: boolean;
  readonly connections: readonly {
    readonly to: PeerName;
    readonly addr: string;
    readonly outbound: boolean;
    readonly established: boolean;
  }[];
}

/** The record that the JSON stands for. */
export function recordOf(json: PeerJson): PeerRecord {
  return {
    name: json.name,
    nickname: json.nick_name,
    uid: BigInt(json.uid) as PeerUid,
    version: BigInt(json.version),
    shortId: json.has_short_id ? json.short_id as ShortId : undefined,
    links: json.connections.map(({ to, addr, outbound, established }) => ({
      peer: to,
      address: addr,
      outbound,
      established,
    })),
  };
}

/** Records and links in ascending order, for comparing what has no order on the wire. */
export function sorted(peers: readonly PeerRecord[]): readonly PeerRecord[] {
  return peers.toSorted((a, b) => a.name < b.name ? -1 : 1).map((peer) => ({
    ...peer,
    links: peer.links.toSorted((a, b) => a.peer < b.peer ? -1 : 1),
  }));
}
