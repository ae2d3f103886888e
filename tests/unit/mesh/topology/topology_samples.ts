/** Records for tests of topology: from vectors, by hand and by chance. */
import type { PeerName, PeerUid, ShortId } from "../../../../mod/core/names.ts";
import { peerNameFromNumber } from "../../../../mod/core/names.ts";
import type { Random } from "../../../../mod/core/ports.ts";
import type { LinkRecord, PeerRecord } from "../../../../mod/core/topology_record.ts";
import { Topology } from "../../../../mod/mesh/topology/topology.ts";

/** The name of a small number. */
export function peer(number: number): PeerName {
  return peerNameFromNumber(number)!;
}

/** A link by number. */
export function link(to: number, established = true): LinkRecord {
  return { peer: peer(to), address: `10.0.0.${to}:6783`, outbound: true, established };
}

/** A record by numbers; its UID is a hundred times its number unless given. */
export function record(
  number: number,
  version: number,
  links: readonly number[] = [],
  more: { uid?: number; shortId?: number; nickname?: string } = {},
): PeerRecord {
  return {
    name: peer(number),
    nickname: more.nickname ?? `n${number}`,
    uid: BigInt(more.uid ?? number * 100) as PeerUid,
    version: BigInt(version),
    shortId: more.shortId as ShortId | undefined,
    links: links.map((to) => link(to)),
  };
}

/** A topology whose own record is exactly `self`, and which has merged `others`. */
export function topologyOf(self: PeerRecord, others: readonly PeerRecord[], random: Random): Topology {
  const topology = new Topology({ ...self, version: self.version - BigInt(self.links.length) }, random);
  for (const each of self.links) topology.setLink(each);
  topology.merge(others);
  return topology;
}

/** All records, ordered so that equal states are deeply equal. */
export function stateOf(topology: Topology): PeerRecord[] {
  const byName = (a: { name: PeerName }, b: { name: PeerName }) => a.name < b.name ? -1 : 1;
  const byPeer = (a: LinkRecord, b: LinkRecord) => a.peer < b.peer ? -1 : 1;
  return [...topology.all()].map((each) => ({
    name: each.name,
    nickname: each.nickname,
    uid: each.uid,
    version: each.version,
    shortId: each.shortId,
    links: [...each.links].sort(byPeer),
  })).sort(byName);
}
