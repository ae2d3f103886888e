/** The overlays of one link: which exist at both ends, which of them is used (source: spec dataplane.md 1.1 to 1.4). */
import { assertNever } from "../../core/brand.ts";
import { DAEMON_HANGS, type LinkStatus, type OverlayName } from "../../core/overlay_port.ts";
import type { Millis } from "../../core/time.ts";
import type { FlowAction } from "../../wire/netlink/ovs_keys.ts";
import { decodeOverlayControl, encodeOverlayControl } from "../../wire/mesh/overlay_control.ts";
import type { SpecialFrame } from "../../wire/mesh/sleeve_special.ts";
import type { XfrmEffect } from "../ports/esp_port.ts";
import type { Forwarder, ForwarderEvent } from "./forwarder.ts";
import { isMissed } from "./beats.ts";
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
  /** Nothing comes from the peer any more, and its daemon does not say why: it hangs, or the host is dead. */
  | { readonly kind: "unanswered" }
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

/** A peer that is asked for a sign has this long. */
const SIGN_MS = 500;

/** A daemon that was silent and is there again proves within this time that an overlay works. */
const AWAKE_MS = 3_000;

/** The slots of one link. It has the methods of a Forwarder; control messages are as on the wire. */
export class LinkSwitch {
  #established = false;
  #failed = false;
  /** Told that nothing comes from the peer any more. */
  #unanswered = false;
  /** The last sign of the peer, if it was asked for another one since. */
  #askedSince = -Infinity;
  /** The last sign of the peer, if it was told that nothing has come since. */
  #quietSince = -Infinity;
  /** When the link fails unless an overlay works by then. */
  #failAt = Infinity;
  /** What path() was when last told. */
  #kind: Path["kind"] | undefined;

  /** `bare`: the peer is so old that it names no overlays, and control messages have neither index nor tag of their own. */
  constructor(readonly slots: readonly Forwarder[], readonly options: SwitchOptions) {}

  /** The overlay in use: the first that works. If none works, the first that may. */
  best(): Forwarder | undefined {
    const usable = this.slots.filter((slot) => !slot.onHold);
    return usable.find((slot) => slot.established) ?? usable[0];
  }

  /** The way over the overlay in use, once that works. Where a tunnel fell silent it is left when another overlay has
   * proven itself: if none does, the peer's daemon hangs perhaps, and the kernels go on. */
  path(): Path | undefined {
    const best = this.best();
    const silent = this.#silentSlot();
    if (best?.established !== true) return silent?.lastResort;
    const { lostAt = -Infinity, lastResort } = silent ?? {};
    return lastResort !== undefined && (best.provenAt ?? Infinity) < lostAt ? lastResort : best.path;
  }

  /** The slot that fell silent and may carry traffic all the same: its peer's daemon has not said that it is there. */
  #silentSlot(): Forwarder | undefined {
    return this.slots.find(({ hereAt = -Infinity, lastResort, lostAt = -Infinity }) =>
      lastResort !== undefined && (hereAt < lostAt || this.#failAt < Infinity)
    );
  }

