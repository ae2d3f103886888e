/** What an introduced connection is to the data plane, and what its messages are for (source: spec mesh.md, section 4.3). */
import type { ConnUid } from "../../core/names.ts";
import type { OverlayRequest } from "../../core/overlay_port.ts";
import { TAG } from "../../wire/mesh/mesh_message.ts";
import type { Connection, Introduced } from "./connection.ts";
import { NAME_TAKEN } from "./rename.ts";

/** Longest overlay control message that is handed to the data plane, octets; the longest known one has 67. */
const MAX_CONTROL = 1024;

/** Who handles a message: the data plane, gossip, or nobody. Unknown tags and empty messages are for nobody. */
export function useOf(
  message: Uint8Array,
  connection: Connection,
): "control" | "gossip" | "name-taken" | "none" {
  switch (message[0]) {
    case TAG.bareEstablished:
    case TAG.bareFragmentation:
    case TAG.bareMtu:
      return connection.introduced!.remote.overlays === undefined && isShort(message) ? "control" : "none";
    case TAG.overlayControl:
      return message.length >= 3 && isShort(message) ? "control" : "none";
    case NAME_TAKEN:
      return message.length === 1 ? "name-taken" : "none";
    case TAG.gossip:
    case TAG.gossipUnicast:
    case TAG.gossipBroadcast:
      return "gossip";
    default:
      return "none";
  }
}

function isShort(message: Uint8Array): boolean {
  return message.length <= MAX_CONTROL;
}

/** The request that makes the data plane get ready for a connection. */
export function prepareRequest(connection: Connection, introduced: Introduced): OverlayRequest {
  const { id, local, remote, outbound } = connection.origin;
  const { sessionKey, connUid } = introduced;
  const { name: peer, overlays: theirOverlays, extensions = [] } = introduced.remote;
  const protection = sessionKey === undefined
    ? { kind: "clear" as const }
    : { kind: "sealed" as const, sessionKey };
  const ends = { link: id, peer, local: local.ip, remote, outbound, connUid: connUid as ConnUid };
  return { kind: "prepare", ...ends, protection, theirOverlays, extensions };
}
