/** What other peers say: states, requests for space, denials (source: spec ipam.md, sections 4.3 to 4.5). */
import type { PeerName } from "../core/names.ts";
import { type IpamRange, type IpamRing, type IpamState, MAX_IPAM_ENTRIES } from "../wire/ipam/ipam_types.ts";
import type { Parts } from "./parts.ts";
import { mergeRings, type RingContent, ringFault, seedsDiffer } from "./ring_merge.ts";
import { commonSpan, rangeText } from "./universe.ts";
import { differentRanges, differentSeeds, removedHere } from "./words.ts";

/** Most requests for space that are kept while nothing may be handed out. */
const MAX_DEFERRED = 256;

/** What a state led to. */
export interface StateNews {
  /** Why it is refused. */
  readonly refused: string | undefined;
  /** Whether the ring is another one now. */
  readonly ringChanged: boolean;
  /** Whether we own more or less than before in a ring that was known. */
  readonly oursChanged: boolean;
  /** Whether anybody does. */
  readonly moved: boolean;
  /** Whether the other one knows all that we know of owners. */
  readonly isSame: boolean;
  /** Whether the election has news, or somebody wants one. */
  readonly election: "merged" | "wanted" | undefined;
}

const NOTHING: StateNews = {
  refused: undefined,
  ringChanged: false,
  oursChanged: false,
  moved: false,
  isSame: false,
  election: undefined,
};

/** Who owns what, as text. */
export function ownership(entries: RingContent["entries"]): string {
  return entries.map(({ owner, token }) => `${token} ${owner}`).join();
}

/** Takes in what others say. */
export class Exchange {
  readonly #parts: Parts;
  /** Requests that came while nothing may be handed out. */
  #deferred: { readonly source: PeerName; readonly range: IpamRange }[] = [];

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Whether requests of others wait. */
  get defers(): boolean {
    return this.#deferred.length > 0;
  }

  /** Merges a state. What cannot be merged changes nothing but the list of the lost. */
  take(state: IpamState, source: PeerName | undefined): StateNews {
    const { members, nicknames, ring } = this.#parts;
    const others = state.members?.members.map(({ peer }) => peer) ?? [];
    this.#parts.met(source === undefined ? others.filter(this.#parts.reaches) : [source]);
    if (state.members !== undefined) {
      if (members.findTwin(state.members)) this.#parts.foundTwin();
      members.mergeLost(state.members);
      if (members.isRemoved) this.#declaredLost();
    }
    for (const [peer, nickname] of state.nicknames) {
      if (peer !== this.#parts.self && (nicknames.has(peer) || nicknames.size < MAX_IPAM_ENTRIES)) {
        nicknames.set(peer, nickname);
      }
    }
    const news = state.ring === undefined ? this.#withoutRing(state, source) : this.#mergeRing(state.ring);
    if (news.refused === undefined && state.members !== undefined) members.mergeMembers(state.members);
    if (news.ringChanged && !ring.isEmpty) this.#forgetNicknames();
    return news;
  }

