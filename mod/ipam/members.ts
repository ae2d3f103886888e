/**
 * Who takes part, who is gone for good, and who may take over what the lost ones owned: our extension.
 *
 * A peer is declared lost by a person. To take over from it, a peer claims: it promises itself the inheritance, and
 * everybody tells. Each member promises one claimant, and never a victim that it can still reach. A claimant takes over
 * when all members but the lost ones have promised it. A claim gives way to one of a lower name as long as it is
 * undecided, and those who had promised it are free again. Promises travel with the ring of who gave them, so whoever
 * takes over knows all that any member knew of the victim's ranges.
 */
import type { PeerName } from "../core/names.ts";
import { raised } from "./ring.ts";
import {
  type IpamMember,
  type IpamMembers,
  type IpamPromise,
  MAX_IPAM_MEMBERS,
  MAX_IPAM_PROMISES,
} from "../wire/ipam/ipam_types.ts";

/** What the promises of a member depend on. */
export interface Surroundings {
  /** Whether a peer owns something in our ring. */
  readonly owns: (peer: PeerName) => boolean;
  /** Whether the mesh reaches a peer. */
  readonly reaches: (peer: PeerName) => boolean;
}

/** What is remembered of members from one start to the next. */
export interface MembersRecord extends IpamMembers {
  /** Our last life. */
  readonly life: number;
}

/** Our own record, those of the others, and the list of the lost. */
export class Members {
  readonly #members = new Map<PeerName, IpamMember>();
  readonly #lost = new Map<PeerName, number>();
  /** Whether there is something that must be remembered before anybody hears of it. */
  unsaved = true;

  /** Starts our next life. `tag` is random. */
  constructor(readonly self: PeerName, readonly tag: number, record?: MembersRecord) {
    for (const member of record?.members ?? []) this.#members.set(member.peer, member);
    for (const { peer, life } of record?.lost ?? []) this.#lost.set(peer, life);
    const promises = this.#members.get(self)?.promises ?? [];
    this.#members.set(self, { peer: self, life: raised(record?.life ?? 0, 1), tag, seq: 0, promises });
  }

  /** Our own record. */
  get own(): IpamMember {
    return this.#members.get(this.self)!;
  }

