/** The ways to other peers as they are used: what the mesh says, links that work, and ways held while a peer restarts. */
import type { Ip } from "../../core/addr.ts";
import type { PeerName, ShortId } from "../../core/names.ts";
import { SHORT_IDS } from "../../core/names.ts";
import type { TopologyView } from "../../core/overlay_port.ts";
import { after, type Millis } from "../../core/time.ts";
import type { PortNo } from "../../wire/netlink/ovs_keys.ts";
import { type Hop, hopText, type Path, type TunnelPath } from "./path.ts";
import type { RouteLookup } from "../ports/dataplane_types.ts";
import { type PeerNumber, peerNumber } from "../../wire/mesh/sleeve.ts";
import type { PeerDirectory } from "../ports/sleeve_port.ts";
import { ADOPT_GRACE_MS, HOLD_MAX_MS, type HoldFacts, holdOf, nextHoldChange } from "./hold.ts";
import { AdoptedKnowledge, type Knowledge, ViewKnowledge } from "./knowledge.ts";

export type { Hop, Path, SleevePath, TunnelPath } from "./path.ts";

/** What links say about addresses. */
export interface LinkFacts {
  /** Ways to peers over working links. */
  readonly paths: ReadonlyMap<PeerName, Path>;
  /** Ways to peers over links that will probably work in a moment, those that do included. */
  readonly likely: ReadonlyMap<PeerName, Path>;
  /** Outer addresses of confirmed links that may send in clear. */
  readonly clear: ReadonlySet<Ip>;
  /** Of these, those of guarded links: our addresses at which they may arrive, as others are not guarded. */
  readonly guardedAt: ReadonlyMap<Ip, ReadonlySet<Ip>>;
  /** Outer addresses of links whose traffic must be encrypted, and of no link that may send in clear. */
  readonly sealed: ReadonlySet<Ip>;
}

/** What a new view means for addresses bound to peers. */
export interface ViewChange {
  /** Peers that now own another short id than before. */
  readonly renamed: readonly { readonly from: ShortId; readonly to: ShortId }[];
  /** Short ids that went from one peer to another. */
  readonly reassigned: readonly ShortId[];
}

/** A way that is kept without a link. */
interface Held {
  name: PeerName | undefined;
  /** The old direct path; undefined: the peer was reached through others. */
  readonly path: TunnelPath | undefined;
  /** What was known of the mesh when the peer was last in it. */
  readonly knowledge: Knowledge;
  readonly since: Millis;
  readonly maxMs: number;
  firm: boolean;
}

/** A peer that said good-bye. */
interface Leaving {
  readonly until: Millis;
  readonly short: ShortId | undefined;
  readonly path: TunnelPath;
  readonly knowledge: Knowledge;
}

/** The path to a held peer can be kept without any. */
const NO_KNOWLEDGE = new AdoptedKnowledge(-1, new Map(), new Map());
/** A view that stood this long is taken for the mesh at rest, not for a moment of a change. */
const SETTLED_MS = 3_000;
/** Different states of the mesh that are kept for the sake of held peers: each may be a megabyte, and a peer that comes
 * and goes could leave one behind each time. */
export const MAX_KEPT_STATES = 16;
/** For this long after an orderly end the peer's leaving the mesh is no reason to hold it. */
const LEAVING_MS = 3_000;

/**
 * Answers are functions of what was told until the last refresh(): they do not change as time passes. After every
 * change, and when `nextWake` comes, call refresh().
 */
export class Network implements PeerDirectory {
  #knowledge: Knowledge = NO_KNOWLEDGE;
  #view: ViewKnowledge | undefined;
  #viewSince = 0 as Millis;
  /** The last view that stood long enough. */
  #settled: ViewKnowledge | undefined;
  #links: ReadonlyMap<PeerName, Path> = new Map();
  #likely: ReadonlyMap<PeerName, Path> = new Map();
  #linkAddresses: ReadonlySet<Ip> = new Set();
  #guardedAt: ReadonlyMap<Ip, ReadonlySet<Ip>> = new Map();
  /** Addresses of links that broke, and until when frames from them are taken. */
  readonly #remembered = new Map<Ip, Millis>();
  readonly #held = new Map<ShortId, Held>();
  readonly #leaving = new Map<PeerName, Leaving>();
  /** Addresses that nothing may come from or go to in clear. */
  #sealed: ReadonlySet<Ip> = new Set();
  readonly #shortByNumber = new Map<PeerNumber, ShortId>();
  readonly #numbers = new Float64Array(SHORT_IDS).fill(-1);
  #nextWake = Infinity;