  /** The overlay in use if it works, or may work although the peer's daemon hangs. */
  #working(): Forwarder | undefined {
    const best = this.best();
    return best?.established === true ? best : this.#silentSlot();
  }

  /** Whether the peer's daemon says nothing, while traffic may go on. */
  get hangs(): boolean {
    return this.best()?.established !== true && this.#silentSlot() !== undefined;
  }

  /** The way that will probably work in a moment, for use where there is no other. */
  likelyPath(): Path | undefined {
    return this.path() ?? this.slots.find((slot) => slot.likelyPath !== undefined)?.likelyPath;
  }

  /** The state for people. */
  status(now: Millis): LinkStatus {
    const working = this.#working();
    const measured = working && this.#measured(working);
    return {
      overlay: working?.overlay,
      mtu: working?.mtu,
      encrypted: working !== undefined && this.options.sealed,
      rttMs: measured?.rttMs,
      why: this.hangs ? DAEMON_HANGS : this.#why(working, now),
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
    const working = this.#working();
    if (working === undefined) return { rttAgeMs: undefined, silentMs: undefined };
    const silence = now - working.heardAt;
    const measured = this.#measured(working);
    return {
      rttAgeMs: measured.rttMs === undefined ? undefined : now - measured.rttAt,
      silentMs: silence < SILENT_AFTER_MS && !this.hangs ? undefined : silence,
    };
  }

  /** Who measured the round trip last: tunnels do it once, when they begin, and user space again and again, between the
   * same two daemons. */
  #measured(working: Forwarder): Forwarder {
    return this.slots.reduce(
      (a, b) => b.rttMs !== undefined && !b.onHold && b.rttAt > a.rttAt ? b : a,
      working,
    );
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
    if (slot === undefined) return [];
    const said = slot.control(tag, payload, now);
    const hung = this.#unanswered;
    // A daemon that is there after all gets the time to show that an overlay works.
    if (hung && slot.hereAt === now) this.#failAt = Math.min(this.#failAt, now + AWAKE_MS);
    const events = this.take(index, said, now);
    return hung ? [...events, ...this.#checkFailure(now)] : events;
  }

  /** Time has passed. All that came until `readUntil` has been read. */
  wake(now: Millis, readUntil: Millis): readonly SwitchEvent[] {
    const events: SwitchEvent[] = this.slots.flatMap((slot, index) =>
      now >= slot.nextWake() ? this.take(index, slot.wake(now, readUntil), now) : []
    );
    if (isMissed(this.#quietAt, now, readUntil)) events.push(...this.#askOrTell(now));
    return now >= this.#failAt ? [...events, ...this.#checkFailure(now)] : events;
  }

  /** Earliest time at which wake() or status() may say something new. */
  nextWake(): number {
    return Math.min(this.#failAt, this.#quietAt, ...this.slots.map((slot) => slot.nextWake()));
  }

  /** When a link that nobody uses, and whose loss nobody would notice therefore, has been quiet for too long. */
  get #quietAt(): number {
    const heard = this.#heardAt;
    if (this.#working() === undefined || heard === this.#quietSince || this.#unanswered) return Infinity;
    return heard + SILENT_AFTER_MS + (heard === this.#askedSince ? SIGN_MS : 0);
  }

  /** When anything came from the peer last, over whichever overlay. */
  get #heardAt(): number {
    return Math.max(...this.slots.map(({ heardAt }) => heardAt));
  }

  /** The link is quiet: the peer is asked for a sign; where it is not asked, or gives none, this is told. */
  #askOrTell(now: Millis): readonly SwitchEvent[] {
    const heard = this.#heardAt;
    const asked = heard === this.#askedSince
      ? []
      : this.slots.flatMap((slot, index) =>
        slot.ask === undefined ? [] : this.take(index, slot.ask(now), now)
      );
    this.#askedSince = heard;
    if (asked.length > 0) return asked;
    this.#quietSince = heard;
    return [{ kind: "unanswered" }];
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
    const kind = this.path()?.kind;
    if (kind !== this.#kind && !out.some((event) => event.kind === "changed")) out.push({ kind: "changed" });
    this.#kind = kind;
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
    if (!this.#established || this.#failed) return [];
    if (this.best() !== undefined) {
      this.#unanswered = false;
      this.#failAt = Infinity;
      return [];
    }
    if (now < this.#failAt && (this.#failAt < Infinity || this.#silentSlot() !== undefined)) {
      if (this.#unanswered) return [];
      this.#unanswered = true;
      return [{ kind: "unanswered" }];
    }
    this.#failAt = Infinity;
    this.#failed = true;
    return [{ kind: "failed", reason: `no overlay works: ${this.#why(undefined, now)}` }];
  }
}