  /** Everything, as others are told. */
  get view(): IpamMembers {
    const ascending = (a: { peer: PeerName }, b: { peer: PeerName }) => a.peer < b.peer ? -1 : 1;
    return {
      members: [...this.#members.values()].sort(ascending),
      lost: [...this.#lost].map(([peer, life]) => ({ peer, life })).sort(ascending),
    };
  }

  /** Everything, as it is remembered. */
  get record(): MembersRecord {
    return { life: this.own.life, ...this.view };
  }

  /** Whether a peer is of our make, as far as we know. */
  has(peer: PeerName): boolean {
    return this.#members.has(peer);
  }

  /** Whether a peer was declared lost and has not come back since. */
  isLost(peer: PeerName): boolean {
    return this.#lost.has(peer) && (peer === this.self ? this.isRemoved : !this.#members.has(peer));
  }

  /** Whether others have declared us lost, in this very life. */
  get isRemoved(): boolean {
    return (this.#lost.get(this.self) ?? -1) >= this.own.life;
  }

  /** Whether others have ever declared us lost. */
  get wasLost(): boolean {
    return this.#lost.has(this.self);
  }

  /** Goes on although we were declared lost: right for one that owns nothing. */
  rejoin(): void {
    this.#renew(raised(this.#lost.get(this.self) ?? 0, 1), []);
  }

  /** Leaves: nobody is to wait for us any more. */
  leave(): void {
    this.#lost.set(this.self, this.own.life);
    this.unsaved = true;
  }

  /** Takes in the list of the lost. */
  mergeLost({ lost }: IpamMembers): boolean {
    let changed = false;
    for (const { peer, life } of lost) {
      if (life <= (this.#lost.get(peer) ?? -1)) continue;
      if (!this.#lost.has(peer) && this.#lost.size >= MAX_IPAM_MEMBERS) continue;
      this.#bury(peer, life);
      changed = true;
    }
    return changed;
  }

  /** Looks for others under our name, and overtakes whom it finds, so that it finds us too. */
  findTwin({ members }: IpamMembers): boolean {
    const twin = members.find(({ peer, tag, life }) =>
      peer === this.self && tag !== this.tag && life >= this.own.life
    );
    if (twin !== undefined) this.#renew(raised(twin.life, 1), this.own.promises);
    return twin !== undefined;
  }

  /** Takes in records of others. Only to be called when the ring of the same message was merged. */
  mergeMembers({ members }: IpamMembers): boolean {
    let changed = false;
    for (const member of members) {
      const { peer } = member;
      const mine = this.#members.get(peer);
      if (peer === this.self || member.life <= (this.#lost.get(peer) ?? -1)) continue;
      if (mine === undefined ? this.#members.size >= MAX_IPAM_MEMBERS : !isNewer(member, mine)) continue;
      this.unsaved ||= mine === undefined || mine.life !== member.life;
      this.#members.set(peer, member);
      changed = true;
    }
    return changed;
  }

  /** Declares peers lost, and claims what they own where nobody else has. */
  claim(victims: readonly PeerName[]): void {
    for (const victim of victims) {
      this.#bury(victim, this.#members.get(victim)?.life ?? this.#lost.get(victim) ?? 0);
    }
    for (const victim of victims) {
      if (this.promiseFor(victim) !== undefined || this.#claimants(victim).length > 0) continue;
      this.#promise(victim, this.self);
    }
  }

  /** Our promise about a victim. */
  promiseFor(victim: PeerName): IpamPromise | undefined {
    return this.own.promises.find((promise) => promise.victim === victim);
  }

  /** Victims for which somebody claims, or we have promised something. */
  victims(): PeerName[] {
    const all = [...this.#members.values()].flatMap(({ promises }) => promises.map(({ victim }) => victim));
    return [...new Set(all)].sort();
  }

  /** Gives, moves and drops promises as there is reason to; true when others must hear of it. */
  review({ owns, reaches }: Surroundings): boolean {
    const before = this.own;
    const heirless = [...this.#lost.keys()].filter((peer) => owns(peer) && this.isLost(peer));
    for (const victim of new Set([...this.victims(), ...heirless])) {
      const claimants = this.#claimants(victim);
      const mine = this.promiseFor(victim);
      const lowest = claimants[0];
      if (!owns(victim) || !this.isLost(victim)) {
        if (mine !== undefined) this.#promise(victim, undefined);
      } else if (mine === undefined) {
        // What a lost peer owned may become known after the last claim: the first of those who are here sees to it.
        const heir = lowest ?? (this.#isFirst(reaches) ? this.self : undefined);
        if (heir !== undefined && !reaches(victim)) this.#promise(victim, heir);
      } else if (!claimants.includes(mine.claimant)) {
        this.#promise(victim, lowest);
      } else if (mine.claimant === this.self && lowest! < this.self) {
        this.#promise(victim, lowest);
      }
    }
    return this.own !== before;
  }

  /** Victims that are ours to inherit: everybody who is not lost has promised so. */
  decided({ owns, reaches }: Surroundings): PeerName[] {
    return this.own.promises.filter(({ victim, claimant }) =>
      claimant === this.self && owns(victim) && this.isLost(victim) && !reaches(victim) &&
      this.undecided(victim).length === 0
    ).map(({ victim }) => victim);
  }

  /** Members whose promise for the claimant of a victim is missing. */
  undecided(victim: PeerName): PeerName[] {
    const claimant = this.promiseFor(victim)?.claimant;
    return [...this.#members.values()].filter(({ promises }) =>
      !promises.some((promise) => promise.victim === victim && promise.claimant === claimant)
    ).map(({ peer }) => peer).sort();
  }

  /** Who claims what a victim owns: ascending, without those who are lost. */
  #claimants(victim: PeerName): PeerName[] {
    return [...this.#members.values()].filter(({ peer, promises }) =>
      promises.some((promise) => promise.victim === victim && promise.claimant === peer)
    ).map(({ peer }) => peer).sort();
  }

  /** Whether we are the lowest by name of those who are here. */
  #isFirst(reaches: Surroundings["reaches"]): boolean {
    return [...this.#members.keys()].every((peer) => peer >= this.self || !reaches(peer));
  }

  #promise(victim: PeerName, claimant: PeerName | undefined): void {
    const others = this.own.promises.filter((promise) => promise.victim !== victim);
    if (claimant !== undefined && others.length >= MAX_IPAM_PROMISES) return;
    const life = this.#lost.get(victim) ?? 0;
    const promises = claimant === undefined ? others : [...others, { victim, life, claimant }];
    this.#members.set(this.self, { ...this.own, seq: raised(this.own.seq, 1), promises });
    this.unsaved = true;
  }

  #renew(life: number, promises: readonly IpamPromise[]): void {
    this.#members.set(this.self, { ...this.own, life, seq: 0, promises });
    this.unsaved = true;
  }

  #bury(peer: PeerName, life: number): void {
    this.#lost.set(peer, life);
    if (peer !== this.self && (this.#members.get(peer)?.life ?? Infinity) <= life) this.#members.delete(peer);
    this.unsaved = true;
  }
}

function isNewer(a: IpamMember, b: IpamMember): boolean {
  if (a.life !== b.life) return a.life > b.life;
  return a.tag === b.tag ? a.seq > b.seq : a.tag > b.tag;
}
