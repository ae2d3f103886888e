/** The seam to the kernel's IPsec: what the core asks for (effects) and what it is told (news). */
import type { Ip } from "../../core/addr.ts";
import type { PeerName } from "../../core/names.ts";
import type { LinkId } from "../../core/overlay_port.ts";

/** What the overlays may understand beyond the protocol, concerning the fast path, as it is announced. */
export const FAST_EXTENSION = {
  rekey: "esp-rekey",
  beat: "fastdp-beat",
  ipv6: "fastdp-ipv6",
  here: "fastdp-here",
} as const;

/** What the kernel makes of our associations' cipher: with sequence numbers as initialisation vectors. */
export const ESP_CIPHER = "seqiv(rfc4106(gcm(aes)))";

/** What ESP adds at most, in octets: header 8, initialisation vector 8, padding 3, trailer 2, check value 16. */
export const ESP_OVERHEAD = 37;

/** VXLAN between two hosts: one UDP port is the destination in both directions. */
export interface EspPath {
  readonly local: Ip;
  readonly remote: Ip;
  readonly port: number;
}

/** One direction's security association. */
export interface EspSa {
  readonly src: Ip;
  readonly dst: Ip;
  readonly spi: number;
}

/** An association as a key of sets. */
export function saKey({ dst, spi, src }: EspSa): string {
  return `${src}>${dst} ${spi}`;
}

/** A guarded path and what goes out through; undefined: nothing does. */
export interface WantedPath {
  readonly path: EspPath;
  readonly spi: number | undefined;
}

/** What the core has the kernel do. `round` counts the keys of a link. */
export type XfrmEffect =
  /** From now on nothing of this path leaves or comes in but through ESP; as long as nothing else is said, what went
   * through ESP still does, all else is blocked. Answered by `xfrm-guarded`. */
  | { readonly kind: "xfrm"; readonly do: "guard"; readonly path: EspPath }
  /** Both policies of these guarded paths are to be as they should. Answered by `xfrm-present`; by `xfrm-guarded` for
   * each path if that cannot be had. */
  | { readonly kind: "xfrm"; readonly do: "keep"; readonly wanted: readonly WantedPath[] }
  /** The path may be used in clear. */
  | { readonly kind: "xfrm"; readonly do: "unguard"; readonly path: EspPath }
  /** Make an association towards us with a key of its own. Answered by `xfrm-receiving`. */
  | {
    readonly kind: "xfrm";
    readonly do: "receive";
    readonly link: LinkId;
    readonly round: number;
    readonly path: EspPath;
    readonly sessionKey: Uint8Array;
  }
  /** Make the association to the peer, which chose its number and key, and use it. Answered by `xfrm-sending`. */
  | {
    readonly kind: "xfrm";
    readonly do: "send";
    readonly link: LinkId;
    readonly round: number;
    readonly path: EspPath;
    readonly spi: number;
    readonly nonce: Uint8Array;
    readonly peer: PeerName;
    readonly sessionKey: Uint8Array;
  }
  /** Use an association that is there, or none: block. */
  | { readonly kind: "xfrm"; readonly do: "carry"; readonly path: EspPath; readonly spi: number | undefined }
  /** Remove an association. */
  | { readonly kind: "xfrm"; readonly do: "forget"; readonly sa: EspSa }
  /** Remove what an earlier run left and nobody has claimed. */
  | { readonly kind: "xfrm"; readonly do: "forget-earlier" };

/** What the kernel made of it. Reasons are sentences without full stop. */
export type XfrmNews =
  /** `reason`: why the path cannot be guarded. */
  | { readonly kind: "xfrm-guarded"; readonly path: EspPath; readonly reason: string | undefined }
  | {
    readonly kind: "xfrm-receiving";
    readonly link: LinkId;
    readonly round: number;
    readonly path: EspPath;
    readonly spi: number;
    readonly nonce: Uint8Array;
  }
  | { readonly kind: "xfrm-sending"; readonly link: LinkId; readonly round: number }
  | {
    readonly kind: "xfrm-failed";
    readonly of: "receive" | "send";
    readonly link: LinkId;
    readonly round: number;
    readonly reason: string;
  }
  /** Another program has changed policies or associations that may be ours, or news of that were lost. */
  | { readonly kind: "xfrm-disturbed" }
  /** All associations of ours that are there. */
  | { readonly kind: "xfrm-present"; readonly sas: readonly EspSa[] }
  /** This association towards us has carried as many packets as is thought wise. It goes on. */
  | { readonly kind: "xfrm-worn"; readonly sa: EspSa };

/** News about the keys of one link. */
export type LinkXfrmNews = Extract<XfrmNews, { readonly link: LinkId }>;

/** The kernel's IPsec as the data plane's loop sees it. */
export interface Ipsec {
  /** Ready when `take` has something to do; one at most. */
  readonly fds: readonly number[];
  /** Performs an effect; the answer, if there is one, is posted. */
  perform(effect: XfrmEffect, post: (news: XfrmNews) => void): void;
  /** Posts what other programs did, a bounded part of it. */
  take(post: (news: XfrmNews) => void): void;
  /** The kernel has its ciphers at hand: what waited for them is done. */
  ciphersReady(): void;
}

/** A host that has never encrypted has nothing to do with IPsec. */
export const NO_IPSEC: Ipsec = {
  fds: [],
  perform(effect, post) {
    if (effect.do !== "guard") return;
    post({ kind: "xfrm-guarded", path: effect.path, reason: "this host was started without a password" });
  },
  take() {},
  ciphersReady() {},
};
