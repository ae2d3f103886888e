/** Taking over what peers owned that are gone for good, and going for good ourselves (source: spec ipam.md, section 9). */
import type { PeerName } from "../core/names.ts";
import type { AllocatorEvent, RequestId } from "./allocator_types.ts";
import type { Parts } from "./parts.ts";
import { spanSize } from "./universe.ts";
import { peerText, refusal, waitsFor } from "./words.ts";

/** By how much versions rise when a peer hands its ranges to an heir: as other makes have it. */
const BY_SHUTDOWN = 100;
/** By how much versions rise in a take-over: above all that the lost peer may have said without our hearing of it. */
const BY_TAKEOVER = 10_000;

type Remove = Extract<AllocatorEvent, { kind: "remove" }>;

/** A person's wish that peers be removed. */
interface Removal {
  readonly event: Remove;
  taken: number;
}

/** A take-over that is not decided yet. */
export interface OpenTakeover {
  /** Who is gone. */
  readonly victim: PeerName;
  /** Who is to take over, as far as we are concerned. */
  readonly claimant: PeerName | undefined;
  /** Whose consent is missing. */
  readonly missing: readonly PeerName[];
}

/** Removals of this host, and promises to others. */
export class Takeover {
  readonly #parts: Parts;
  readonly #removals = new Map<RequestId, Removal>();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Whether time will tell more: gossip sees to the rest. */
  get isOpen(): boolean {
    const { self, members } = this.#parts;
    const claims = members.own.promises.some(({ claimant }) => claimant === self);
    return this.#removals.size > 0 || claims && this.#parts.strangers().length > 0;
  }

  /** When the first removal is due to fail. */
  get firstDue(): number {
    return Math.min(Infinity, ...[...this.#removals.values()].map(({ event }) => event.patience.until));
  }

  /** What is not decided yet. */
  get open(): OpenTakeover[] {
    const { members } = this.#parts;
    return members.victims().map((victim) => ({
      ...{ victim, claimant: members.promiseFor(victim)?.claimant },
      missing: this.#missing(victim),
    }));
  }

  /** Somebody says that peers are gone for good. */
  remove(event: Remove): void {
    const { self, nicknames } = this.#parts;
    const victims = event.peers.filter((peer) => peer !== self && this.#isKnown(peer));
    const alive = victims.filter(this.#parts.reaches);
    if (alive.length > 0) {
      const who = alive.map((peer) => peerText(peer, nicknames)).join(", ");
      const hint =
        `Run "meshnet reset" on it: it hands its addresses over by itself. A host that has just died is given ` +
        `up within ten seconds, one whose daemon hangs within five minutes: try again then`;
      this.#parts.refuse(event.id, refusal("peer-connected", `Cannot remove ${who}: it is connected`, hint));
      return;
    }
    const blocked = this.#parts.blocked();
    if (blocked !== undefined) return this.#parts.refuse(event.id, blocked);
    this.#parts.members.claim(victims);
    this.#removals.set(event.id, { event: { ...event, peers: victims }, taken: 0 });
    this.#parts.broadcast();
    this.settle();
  }

  /** Nobody waits for a removal any more; what was claimed stays claimed. */
  cancel(id: RequestId): void {
    if (this.#removals.delete(id)) this.#parts.refuse(id, refusal("cancelled", "Removal of peers cancelled"));
  }

  /** Does what follows from the promises of all: call when ring, members or mesh have changed. True: the ring has. */
  settle(): boolean {
    const { members, ring, self } = this.#parts;
    if (this.#parts.gone) return false;
    const before = ring.rangesOf(self);
    let took = false;
    if (!ring.isEmpty && this.#parts.blocked() === undefined && !this.#parts.holding) {
      this.#claimAgain();
      for (const victim of this.#parts.strangers().length > 0 ? [] : members.decided(this.#parts)) {
        const taken = ring.transfer(victim, self, BY_TAKEOVER).reduce((sum, span) => sum + spanSize(span), 0);
        this.#parts.note("took-over", peerText(victim, this.#parts.nicknames));
        for (const removal of this.#removals.values()) {
          if (removal.event.peers.includes(victim)) removal.taken += taken;
        }
        took = true;
      }
      if (members.review(this.#parts) || took) this.#parts.broadcast();
    }
    if (took) {
      this.#parts.followRing(before);
      this.#parts.saveRing();
    }
    this.#answer();
    return took;
  }

  /** News of a later life of a victim may have been under way: it is gone all the same, unless it is here. */
  #claimAgain(): void {
    const { members } = this.#parts;
    for (const { event } of this.#removals.values()) {
      const known = event.peers.filter((peer) => !members.isLost(peer) && !this.#parts.reaches(peer));
      if (known.length === 0) continue;
      members.claim(known);
      this.#parts.broadcast();
    }
  }

  /** Tells a claimant of our promise again, in case it has not heard. */
  answerTo(source: PeerName): void {
    const { members } = this.#parts;
    const claims = members.view.members.find(({ peer }) => peer === source)?.promises ?? [];
    if (claims.some(({ claimant }) => claimant === source)) this.#parts.update(source);
  }

  /** Hands all that we own to somebody else. */
  leave(): void {
    const { ring, self, members } = this.#parts;
    this.#parts.gone = true;
    const heir = this.#heir();
    if (heir !== undefined) {
      const before = ring.rangesOf(self);
      for (const ident of [...this.#parts.owned.all.keys()]) this.#parts.release(ident, undefined);
      this.#parts.report();
      ring.transfer(self, heir, BY_SHUTDOWN);
      members.leave();
      this.#parts.followRing(before);
      this.#parts.saveRing();
      this.#parts.broadcast();
    }
    for (const id of this.#removals.keys()) this.cancel(id);
  }

  /** Preferred: one that is reachable; among those, and among the rest, one that owns something. */
  #heir(): PeerName | undefined {
    const { ring, self, nicknames, members } = this.#parts;
    if (ring.isEmpty) return undefined;
    const alive = (peer: PeerName) => peer !== self && !members.isLost(peer);
    const owners = ring.owners().filter(alive);
    const named = [...nicknames.keys()].filter(alive);
    return owners.find(this.#parts.reaches) ?? named.find(this.#parts.reaches) ?? owners[0] ?? named[0];
  }

  #isKnown(peer: PeerName): boolean {
    const { members, nicknames } = this.#parts;
    return this.#parts.owns(peer) || members.has(peer) || members.isLost(peer) || nicknames.has(peer) ||
      this.#parts.strangers().includes(peer);
  }

  #missing(victim: PeerName): PeerName[] {
    const { members } = this.#parts;
    return [...members.undecided(victim), ...this.#parts.strangers()];
  }

  #answer(): void {
    const { now } = this.#parts;
    for (const [id, { event, taken }] of this.#removals) {
      const open = event.peers.filter((victim) => this.#parts.owns(victim));
      const back = open.find((victim) => !this.#parts.members.isLost(victim) && this.#parts.reaches(victim));
      if (open.length === 0) this.#parts.answer(id, { kind: "removed", taken });
      else if (back !== undefined) {
        const who = peerText(back, this.#parts.nicknames);
        this.#parts.refuse(id, refusal("peer-connected", `Cannot remove ${who}: it has come back`));
      } else if (now >= event.patience.until || event.patience.noWait) {
        this.#parts.refuse(id, waitsFor(open[0]!, this.#missing(open[0]!), this.#parts));
      } else continue;
      this.#removals.delete(id);
    }
  }
}
