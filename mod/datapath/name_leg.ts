/** What must change for this host's name server to have its place in the network: a veth pair, one end a port of the
 * switch, the other in a namespace of its own. Pure: planning again after success gives nothing. */
import { NAME_SERVER_IP } from "../core/name_leg.ts";
import { type Cidr, parseCidr } from "../core/addr.ts";

/** What the inner end has. */
export const NAME_ADDRESS: Cidr = { ip: NAME_SERVER_IP, prefix: 32 };
/** Everybody who asks is a neighbour: no container's address is known beforehand. */
export const EVERYBODY: Cidr = parseCidr("0.0.0.0/0")!;

/** One end as it is. */
export interface PresentEnd {
  readonly index: number;
  readonly up: boolean;
  readonly mtu: number;
  /** Index of the other end. */
  readonly peerIndex: number | undefined;
}

/** How it is. */
export interface PresentNameLeg {
  readonly mtu: number;
  readonly outer: (PresentEnd & { readonly isPort: boolean }) | undefined;
  readonly inner: (PresentEnd & { readonly hasAddress: boolean; readonly hasRoute: boolean }) | undefined;
}

/** One step. */
export type NameLegStep =
  /** Removes what has the name. */
  | "remove"
  /** Makes the pair, both ends down. */
  | "make"
  | "size"
  | "connect"
  | "outer-up"
  | "address"
  | "inner-up"
  | "route";

/** Steps to a leg that works. */
export function planNameLeg({ inner, mtu, outer }: PresentNameLeg): readonly NameLegStep[] {
  const isPair = inner !== undefined && outer !== undefined && inner.peerIndex === outer.index &&
    outer.peerIndex === inner.index;
  if (!isPair) {
    const before: readonly NameLegStep[] = inner ?? outer ? ["remove"] : [];
    return [...before, "make", "connect", "outer-up", "address", "inner-up", "route"];
  }
  const steps: readonly (readonly [boolean, NameLegStep])[] = [
    [inner.mtu === mtu && outer.mtu === mtu, "size"],
    [outer.isPort, "connect"],
    [outer.up, "outer-up"],
    [inner.hasAddress, "address"],
    [inner.up, "inner-up"],
    [inner.hasRoute && inner.up, "route"], // routes go with an interface that goes down
  ];
  return steps.flatMap(([fine, step]) => fine ? [] : [step]);
}