  /** Our own short id, or -1. */
  get self(): number {
    return this.#knowledge.self;
  }
  /** The peer that has a short id, if it is known. */
  nameOf(short: ShortId): PeerName | undefined {
    return this.#knowledge.nameOf(short);
  }
  /** Earliest time at which refresh() may change something by itself. */
  get nextWake(): number {
    return this.#nextWake;
  }

  /** Believes what flows found at start say, for the time being. `paths` has every short id they name. */
  adopt(knowledge: AdoptedKnowledge, paths: ReadonlyMap<ShortId, TunnelPath | undefined>, now: Millis): void {
    this.#knowledge = knowledge;
    for (const [short, path] of paths) {
      if (short === knowledge.self) continue;
      const held = { name: undefined, path, knowledge, since: now, maxMs: ADOPT_GRACE_MS, firm: true };
      this.#held.set(short, held);
      if (path !== undefined) this.#remembered.set(path.remote, after(now, ADOPT_GRACE_MS));
    }
    this.refresh(now);
  }

  /** Takes a new view of the mesh. */
  setView(view: TopologyView, routes: RouteLookup, now: Millis): ViewChange {
    for (const [name, { until }] of this.#leaving) if (now >= until) this.#leaving.delete(name);
    const kept = new Set(this.#held.values().map((held) => held.knowledge));
    const old = this.#view;
    const fresh = new ViewKnowledge(view, routes);
    const renamed: { from: ShortId; to: ShortId }[] = [];
    const reassigned: ShortId[] = [];
    const compare = (short: ShortId, name: PeerName | undefined) => {
      const to = name === undefined ? undefined : fresh.shortOf(name);
      if (to !== undefined && to !== short) renamed.push({ from: short, to });
      const owner = fresh.nameOf(short);
      if (name !== undefined && owner !== undefined && owner !== name) reassigned.push(short);
    };
    for (const [short, held] of this.#held) {
      held.name ??= fresh.nameOf(short);
      compare(short, held.name);
      const owner = fresh.nameOf(short);
      const elsewhere = held.name !== undefined && fresh.shortOf(held.name) !== undefined &&
        owner === undefined;
      if (elsewhere || short === fresh.self || (owner !== undefined && owner !== held.name)) {
        this.#held.delete(short);
      }
    }
    for (const short of old?.owned() ?? []) {
      if (short === old!.self) continue;
      if (!this.#held.has(short)) compare(short, old!.nameOf(short));
      this.#holdVanished(short, { old: old!, fresh, kept }, now);
    }
    if (now - this.#viewSince >= SETTLED_MS) this.#settled = old;
    this.#view = fresh;
    this.#renumber(fresh);
    this.#viewSince = now;
    this.#knowledge = fresh;
    this.refresh(now);
    return { renamed, reassigned };
  }

  /** Holds a peer that was reachable and is no longer, and that we lost no link to. */
  #holdVanished(
    short: ShortId,
    { old, fresh, kept }: { old: Knowledge; fresh: ViewKnowledge; kept: Set<Knowledge> },
    now: Millis,
  ): void {
    const name = old.nameOf(short);
    if (name === undefined || this.#held.has(short) || this.#leaving.has(name)) return;
    if (old.nextHop(short) < 0 || fresh.nextHop(short) >= 0 || short === fresh.self) return;
    const other = fresh.shortOf(name);
    const owner = fresh.nameOf(short);
    if ((other !== undefined && other !== short) || (owner !== undefined && owner !== name)) return;
    const knowledge = this.#atRest(short, name, now) ?? old;
    if (!kept.has(knowledge) && kept.size >= MAX_KEPT_STATES) return;
    kept.add(knowledge);
    this.#held.set(short, { name, path: undefined, knowledge, since: now, maxMs: HOLD_MAX_MS, firm: false });
  }

  /** The mesh before the change under way, if the peer could be reached in it. When a router dies its neighbours
   * notice one after the other; the views in between show ways that nobody ever used. */
  #atRest(short: ShortId, name: PeerName, now: Millis): Knowledge | undefined {
    const view = now - this.#viewSince >= SETTLED_MS ? this.#view : this.#settled;
    return view?.nameOf(short) === name && view.nextHop(short) >= 0 ? view : undefined;
  }

  /** Sets the working links' paths, the addresses from which confirmed links may send in clear, and those from which
   * nothing may come in clear, nor go there. */
  setLinks(links: LinkFacts, now: Millis): void {
    this.#links = links.paths;
    this.#likely = links.likely;
    this.#linkAddresses = links.clear;
    const old = [...this.#guardedAt].filter(([ip]) => this.#remembered.has(ip) && !links.clear.has(ip));
    this.#guardedAt = new Map([...old, ...links.guardedAt]);
    this.#sealed = links.sealed;
    for (const address of links.sealed) this.#remembered.delete(address);
    for (const [short, { path }] of this.#held) {
      if (path !== undefined && links.sealed.has(path.remote)) this.#held.delete(short);
    }
    this.refresh(now);
  }

  /** The last working link of a peer broke: it may be restarting. Call before setLinks() without it. */
  lost(name: PeerName, path: TunnelPath, now: Millis): void {
    const short = this.#view?.shortOf(name);
    if (short === undefined || short === this.self) return;
    this.#hold(short, { name, path, knowledge: this.#atRest(short, name, now) ?? this.#knowledge }, now);
  }

  #hold(short: ShortId, old: Pick<Held, "name" | "knowledge"> & { path: TunnelPath }, now: Millis): void {
    const kept = new Set(this.#held.values().map((held) => held.knowledge));
    const knowledge = kept.has(old.knowledge) || kept.size < MAX_KEPT_STATES ? old.knowledge : NO_KNOWLEDGE;
    this.#held.set(short, { ...old, knowledge, since: now, maxMs: HOLD_MAX_MS, firm: true });
    this.#remembered.set(old.path.remote, after(now, HOLD_MAX_MS));
  }

  /** A peer said good-bye: nothing of it is kept. */
  left(name: PeerName, path: TunnelPath, now: Millis): void {
    this.#remembered.delete(path.remote);
    const short = this.#view?.shortOf(name);
    const knowledge = (short === undefined ? undefined : this.#atRest(short, name, now)) ?? this.#knowledge;
    this.#leaving.set(name, { until: after(now, LEAVING_MS), short, path, knowledge });
    for (const [short, held] of this.#held) if (held.name === name) this.#held.delete(short);
    this.refresh(now);
  }

  /** A new link of a peer is prepared: if the old one has just ended in order, it was replaced, and what the peer's
   * kernel still forwards is worth keeping until the new one works. */
  returned(name: PeerName, now: Millis): void {
    const old = this.#leaving.get(name);
    this.#leaving.delete(name);
    if (old?.short === undefined || now >= old.until || this.#held.has(old.short)) return;
    this.#hold(old.short, { name, path: old.path, knowledge: old.knowledge }, now);
  }

  /** A tunnel port is gone, and with it every path held through it. */
  forgetPort(port: PortNo, now: Millis): void {
    for (const [short, held] of this.#held) if (held.path?.port === port) this.#held.delete(short);
    this.refresh(now);
  }

  /** Applies the rule of holding. */
  refresh(now: Millis): void {
    this.#nextWake = Infinity;
    const facts: [ShortId, Held, HoldFacts][] = [];
    for (const [short, held] of this.#held) facts.push([short, held, this.#factsOf(short, held, now)]);
    for (const [short, held, fact] of facts) {
      const verdict = holdOf(fact);
      if (verdict === "gone") {
        this.#held.delete(short);
        continue;
      }
      held.firm = verdict === "firm";
      this.#nextWake = Math.min(this.#nextWake, held.since + nextHoldChange(fact));
    }
    for (const [address, until] of this.#remembered) {
      if (now >= until) this.#remembered.delete(address);
      else this.#nextWake = Math.min(this.#nextWake, until);
    }
  }

  #factsOf(short: ShortId, held: Held, now: Millis): HoldFacts {
    const next = this.#knowledge.nextHop(short);
    const nextPath = next < 0 ? undefined : this.#linkPath(next as ShortId);
    const route = nextPath === undefined ? "none" : next === short ? "direct" : "other";
    return { ageMs: now - held.since, maxMs: held.maxMs, direct: held.path !== undefined, route };
  }

  /** What is held without a link, for reports. */
  held(now: Millis): readonly { peer: PeerName | undefined; shortId: number; forMs: number }[] {
    return [...this.#held].map(([shortId, held]) => ({ peer: held.name, shortId, forMs: now - held.since }));
  }

  /** Whether frames from this outer address may be taken that arrived at `at`, an address of ours. */
  accepts(address: Ip, at: Ip): boolean {
    if (!this.#linkAddresses.has(address) && !this.#remembered.has(address)) return false;
    return this.#guardedAt.get(address)?.has(at) ?? true;
  }

  /** Changes when accepts() may answer something else for this outer address. */
  acceptance(address: Ip): string {
    if (!this.#linkAddresses.has(address) && !this.#remembered.has(address)) return "no";
    return [...this.#guardedAt.get(address) ?? []].sort().join(" ");
  }

  /** Whether frames from or to this outer address would have to be encrypted. */
  mustBeSealed(address: Ip): boolean {
    return this.#sealed.has(address);
  }

  /** See PeerDirectory. */
  shortOfNumber(peer: PeerNumber): number {
    return this.#shortByNumber.get(peer) ?? -1;
  }

  /** See PeerDirectory. */
  numberOf(short: ShortId): number {
    return this.#numbers[short] ?? -1;
  }

  #renumber(view: ViewKnowledge): void {
    this.#shortByNumber.clear();
    this.#numbers.fill(-1);
    for (const short of view.owned()) {
      const number = peerNumber(view.nameOf(short)!);
      this.#shortByNumber.set(number, short);
      this.#numbers[short] = number;
    }
  }

  /** Whether some peer is behind a short id. */
  knows(short: ShortId): boolean {
    return short === this.self || this.#knowledge.nameOf(short) !== undefined || this.#held.has(short);
  }

  /** The short id of a peer, also of one that is only held. */
  shortOf(name: PeerName): ShortId | undefined {
    const short = this.#view?.shortOf(name);
    if (short !== undefined) return short;
    for (const [held, { name: other }] of this.#held) if (other === name) return held;
    return undefined;
  }

  #linkPath(short: ShortId): Path | undefined {
    const name = this.#knowledge.nameOf(short) ?? this.#held.get(short)?.name;
    return name === undefined ? undefined : this.#links.get(name);
  }

  /** The path to a neighbour: over its link, or the one held. */
  #path(short: ShortId): Path | undefined {
    return this.#linkPath(short) ?? this.#held.get(short)?.path;
  }

  /** Where to hand frames for a peer other than ourselves; undefined: nowhere. */
  unicast(short: ShortId): Hop | undefined {
    if (this.self < 0) return undefined;
    const held = this.#held.get(short);
    if (held?.firm === true) return this.#hop(short);
    return this.#hop(this.#knowledge.nextHop(short)) ??
      (held === undefined ? undefined : this.#hop(short) ?? this.#hop(held.knowledge.nextHop(short))) ??
      this.#newcomer(short);
  }

  /** The way to a neighbour whose link is so new that the mesh does not count on it yet: it takes both ends to say that it
   * works, and for everybody to hear of it. Meanwhile what is for the neighbour itself may as well go there. */
  #newcomer(short: ShortId): Hop | undefined {
    const name = this.#knowledge.nameOf(short);
    const path = name === undefined ? undefined : this.#likely.get(name);
    return path === undefined || short === this.self ? undefined : { short, path };
  }

  #hop(short: number): Hop | undefined {
    if (short < 0 || short >= SHORT_IDS || short === this.self) return undefined;
    const path = this.#path(short as ShortId);
    return path === undefined ? undefined : { short: short as ShortId, path };
  }

  /** Where to hand broadcasts that originated at a peer (or at us), ascending by short id. Ours go to newcomers, too:
   * nobody else has a way to them. */
  broadcast(source: ShortId): readonly Hop[] {
    if (this.self < 0) return [];
    const shorts = new Set(this.#knowledge.broadcastHops(source));
    for (const [short, held] of this.#held) {
      if (held.path !== undefined && held.knowledge.broadcastHops(source).includes(short)) shorts.add(short);
    }
    const origin = this.#held.get(source);
    if (origin !== undefined && this.#knowledge.nextHop(source) < 0) {
      for (const hop of origin.knowledge.broadcastHops(source)) shorts.add(hop);
    }
    const hops = source === this.self ? this.#newcomers(shorts) : [];
    for (const short of shorts) {
      const hop = this.#hop(short);
      if (hop !== undefined && short !== source) hops.push(hop);
    }
    return hops.sort((a, b) => a.short - b.short);
  }

  #newcomers(others: ReadonlySet<ShortId>): Hop[] {
    const hops: Hop[] = [];
    for (const [name, path] of this.#likely) {
      const short = this.shortOf(name);
      if (short === undefined || short === this.self || others.has(short)) continue;
      if (this.#knowledge.nextHop(short) < 0) hops.push({ short, path });
    }
    return hops;
  }

  /** A text that changes when unicast() or knows() of a peer does. */
  unicastSignature(short: ShortId): string {
    const hop = short === this.self ? undefined : this.unicast(short);
    return `${this.self} ${this.knows(short)} ${hop === undefined ? "" : hopText(hop)}`;
  }

  /** A text that changes when broadcast() of a peer does. */
  broadcastSignature(source: ShortId): string {
    return `${this.self} ${this.broadcast(source).map(hopText).join(" ")}`;
  }
}
