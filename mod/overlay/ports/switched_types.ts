/** How a switch carries frames between two known addresses that no flow claims, without asking first: what it is told,
 * and what it tells. */
import type { Mac } from "../../core/addr.ts";
import type { FlowAction, FlowKey } from "../../wire/netlink/ovs_keys.ts";

/** The first number of places that are other hosts; those below are local ports. Nothing goes from one host to another
 * by whereabouts. */
export const FIRST_PEER_PLACE = 0x1_0000;

/** Where frames come from, where addresses are, and how to get there; undefined: that is not known any more. A frame may
 * be carried if its origin is the place of its source address, its destination address is at another place, and the way
 * there is known. To be performed in this order. */
export interface WhereaboutsEffect {
  readonly kind: "whereabouts";
  readonly macs: readonly (readonly [mac: Mac, place: number | undefined])[];
  /** Keys without MAC addresses, of frames without a VLAN tag. */
  readonly origins: readonly (readonly [key: FlowKey, place: number | undefined])[];
  readonly ways: readonly (readonly [place: number, action: FlowAction | undefined])[];
}

/** The switch has carried a frame by whereabouts: it would rather have a flow. */
export interface SwitchedEvent {
  readonly kind: "switched";
  readonly key: FlowKey;
  /** Octets of the frame. */
  readonly bytes: number;
}
