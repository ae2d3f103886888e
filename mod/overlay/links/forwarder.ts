/** One overlay on one link: the seam behind which fastdp, and later other ways, do their work (spec dataplane.md 1.3). */
import type { OverlayName } from "../../core/overlay_port.ts";
import type { Millis } from "../../core/time.ts";
import type { FlowAction } from "../../wire/netlink/ovs_keys.ts";
import type { SpecialFrame } from "../../wire/mesh/sleeve_special.ts";
import type { XfrmEffect } from "../ports/esp_port.ts";
import type { Path } from "../paths/network.ts";

/** What a forwarder wants done, or has found out. */
export type ForwarderEvent =
  /** Send a control message of this overlay to the peer. */
  | { readonly kind: "control"; readonly tag: number; readonly payload: Uint8Array }
  /** Run an action on a frame of our own. */
  | { readonly kind: "frame"; readonly frame: Uint8Array; readonly action: FlowAction }
  /** Send this frame over user space, from us to the peer, with DF or without. */
  | { readonly kind: "special"; readonly df: boolean; readonly frame: SpecialFrame }
  /** Have the kernel's IPsec do something. */
  | { readonly kind: "xfrm"; readonly effect: XfrmEffect }
  /** The peer received what we sent: the overlay works. Once. */
  | { readonly kind: "established" }
  /** It no longer works, or works again. `moving`: because one end has another address now; other overlays follow by
   * themselves and need a moment. */
  | { readonly kind: "health"; readonly good: boolean; readonly moving?: true }
  /** The peer's address has changed. */
  | { readonly kind: "moved" };

/** An overlay on a link. Calls come in the order confirm, then anything; times do not go back. */
export interface Forwarder {
  readonly overlay: OverlayName;
  /** Whether the peer has confirmed that our frames arrive. */
  readonly established: boolean;
  /** Whether it stopped working for now. */
  readonly onHold: boolean;
  /** Largest inner IP packet. */
  readonly mtu: number | undefined;
  /** Round trip in milliseconds, as last measured. */
  readonly rttMs: number | undefined;
  /** When that was. */
  readonly rttAt: number;
  /** When anything came from the peer over this overlay last. */
  readonly heardAt: number;
  /** How the peer is reached, when that is known. */
  readonly path: Path | undefined;
  /** The same as soon as the peer has been heard: that it hears us, too, is likely. To be used where there is nothing
   * better; undefined when nothing speaks for it. */
  readonly likelyPath: Path | undefined;
  /** The way to be tried although the peer says nothing any more: what carries it does not need the peer's daemon. Only while
   * nothing comes, and only where the peer's daemon would say that it is there. */
  readonly lastResort?: Path | undefined;
  /** When nothing came any more. */
  readonly lostAt?: number;
  /** When the peer's daemon last said so. */
  readonly hereAt?: number;
  /** When an answer of the peer last proved that this overlay works, where there are such. */
  readonly provenAt?: number;
  /** Why it does not carry traffic: a sentence without full stop; undefined when it does. */
  why(now: Millis): string | undefined;
  /** The mesh keeps the connection: start. */
  confirm(now: Millis): readonly ForwarderEvent[];
  /** A control message of this overlay came from the peer. Unknown tags are ignored. */
  control(tag: number, payload: Uint8Array, now: Millis): readonly ForwarderEvent[];
  /** The overlay in use is lost and this one takes over: proves at once that it works, where it can. */
  verify?(now: Millis): readonly ForwarderEvent[];
  /** Asks the peer for a sign, where it answers such questions. */
  ask?(now: Millis): readonly ForwarderEvent[];
  /** `nextWake()` may have come; harmless when it has not. All that came until `readUntil` has been read: what is missed
   * since then may be waiting. */
  wake(now: Millis, readUntil?: Millis): readonly ForwarderEvent[];
  /** Earliest time at which wake() or why() may say something new; Infinity: never. */
  nextWake(): number;
}

/** An overlay that both ends have but that cannot be used on this link: it keeps its place in the list and does nothing. */
export class BlockedForwarder implements Forwarder {
  readonly established = false;
  readonly onHold = true;
  readonly mtu = undefined;
  readonly rttMs = undefined;
  readonly rttAt = -Infinity;
  readonly heardAt = -Infinity;
  readonly path = undefined;
  readonly likelyPath = undefined;

  constructor(readonly overlay: OverlayName, readonly reason: string) {}

  why(_now: Millis): string {
    return this.reason;
  }
  confirm(_now: Millis): readonly ForwarderEvent[] {
    return [];
  }
  control(_tag: number, _payload: Uint8Array, _now: Millis): readonly ForwarderEvent[] {
    return [];
  }
  wake(_now: Millis): readonly ForwarderEvent[] {
    return [];
  }
  nextWake(): number {
    return Infinity;
  }
}