  /** Somebody wants space. */
  request(source: PeerName, range: IpamRange): void {
    const { ring, self, universe, space, members } = this.#parts;
    if (ring.isEmpty || source === self || members.isLost(source) || this.#parts.gone) return;
    if (this.#parts.blocked() !== undefined) return;
    if (this.#parts.holding) {
      if (this.#deferred.length < MAX_DEFERRED) this.#deferred.push({ source, range });
      return;
    }
    const { wireStart } = universe;
    const before = ring.rangesOf(self);
    const given = space.donate({ start: range.start - wireStart, end: range.end - wireStart });
    if (given === undefined) {
      // Who is of our make learns from the update whom to ask instead.
      if (!members.has(source) || this.#ownsSome(range)) this.#parts.send(source, { kind: "denied", range });
    } else {
      ring.grant(given, source);
      this.#parts.trustOwn();
      this.#parts.followRing(before);
      this.#parts.saveRing();
      // One that needs much asks many: it tells the others once for all of them.
      if (!members.has(source)) this.#parts.broadcast();
    }
    this.#parts.update(source);
  }

  #ownsSome({ end, start }: IpamRange): boolean {
    const { ring, self, universe: { wireStart } } = this.#parts;
    const asked = { start: start - wireStart, end: end - wireStart };
    return ring.rangesOf(self).some((span) => commonSpan(span, asked) !== undefined);
  }

  /** Answers what waited, now that addresses may be handed out. */
  resume(): void {
    const deferred = this.#deferred;
    this.#deferred = [];
    for (const { source, range } of deferred) this.request(source, range);
  }

  /** A state of somebody who has no ring. */
  #withoutRing({ paxos }: IpamState, source: PeerName | undefined): StateNews {
    const { ring, election } = this.#parts;
    if (!ring.isEmpty) {
      if (source !== undefined) this.#parts.update(source);
      return NOTHING;
    }
    if (election === undefined) return NOTHING;
    if (paxos !== undefined) {
      return { ...NOTHING, election: election.merge(paxos) ? "merged" : undefined };
    }
    return { ...NOTHING, election: source === undefined ? undefined : "wanted" };
  }

  #mergeRing(theirs: IpamRing): StateNews {
    const { ring, universe, self, space, members, nicknames } = this.#parts;
    const { wireStart, size } = universe;
    const refused = (reason: string) => ({ ...NOTHING, refused: reason });
    const textOf = (at: number) => universe.ipAt(at);
    const entries = theirs.entries.map(({ token, owner, version, free }) => ({
      ...{ token: token - theirs.start, owner, version, free },
    }));
    const fault = ringFault(entries, { size: theirs.end - theirs.start, textOf });
    if (fault !== undefined) return refused(fault);
    const content = { entries, seeds: theirs.seeds };
    const options = {
      ...{ self, size, textOf, isLost: members.isLost.bind(members) },
      allFree: space.allFree.bind(space),
      fromDisk: this.#parts.fromDisk && !members.wasLost ? this.#parts.sure : undefined,
    };
    if (theirs.start !== wireStart || theirs.end !== wireStart + size) {
      const [received, ours] = [rangeText(theirs.start, theirs.end), universe.spanText(universe.span)];
      return refused(
        seedsDiffer(ring, content)
          ? differentSeeds(content, ring, { nicknames, self })
          : differentRanges(received, ours),
      );
    }
    const merged = mergeRings(ring, content, options);
    if (merged.kind === "different-seeds") {
      if (this.#givesWay(content)) {
        this.#parts.sure.clear(); // of the ring that is forgotten
        return this.#install(content);
      }
      return refused(differentSeeds(content, ring, { nicknames, self }));
    }
    if (merged.kind === "refused") {
      ring.install(merged.ring.entries, merged.ring.seeds);
      if (!members.wasLost) return refused(merged.reason);
      this.#parts.succeeded = true;
      this.#parts.note("update-refused", merged.reason);
      return refused(removedHere());
    }
    const wasEmpty = ring.isEmpty;
    const installed = this.#install(merged.ring, merged.changed);
    const news = { ...installed, isSame: ownership(entries) === ownership(ring.entries) };
    if (this.#parts.fromDisk) this.#parts.heardOfOurs(entries);
    if (wasEmpty && this.#wasUsed()) this.#parts.careful = true;
    return news;
  }

  #install(content: RingContent, changed = true): StateNews {
    const { ring, self } = this.#parts;
    const before = ring.rangesOf(self);
    const wasEmpty = ring.isEmpty;
    const moved = changed && ownership(ring.entries) !== ownership(content.entries);
    ring.install(content.entries, content.seeds);
    if (!changed) return NOTHING;
    const oursChanged = this.#parts.followRing(before) && !wasEmpty;
    if (moved) this.#parts.moves++;
    if (moved) this.#parts.saveRing(); // versions and free counts of others alone are learned anew
    return { ...NOTHING, ringChanged: true, oursChanged, moved: moved && !wasEmpty };
  }

  /** Whether we have been given ranges in which somebody under our name has been before. */
  #wasUsed(): boolean {
    const { ring, self } = this.#parts;
    return ring.entries.some(({ owner, version, free }, index) => {
      const room = ring.spansAt(index).reduce((sum, { start, end }) => sum + end - start, 0);
      return owner === self && (version > 0 || free < room);
    });
  }

  /**
   * Whether we may forget our ring for one that was begun by others: nothing of ours is in use, nobody but us has a
   * share, or we have none, and theirs is to be preferred: the one that is in use, else the one of the lower seeds.
   */
  #givesWay({ entries, seeds }: RingContent): boolean {
    const { ring, self, space } = this.#parts;
    if (space.used.size > 0) return false;
    const alone = `${ring.seeds}` === self && ring.entries.every(({ owner }) => owner === self);
    if (!alone && this.#parts.owns(self)) return false;
    const inUse = (all: typeof entries) => all.reduce((sum, { free }) => sum + free, 0) < ring.size;
    const [ours, theirs] = [inUse(ring.entries), inUse(entries)];
    return ours === theirs ? `${seeds}` < `${ring.seeds}` : theirs;
  }

  /** Others say that we are lost. One that owns nothing just goes on. */
  #declaredLost(): void {
    const { members, self, space } = this.#parts;
    if (this.#parts.owns(self) || space.used.size > 0 || this.#parts.gone) return;
    members.rejoin();
    this.#parts.broadcast(); // until others hear of it, they answer none of our requests
  }

  /** Nicknames of peers that are neither here nor owners of anything. */
  #forgetNicknames(): void {
    const { nicknames, ring, reachable, self, members } = this.#parts;
    const owners = new Set(ring.owners());
    for (const peer of nicknames.keys()) {
      // Of those that were removed, too: whoever removes them again does so by the same nickname.
      const isMember = members.has(peer) || members.isLost(peer);
      if (peer !== self && !owners.has(peer) && !reachable.has(peer) && !isMember) nicknames.delete(peer);
    }
  }
}
