/** Where a MAC address is: a local port, or a peer named by its short id; one integer, so that the hot path allocates nothing. */
import type { Brand } from "../../core/brand.ts";
import type { ShortId } from "../../core/names.ts";
import type { PortNo } from "../../wire/netlink/ovs_keys.ts";
import { FIRST_PEER_PLACE as PEERS } from "../ports/switched_types.ts";

/** A local port (below 65536), or 65536 + the short id of a peer. */
export type Place = Brand<number, "Place">;

/** A local port as place. */
export function localPlace(port: PortNo): Place {
  return port as number as Place;
}

/** A peer as place. */
export function peerPlace(short: ShortId): Place {
  return PEERS + short as Place;
}

/** Whether a place is a local port. */
export function isLocalPlace(place: Place): boolean {
  return place < PEERS;
}

/** The port of a local place. */
export function placePort(place: Place): PortNo {
  return place as number as PortNo;
}

/** The short id of a remote place. */
export function placeShort(place: Place): ShortId {
  return place - PEERS as ShortId;
}
