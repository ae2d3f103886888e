/** VXLAN network identifiers made of short ids (source: spec dataplane.md 2.3). */
import type { Brand } from "../../core/brand.ts";
import type { ShortId } from "../../core/names.ts";

/** Octets of a VXLAN header. */
export const VXLAN_HEADER = 8;
/** The flag that says that the identifier counts. */
const HAS_VNI = 0x08;

/** Writes the header of VXLAN packets with this identifier. */
export function writeVxlan(out: Uint8Array, at: number, vni: Vni): void {
  out.fill(0, at, at + VXLAN_HEADER);
  out[at] = HAS_VNI;
  out[at + 4] = vni >>> 16;
  out[at + 5] = vni >>> 8;
  out[at + 6] = vni;
}

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
