/** The mesh by short ids, as frames name peers: owners, next hops, broadcast hops. */
import type { PeerName, ShortId } from "../../core/names.ts";
import { SHORT_IDS } from "../../core/names.ts";
import type { TopologyView } from "../../core/overlay_port.ts";
import type { RouteLookup } from "../ports/dataplane_types.ts";

/** One state of knowledge about the mesh; immutable, so that what held in the past can be kept by reference. */
export interface Knowledge {
  /** Our own short id, or -1. */
  readonly self: number;
  /** Every short id that somebody owns. */
  owned(): Iterable<ShortId>;
  /** Name of the owner of a short id, if it has one and the name is known. */
  nameOf(short: ShortId): PeerName | undefined;
  /** Short id of the next hop towards a peer; -1 when there is none. */
  nextHop(short: ShortId): number;
  /** Short ids of our onward hops for broadcasts that originated at a peer. */
  broadcastHops(short: ShortId): readonly ShortId[];
}

const NOTHING: readonly ShortId[] = [];

/** What a topology view says. */
export class ViewKnowledge implements Knowledge {
  readonly self: number;
  readonly #indexOf = new Int32Array(SHORT_IDS).fill(-1);
  readonly #shortByName = new Map<PeerName, ShortId>();
  readonly #hops = new Map<ShortId, readonly ShortId[]>();

  constructor(readonly view: TopologyView, readonly routes: RouteLookup) {
    this.self = view.shortIds[view.self] ?? -1;
    view.names.forEach((name, index) => {
      const short = view.shortIds[index] ?? -1;
      if (short < 0 || short >= SHORT_IDS) return;
      this.#indexOf[short] = index;
      this.#shortByName.set(name, short as ShortId);
    });
  }

  owned(): Iterable<ShortId> {
    return this.#shortByName.values();
  }

  nameOf(short: ShortId): PeerName | undefined {
    return this.view.names[this.#indexOf[short]!];
  }

  /** The short id a peer owns, or undefined. */
  shortOf(name: PeerName): ShortId | undefined {
    return this.#shortByName.get(name);
  }

  nextHop(short: ShortId): number {
    const index = this.#indexOf[short]!;
    if (index < 0) return -1;
    const next = this.routes.nextHop(index);
    return next < 0 ? -1 : this.view.shortIds[next] ?? -1;
  }

  broadcastHops(short: ShortId): readonly ShortId[] {
    const index = this.#indexOf[short]!;
    if (index < 0) return NOTHING;
    const known = this.#hops.get(short);
    if (known !== undefined) return known;
    const hops = this.routes.broadcastHops(index)
      .map((hop) => this.view.shortIds[hop] ?? -1)
      .filter((hop): hop is ShortId => hop >= 0);
    this.#hops.set(short, hops);
    return hops;
  }
}

/** What flows found at start say about the mesh before anybody else does. */
export class AdoptedKnowledge implements Knowledge {
  constructor(
    readonly self: number,
    readonly next: ReadonlyMap<ShortId, ShortId>,
    readonly hops: ReadonlyMap<ShortId, readonly ShortId[]>,
  ) {}

  owned(): Iterable<ShortId> {
    return this.self < 0 ? NOTHING : [this.self as ShortId];
  }

  nameOf(_short: ShortId): PeerName | undefined {
    return undefined;
  }

  nextHop(short: ShortId): number {
    return short === this.self ? short : this.next.get(short) ?? -1;
  }

  broadcastHops(short: ShortId): readonly ShortId[] {
    return this.hops.get(short) ?? NOTHING;
  }
}
