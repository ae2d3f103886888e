/** The overlays of one link: which exist at both ends, which of them is used (source: spec dataplane.md 1.1 to 1.4). */
import { assertNever } from "../../core/brand.ts";
import type { LinkStatus, OverlayName } from "../../core/overlay_port.ts";
import type { Millis } from "../../core/time.ts";
import type { FlowAction } from "../../wire/netlink/ovs_keys.ts";
import { decodeOverlayControl, encodeOverlayControl } from "../../wire/mesh/overlay_control.ts";
import type { SpecialFrame } from "../../wire/mesh/sleeve_special.ts";
import type { XfrmEffect } from "../ports/esp_port.ts";
import type { Forwarder, ForwarderEvent } from "./forwarder.ts";
import type { LinkAges, OverlayReport } from "../ports/dataplane_types.ts";
import type { Path } from "../paths/network.ts";

/** The index of an overlay is one octet. */
const MAX_COMMON = 256;

/** What a switch wants done, or has found out. */
export type SwitchEvent =
  /** Send this mesh message to the peer. */
  | { readonly kind: "send"; readonly message: Uint8Array }
  /** Run an action on a frame of our own. */
  | { readonly kind: "frame"; readonly frame: Uint8Array; readonly action: FlowAction }
  /** Send a frame over user space. */
  | { readonly kind: "special"; readonly df: boolean; readonly frame: SpecialFrame }
  /** Have the kernel's IPsec do something. */
  | { readonly kind: "xfrm"; readonly effect: XfrmEffect }
  /** The first overlay works. Once. */
  | { readonly kind: "established" }
  /** The link carried traffic and has no working overlay any more. */
  | { readonly kind: "failed"; readonly reason: string }
  /** The way to the peer has changed. */
  | { readonly kind: "changed" };

/** Overlays of ours that the peer also named, in our order: their positions are used on the wire. */
export function commonOverlays(
  ours: readonly OverlayName[],
  theirs: readonly string[],
): readonly OverlayName[] {
  return ours.filter((name) => theirs.includes(name)).slice(0, MAX_COMMON);
}

/** What slots have in common. */
export interface SwitchOptions {
  /** Whether what working overlays of this link carry is sealed. */
  readonly sealed: boolean;
  readonly bare: boolean;
  /** Why fastdp is not among the slots; undefined: it is. */
  readonly noFastdp: string | undefined;
}

/** A peer that works says something at least every ten seconds, or eleven. */
export const SILENT_AFTER_MS = 13_000;

/** The slots of one link. It has the methods of a Forwarder; control messages are as on the wire. */
export class LinkSwitch {
  #established = false;
  #failed = false;

  /** `bare`: the peer is so old that it names no overlays, and control messages have neither index nor tag of their own. */
  constructor(readonly slots: readonly Forwarder[], readonly options: SwitchOptions) {}

  /** The overlay in use: the first that works. If none works, the first that may. */
  best(): Forwarder | undefined {
    const usable = this.slots.filter((slot) => !slot.onHold);
    return usable.find((slot) => slot.established) ?? usable[0];
  }

  /** The way over the overlay in use, once that works. */
  path(): Path | undefined {
    const best = this.best();
    return best?.established === true ? best.path : undefined;
  }

  /** The way that will probably work in a moment, for use where there is no other. */
  likelyPath(): Path | undefined {
    return this.path() ?? this.slots.find((slot) => slot.likelyPath !== undefined)?.likelyPath;
  }

  /** The state for people. */
  status(now: Millis): LinkStatus {
    const best = this.best();
    const working = best?.established === true ? best : undefined;
    return {
      overlay: working?.overlay,
      mtu: working?.mtu,
      encrypted: working !== undefined && this.options.sealed,
      rttMs: working?.rttMs,
      why: this.#why(working, now),
    };
  }

  /** How each overlay is by itself, whichever is used. */
  overlays(now: Millis): readonly OverlayReport[] {
    return this.slots.map((slot) => ({
      overlay: slot.overlay,
      works: slot.established && !slot.onHold,
      why: slot.why(now),
    }));
  }

