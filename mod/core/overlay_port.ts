/** The seam between the mesh (who is linked to whom) and the data plane (how frames get there). */
import type { Endpoint, Ip } from "./addr.ts";
import type { Brand } from "./brand.ts";
import type { ConnUid, PeerName } from "./names.ts";

/** One mesh connection's life in this process; never reused. */
export type LinkId = Brand<number, "LinkId">;

/** Overlays in the order in which they are always advertised (spec dataplane.md 1.1). */
export const OVERLAY_NAMES = ["fastdp", "sleeve"] as const;
/** A way to carry frames to a peer. */
export type OverlayName = typeof OVERLAY_NAMES[number];

/** Why a link says nothing of itself whose peer's daemon hangs: what people read. */
export const DAEMON_HANGS =
  "the daemon there does not answer; what kernels carry between its containers and others goes on";

/** Why two peers without a common overlay cannot be linked. A peer that is too old to name its overlays (undefined) has
 * sleeve. */
export function noCommonOverlay(ours: readonly string[], theirs: readonly string[] | undefined): string {
  const list = (names: readonly string[]) => JSON.stringify(names.join(" ").slice(0, 80));
  const named = theirs === undefined ? "sleeve in its oldest form" : list(theirs);
  return `no overlay in common, this host has ${
    list(ours)
  } and the peer ${named}: enable the same overlay on both`;
}

/** The established and symmetric part of the mesh, cheap to copy to another thread.
 * Index i stands for `names[i]`; names ascend, so index order is name order. */
export interface TopologyView {
  /** All known peers, ascending. */
  readonly names: readonly PeerName[];
  /** Index of ourselves. */
  readonly self: number;
  /** The short id each peer owns, or -1 (none, or a lower-named peer owns it). */
  readonly shortIds: Int16Array;
  /** Directed edges as pairs [from, to], ascending; both directions are present. */
  readonly edges: Uint32Array;
}

/** How a link's traffic must be protected. */
export type LinkProtection =
  /** No password here, or both ends trust each other: in clear. */
  | { readonly kind: "clear" }
  /** Traffic that cannot be sealed with this 32-byte session key must not be sent. */
  | { readonly kind: "sealed"; readonly sessionKey: Uint8Array };

/** What the mesh asks of the data plane. Requests of one link come in the order prepare, confirm, (control)*, stop. */
export type OverlayRequest =
  | {
    readonly kind: "prepare";
    readonly link: LinkId;
    readonly peer: PeerName;
    /** Our address of the TCP connection: tunnels are sent from it. */
    readonly local: Ip;
    /** The remote end of the TCP connection. */
    readonly remote: Endpoint;
    /** Whether we dialled. */
    readonly outbound: boolean;
    readonly connUid: ConnUid;
    readonly protection: LinkProtection;
    /** The remote's `Overlays` feature split at spaces; undefined: a very old peer, sleeve alone and bare. */
    readonly theirOverlays: readonly string[] | undefined;
    /** What the remote understands beyond the protocol. */
    readonly extensions: readonly string[];
  }
  /** The mesh keeps the connection: heartbeats may start. */
  | { readonly kind: "confirm"; readonly link: LinkId }
  /** An overlay control message from the remote, mesh tag included (spec mesh.md 4.3). */
  | { readonly kind: "control"; readonly link: LinkId; readonly message: Uint8Array }
  /** The connection ended. `orderly` is false when it broke without our wish: the peer may be restarting. */
  | { readonly kind: "stop"; readonly link: LinkId; readonly orderly: boolean }
  /** The mesh has changed. */
  | { readonly kind: "topology"; readonly view: TopologyView };

/** What the data plane tells the mesh. */
export type OverlayEvent =
  /** Send this mesh message (tag included) to the remote of the link. */
  | { readonly kind: "send"; readonly link: LinkId; readonly message: Uint8Array }
  /** The first overlay works; sent once per link. */
  | { readonly kind: "established"; readonly link: LinkId }
  /** No overlay is or will be usable: end the connection. `reason` is a sentence without full stop. */
  | { readonly kind: "failed"; readonly link: LinkId; readonly reason: string }
  /** Nothing comes from the peer any more, and its daemon does not say why: it hangs, or the host is dead. Kernels carry on. */
  | { readonly kind: "unanswered"; readonly link: LinkId }
  /** The peer is now heard from this address; it may differ from the address of the connection. */
  | { readonly kind: "moved"; readonly link: LinkId; readonly remote: Ip }
  /** For people: sent on every change. */
  | { readonly kind: "status"; readonly link: LinkId; readonly status: LinkStatus };

/** How a link carries traffic now. */
export interface LinkStatus {
  /** The overlay in use; undefined while none is established. */
  readonly overlay: OverlayName | undefined;
  /** Largest inner IP packet in bytes; undefined while unknown. */
  readonly mtu: number | undefined;
  /** Whether what it carries is sealed. */
  readonly encrypted: boolean;
  /** Round trip of the overlay in milliseconds, as last measured. */
  readonly rttMs: number | undefined;
  /** Why not established, or why not a better overlay: a sentence that names the fix, or undefined. */
  readonly why: string | undefined;
}
