/** Payloads of topology gossip, for tests. */
import type { PeerRecord } from "../../../../mod/core/topology_record.ts";
import { TopologyEncoder } from "../../../../mod/wire/mesh/mesh_topology.ts";

/** The payload of some records. */
export function encodeTopology(peers: Iterable<PeerRecord>): Uint8Array<ArrayBuffer> {
  return new TopologyEncoder().encode(peers);
}
