/** What a frame teaches that no flow carries, and whether its sender may have another one looked at. */
import { isGroupMac } from "../../core/addr.ts";
import type { Millis } from "../../core/time.ts";
import type { FlowKey, Miss } from "../../wire/netlink/ovs_keys.ts";
import type { MutableCounters } from "../ports/counters.ts";
import type { DataplaneEffect } from "../ports/dataplane_types.ts";
import type { FlowKeeper } from "./flow_keeper.ts";
import { type Decision, type ForwardContext, identityOf, sourcePlace } from "./forward.ts";
import { isLocalPlace, localPlace, type Place, placePort, placeShort } from "./place.ts";
import { PlaceRates } from "./place_rates.ts";

/** What a learner is made of. */
export interface LearnerParts {
  readonly context: ForwardContext;
  readonly keeper: FlowKeeper;
  readonly counters: MutableCounters;
  /** Where effects go. */
  readonly out: { readonly effects: DataplaneEffect[] };
}

/** What came of it. `flood`: its place has used up its share, the frame is nothing to anybody. */
export type Lesson = "learnt" | "full" | "moved" | "flood";

/** Call learn() for each frame, then carries() with what was decided. */
export class Learner {
  readonly #parts: LearnerParts;
  readonly #rates = new PlaceRates();

  constructor(parts: LearnerParts) {
    this.#parts = parts;
  }

  /** Learns where the source of a frame is. `full`: a bound forbids it. `moved`: it was elsewhere, and a local port shows
   * it now, or tries to. */
  learn({ key }: Miss, now: Millis): Lesson {
    const { context, counters, keeper } = this.#parts;
    const teaches = sourcePlace(key, context);
    const place = this.#origin(key, teaches);
    if (place !== undefined && !this.#rates.allows(place, isGroupMac(key.ethDst), now)) {
      return this.#refused(place, now);
    }
    if (teaches === undefined) return "learnt";
    if (!isLocalPlace(teaches) && context.macs.disclaim(key.ethDst, teaches)) {
      this.#parts.out.effects.push({ kind: "unlearn", mac: key.ethDst });
    }
    const learnt = context.macs.learn(key.ethSrc, teaches, now);
    const evicted = context.macs.takeEvicted();
    if (evicted.length > 0) {
      counters.macLimit += evicted.length;
      keeper.forgetMacs(evicted);
    }
    if (learnt === "full") counters.macLimit++;
    else if (learnt === "moved" || learnt === "new") {
      if (learnt === "moved") counters.macMoves++;
      keeper.table.touchMac(key.ethSrc);
      keeper.redecide(now);
    }
    if (learnt === "full") return "full";
    return learnt !== "same" && learnt !== "new" && isLocalPlace(teaches) ? "moved" : "learnt";
  }

  /** Takes note of a frame that the switch has carried; whether its flow may be decided. What has moved meanwhile is not
   * moved back by news that are late. */
  heard(key: FlowKey, now: Millis): boolean {
    const { context } = this.#parts;
    const place = sourcePlace(key, context);
    if (place === undefined || key.ethSrc === undefined || context.macs.placeOf(key.ethSrc) !== place) {
      return false;
    }
    if (!this.#rates.allowsNews(place, now)) return false;
    context.macs.learn(key.ethSrc, place, now);
    return true;
  }

  /** Whether a frame is carried as was decided. What goes to everybody because nobody knows its destination has its bound
   * here. */
  carries({ key }: Miss, decision: Decision, now: Millis): boolean {
    if (decision.broadcast < 0 || isGroupMac(key.ethDst)) return true;
    const place = this.#origin(key, sourcePlace(key, this.#parts.context));
    if (place === undefined || this.#rates.allowsFlood(place, now)) return true;
    this.#refused(place, now);
    return false;
  }

  /** Whose share a frame takes: of what claims to be a peer's, only that which is. */
  #origin(key: Miss["key"], teaches: Place | undefined): Place | undefined {
    if (teaches !== undefined || identityOf(key) !== undefined) return teaches;
    return this.#parts.context.ports.isLocal(key.inPort) ? localPlace(key.inPort) : undefined;
  }

  #refused(place: Place, now: Millis): "flood" {
    const { context, counters, out } = this.#parts;
    counters.dropped.flood++;
    if (this.#rates.tells(place, now)) {
      const from = isLocalPlace(place)
        ? { interface: context.ports.get(placePort(place))?.name ?? placePort(place) }
        : { shortId: placeShort(place) };
      const reason =
        "it sends more frames for everybody, or from and to new addresses, than one may have carried";
      out.effects.push({ kind: "log", level: "warn", event: "overlay/flood", fields: { ...from, reason } });
    }
    return "flood";
  }
}
