/** One memory of decoded records for all peers of a world: two hundred peers hold two hundred records each. */
import { good } from "../../mod/core/brand.ts";
import type { PeerRecord, PeerSummary } from "../../mod/core/topology_record.ts";
import type { TopologyDecoder } from "../../mod/mesh/gossip/topology_channel.ts";
import { decodeTopology } from "../../mod/wire/mesh/mesh_message.ts";

/** Newest states of a peer that are remembered. */
const KEPT = 8;

/** A decoder that decodes each state of a record once. Names, UIDs and versions stand for states, as in the protocol. */
export function shareRecords(): TopologyDecoder {
  const byName = new Map<string, PeerRecord[]>();
  const known = (summary: PeerSummary) =>
    byName.get(summary.name)?.find((each) =>
      each.version === summary.version && each.uid === summary.uid && each.shortId === summary.shortId
    );
  return (bytes, wanted = () => true) => {
    const asked = new Set<string>();
    const decoded = decodeTopology(bytes, (summary) => {
      if (!wanted(summary)) return false;
      asked.add(summary.name);
      return known(summary) === undefined;
    });
    if (!decoded.ok) return decoded;
    return good(decoded.value.map((record) => {
      const before = known(record);
      if (before !== undefined) return asked.has(record.name) ? before : record;
      if (asked.has(record.name)) {
        const states = byName.get(record.name) ?? [];
        byName.set(record.name, [record, ...states.slice(0, KEPT - 1)]);
      }
      return record;
    }));
  };
}