  /** How old what status() says is, and how long the peer has been silent. */
  ages(now: Millis): LinkAges {
    const best = this.best();
    if (best?.established !== true) return { rttAgeMs: undefined, silentMs: undefined };
    const silence = now - best.heardAt;
    return {
      rttAgeMs: best.rttMs === undefined ? undefined : now - best.rttAt,
      silentMs: silence < SILENT_AFTER_MS ? undefined : silence,
    };
  }

  /** Why the overlays that would be better than the working one are not used: `no fastdp: REASON`, for each. */
  #why(working: Forwarder | undefined, now: Millis): string | undefined {
    const better = working === undefined ? this.slots : this.slots.slice(0, this.slots.indexOf(working));
    const { noFastdp } = this.options;
    const absent = noFastdp === undefined ? [] : [{ overlay: "fastdp", why: noFastdp }];
    const reasons = absent.concat(better.flatMap((slot) => {
      const why = slot.why(now);
      return why === undefined ? [] : [{ overlay: slot.overlay, why }];
    }));
    if (reasons.length === 0) return undefined;
    return reasons.map(({ overlay, why }) => `no ${overlay}: ${why}`).join("; ");
  }

  /** The mesh keeps the connection. */
  confirm(now: Millis): readonly SwitchEvent[] {
    return this.slots.flatMap((slot, index) => this.take(index, slot.confirm(now), now));
  }

  /** An overlay control message came. What cannot be read and what is about no slot is ignored. */
  control(message: Uint8Array, now: Millis): readonly SwitchEvent[] {
    const read = decodeOverlayControl(message);
    if (!read.ok || read.value.bare !== this.options.bare) return [];
    const { index, tag, payload } = read.value;
    const slot = this.slots[index];
    return slot === undefined ? [] : this.take(index, slot.control(tag, payload, now), now);
  }

  /** Time has passed. All that came until `readUntil` has been read. */
  wake(now: Millis, readUntil: Millis): readonly SwitchEvent[] {
    return this.slots.flatMap((slot, index) =>
      now >= slot.nextWake() ? this.take(index, slot.wake(now, readUntil), now) : []
    );
  }

  /** Earliest time at which wake() or status() may say something new. */
  nextWake(): number {
    return Math.min(Infinity, ...this.slots.map((slot) => slot.nextWake()));
  }

  /** Passes on what the forwarder in a slot says. */
  take(index: number, events: readonly ForwarderEvent[], now: Millis): readonly SwitchEvent[] {
    const out: SwitchEvent[] = [];
    for (const event of events) {
      switch (event.kind) {
        case "control":
          out.push({
            kind: "send",
            message: encodeOverlayControl({
              bare: this.options.bare,
              index,
              tag: event.tag,
              payload: event.payload,
            }),
          });
          break;
        case "frame":
        case "special":
        case "xfrm":
          out.push(event);
          break;
        case "established":
          if (!this.#established) out.push({ kind: "established" });
          this.#established = true;
          out.push({ kind: "changed" });
          break;
        case "health":
          out.push({ kind: "changed" }, ...this.#checkFailure(now));
          if (!event.good && event.moving !== true) out.push(...this.#verifyOthers(index, now));
          break;
        case "moved":
          out.push({ kind: "changed" });
          break;
        default:
          return assertNever(event);
      }
    }
    return out;
  }

  /** An overlay is lost: those that are to take over may be lost as well, without having noticed. */
  #verifyOthers(lost: number, now: Millis): readonly SwitchEvent[] {
    return this.slots.flatMap((slot, index) =>
      index === lost || slot.verify === undefined ? [] : this.take(index, slot.verify(now), now)
    );
  }

  /** A link that carried traffic and cannot any more must end, so that the mesh routes around it. One that never
   * did stays: nothing is routed over it, gossip needs it, and its heartbeats go on. */
  #checkFailure(now: Millis): readonly SwitchEvent[] {
    if (!this.#established || this.#failed || this.best() !== undefined) return [];
    this.#failed = true;
    return [{ kind: "failed", reason: `no overlay works: ${this.#why(undefined, now)}` }];
  }
}
