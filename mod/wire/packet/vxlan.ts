/** VXLAN network identifiers made of short ids (source: spec dataplane.md 2.3). */
import type { Brand } from "../../core/brand.ts";
import type { ShortId } from "../../core/names.ts";

/** A 24-bit VXLAN network identifier: originating peer's short id, final (or next-hop) peer's above it. */
export type Vni = Brand<number, "Vni">;

/** The identifier of traffic from the peer with short id `src` to the one with `dst`. */
export function vniOf(src: ShortId, dst: ShortId): Vni {
  return (src | dst << 12) as Vni;
}

/** Short id of the peer at which the traffic originated. */
export function vniSource(vni: Vni): ShortId {
  return (vni & 0xfff) as ShortId;
}

/** Short id of the peer for which the traffic is meant. */
export function vniDestination(vni: Vni): ShortId {
  return (vni >>> 12) as ShortId;
}
