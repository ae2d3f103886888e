/** What the switch is told so that it carries frames between two known addresses before they have a flow. It is what
 * decide() would say of each such frame; a test compares them. */
import type { FlowAction, FlowKey } from "../../wire/netlink/ovs_keys.ts";
import type { DataplaneEffect } from "../ports/dataplane_types.ts";
import type { WhereaboutsEffect } from "../ports/switched_types.ts";
import { keyText } from "./flow_table.ts";
import { type ForwardContext, originOf, sameActions, wayTo } from "./forward.ts";
import type { Place } from "./place.ts";

/** Origins, and ways, that are told at most; frames of others have their flows made first. */
const MAX_WHEREABOUTS = 4_000;

/** An origin of frames, or a way to a place, is told when a decision has made use of it, and until it is another one.
 * Addresses are told when they are learnt. */
export class Whereabouts {
  readonly #origins = new Map<string, { readonly key: FlowKey; readonly place: Place }>();
  readonly #ways = new Map<Place, FlowAction>();
  #portsAt = 0;
  #news: { origins: [FlowKey, Place | undefined][]; ways: [Place, FlowAction | undefined][] } = none();

  constructor(
    readonly parts: {
      readonly context: ForwardContext;
      /** Where effects go. */
      readonly out: { readonly effects: DataplaneEffect[] };
    },
  ) {}

  /** A flow was decided for frames of this key. */
  used({ ethDst, inPort, sleeve, tunnel }: FlowKey): void {
    const { context } = this.parts;
    const to = ethDst === undefined ? undefined : context.macs.placeOf(ethDst);
    if (to === undefined || sleeve !== undefined) return;
    const key: FlowKey = { inPort, tunnel };
    const text = keyText(key);
    if (!this.#origins.has(text) && this.#origins.size < MAX_WHEREABOUTS) {
      const place = originOf(key, context);
      if (place === undefined) return;
      this.#origins.set(text, { key, place });
      this.#news.origins.push([key, place]);
    }
    if (!this.#ways.has(to) && this.#ways.size < MAX_WHEREABOUTS) this.#setWay(to);
  }

  #setWay(to: Place): void {
    const action = wayTo(to, this.parts.context);
    if (action === undefined || action.kind === "sleeve") return;
    this.#ways.set(to, action);
    this.#news.ways.push([to, action]);
  }

  /** Tells what has changed. `network`: ways to peers may be others. */
  tell({ network }: { readonly network: boolean }): void {
    const { context: { macs, ports }, out } = this.parts;
    if (network || ports.revision !== this.#portsAt) this.#check();
    this.#portsAt = ports.revision;
    const moved = macs.changed;
    const { origins, ways } = this.#news;
    if (moved.size === 0 && origins.length === 0 && ways.length === 0) return;
    this.#news = none();
    const effect: WhereaboutsEffect = {
      kind: "whereabouts",
      macs: [...moved].map((mac) => [mac, macs.placeOf(mac)]),
      origins,
      ways,
    };
    moved.clear();
    out.effects.push(effect);
  }

  #check(): void {
    const { context } = this.parts;
    for (const [text, { key, place }] of [...this.#origins]) {
      if (originOf(key, context) === place) continue;
      this.#origins.delete(text); // told again when it is used again
      this.#news.origins.push([key, undefined]);
    }
    for (const [to, action] of [...this.#ways]) {
      const now = wayTo(to, context);
      if (now !== undefined && sameActions([now], [action])) continue;
      this.#ways.delete(to);
      this.#setWay(to);
      if (!this.#ways.has(to)) this.#news.ways.push([to, undefined]);
    }
  }
}

function none(): { origins: []; ways: [] } {
  return { origins: [], ways: [] };
}
