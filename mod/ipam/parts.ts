/** What an allocator consists of, and what all of its operations do to it. */
import type { LogEvent } from "../core/log_events.ts";
import type { Cidr, Ip } from "../core/addr.ts";
import type { PeerName } from "../core/names.ts";
import type { Millis } from "../core/time.ts";
import { encodeIpamMessage } from "../wire/ipam/ipam_message.ts";
import type { IpamMessage, IpamState } from "../wire/ipam/ipam_types.ts";
import { Election } from "./agree.ts";
import type {
  AllocatorEffect,
  AllocatorOptions,
  IpamRefusal,
  Outcome,
  RequestId,
} from "./allocator_types.ts";
import { Members, type Surroundings } from "./members.ts";
import { ASIDE, type Holding, type Owned } from "./owned.ts";
import type { Ring } from "./ring.ts";
import { Space } from "./space.ts";
import { readStored, STORE_KEY, writeMembers, writeRing } from "./stored.ts";
import type { Offset, Span } from "./universe.ts";
import { cloned, type Facts, removed } from "./words.ts";

/** After the first contact with others nothing is handed out for so long: a clone would show up by then. */
export const HOLD_MS = 1_000;
/** A copy of a host waits so long for those who share the range out, in milliseconds: then there are none, perhaps. */
const JOIN_MS = 300_000;
/** What a neighbour told is passed on after this, at random: the first one to do so spares the others. */
const PASS_ON_MS = { least: 500, spread: 1_000, spreadPerHost: 20 } as const;
/** What others need not know at once they are told after this long; it doubles while that happens again and again. */
const TELL_MS = { least: 1_000, most: 30_000 } as const;
/** A peer that the mesh reaches for so long without a record is of another make. */
const STRANGER_MS = 60_000;
/** Most peers of unknown make that are remembered. */
const MAX_STRANGERS = 1_024;
/** Free counts may change so often before the ring is written: versions stay ahead of what a crash loses. */
const REPORTS_PER_WRITE = 32;
/** By how much our versions rise at a start, more than may have been lost. */
export const VERSIONS_PER_START = 64;

/** The state of an allocator. Whoever changes the ring or the members says so by `save...`. */
export class Parts implements Facts, Surroundings {
  readonly ring: Ring;
  readonly space: Space;
  readonly owned: Owned;
  readonly members: Members;
  readonly nicknames = new Map<PeerName, string>();
  /** The election; none once there is a ring, or for an observer. */
  election: Election | undefined;
  /** Whether an election or a wait for others is under way. */
  awaiting = false;
  /** Whom the mesh reaches. */
  reachable: ReadonlySet<PeerName> = new Set();
  /** How many peers there ought to be, ourselves included. */
  expected = 1;
  /** Time of the step in hand. */
  now = 0 as Millis;
  /** Nothing new is handed out before this; Infinity while nobody was met. */
  holdUntil = Infinity;
  /** By then those whom the mesh has begun to reach had time to speak; Infinity while it reached nobody. */
  heardAt = Infinity;
  /** Whether a clone is conceivable: somebody has handed out addresses under our name before. */
  careful = false;
  /** Containers that died, and when: their addresses go back unless they start again. */
  readonly dead = new Map<string, Millis>();
  /** Whether all that we know of our ranges comes from the disk: nothing was handed out or given away since the start. A
   * disk may be an old one (a machine that was set back): then others know better what is ours. */
  fromDisk = false;
  /** Meanwhile: versions of our entries, by token, as of when we knew best what is ours. Ours have risen since, perhaps by
   * many starts. */
  readonly sure = new Map<Offset, number>();
  /** Addresses that are set aside, and until when. */
  readonly aside = new Map<Ip, Millis>();
  #tellAt = Infinity;
  #passOnAt = Infinity;
  #tellMs: number = TELL_MS.least;
  #toldAt = -Infinity;
  /** How often somebody under our name has outlived us. */
  overtaken = 0;
  /** Whether we were removed in an earlier life, and others own now what is in use here. */
  succeeded = false;
  /** How often others' news have moved ranges. */
  moves = 0;
  /** Whether we have gone for good. */
  gone = false;
  /** What the step in hand writes, before anything else is done. */
  stores: AllocatorEffect[] = [];
  /** The other effects of the step in hand. */
  effects: AllocatorEffect[] = [];
  /** When this run began. */
  startedAt: Millis = 0 as Millis;
  /** Whom this host is to join rather than share the range out by itself. */
  joins: readonly string[] | undefined;
  #reports = 0;
  /** Owners, as of these entries. */
  #owners: { readonly of: Ring["entries"]; readonly all: ReadonlySet<PeerName> } = { of: [], all: new Set() };
  /** Since when the mesh reaches peers that have no record. */
  readonly #strangers = new Map<PeerName, Millis>();

  constructor(readonly options: AllocatorOptions) {
    const { universe, self, uid, nickname, random, init, stored } = options;
    const { ring, members, owned, faults, joins, sure, stale } = readStored(stored, universe, self);
    this.ring = ring;
    this.owned = owned;
    this.members = new Members(self, random.below(2 ** 32), members);
    this.space = new Space(universe.wireStart);
    this.nicknames.set(self, nickname);
    this.joins = ring.isEmpty ? joins : undefined;
    this.careful = members !== undefined || !ring.isEmpty;
    if (!ring.isEmpty) this.believeDisk(sure);
    this.space.update(this.ring.rangesOf(self));
    if (init.kind !== "observer") this.election = new Election({ name: self, uid });
    for (const reason of faults) this.note("state-discarded", reason);
    for (const key of stale) this.emit({ kind: "store", key, value: undefined });
  }

  /** The ring is an old one, perhaps: until we hand something out, others know better. `sure`: see there. */
  believeDisk(sure: ReadonlyMap<Offset, number>): void {
    this.fromDisk = true;
    for (const { owner, token, version } of this.ring.entries) {
      if (owner === this.self) this.sure.set(token, sure.get(token) ?? version);
    }
    this.ring.raise(VERSIONS_PER_START);
  }
  /** We hand out addresses or give them away: from now on nobody knows better what is ours. The ring is to be saved. */
  trustOwn(): void {
    this.fromDisk = false;
    this.sure.clear();
  }
  /** Others have said what they know of our entries. */
  heardOfOurs(entries: Ring["entries"]): void {
    for (const { owner, token, version } of entries) {
      const sure = this.sure.get(token);
      if (sure !== undefined && owner === this.self) this.sure.set(token, Math.max(sure, version));
    }
    for (const { owner, token } of this.ring.entries) if (owner !== this.self) this.sure.delete(token);
  }

  get universe() {
    return this.options.universe;
  }
  get self(): PeerName {
    return this.options.self;
  }
  readonly reaches = (peer: PeerName): boolean => this.reachable.has(peer);
  readonly owns = (peer: PeerName): boolean => {
    const { entries } = this.ring;
    if (this.#owners.of !== entries) this.#owners = { of: entries, all: new Set(this.ring.owners()) };
    return this.#owners.all.has(peer);
  };

  emit(effect: AllocatorEffect): void {
    if (effect.kind === "store") this.stores.push(effect);
    else this.effects.push(effect);
  }
  note(event: LogEvent, about: string): void {
    this.emit({ kind: "note", event, about });
  }
  answer(id: RequestId, outcome: Outcome): void {
    this.emit({ kind: "answer", id, outcome });
  }
  refuse(id: RequestId, why: IpamRefusal): void {
    this.answer(id, { kind: "refused", ...why });
  }
  send(to: PeerName, message: IpamMessage): void {
    this.emit({ kind: "unicast", to, payload: encodeIpamMessage(message) });
  }
  /** Tells a peer our state. */
  update(to: PeerName): void {
    this.send(to, { kind: "update", state: this.state() });
  }
  broadcast(): void {
    if (this.effects.at(-1)?.kind !== "broadcast") this.emit({ kind: "broadcast" });
  }

  /** Why nothing may be handed out; undefined when it may. */
  blocked(): IpamRefusal | undefined {
    if (this.overtaken > 1) return cloned(this.self, this.options.nickname);
    return this.members.isRemoved || this.succeeded ? removed(this.self) : undefined;
  }
  /** Whether we still wait for a clone to show up. */
  get holding(): boolean {
    return this.careful && this.holdUntil !== Infinity && this.now < this.holdUntil;
  }

  /** Somebody under our name outlives us: once may be our own past, twice is a clone. */
  foundTwin(): void {
    this.overtaken++;
    this.careful = true;
    this.holdUntil = this.now + HOLD_MS;
    this.broadcast(); // so that the other one finds us, too
    if (this.overtaken === 2) this.note("clone", cloned(this.self, this.options.nickname).message);
  }

  /** The mesh reaches these peers now. `expected`: how many there ought to be. */
  reach(peers: readonly PeerName[], expected: number): void {
    const isNew = (peer: PeerName) => peer !== this.self && !this.reaches(peer);
    if (peers.some(isNew)) this.heardAt = this.now + HOLD_MS;
    this.reachable = new Set(peers);
    this.expected = expected;
    this.met(peers);
  }
  /** The mesh reaches these peers now, or one of them spoke: the first time, a clone may show up. */
  met(peers: readonly PeerName[]): void {
    if (peers.some((peer) => peer !== this.self) && this.holdUntil === Infinity) {
      this.holdUntil = this.now + HOLD_MS;
    }
    for (const peer of peers) {
      if (peer === this.self || this.members.has(peer) || this.#strangers.has(peer)) continue;
      if (this.#strangers.size < MAX_STRANGERS) this.#strangers.set(peer, this.now);
    }
  }
  /** Peers of which we do not know yet whether they are of our make: a take-over waits for them. */
  strangers(): PeerName[] {
    for (const [peer, since] of this.#strangers) {
      const known = this.members.has(peer) || this.members.isLost(peer);
      if (known || this.reaches(peer) && this.now - since >= STRANGER_MS) this.#strangers.delete(peer);
    }
    return [...this.#strangers.keys()];
  }

  /** Counts what is free in our entries anew. */
  report(): void {
    if (this.ring.report((span) => this.space.countFree(span))) this.#reports++;
  }
  /** What others are told. */
  state(): IpamState {
    this.report();
    const { ring, universe, election } = this;
    const { wireStart: start, size } = universe;
    const entries = ring.entries.map(({ token, owner, version, free }) => ({
      ...{ token: start + token, owner, version, free },
    }));
    const { self: peer } = this;
    return {
      now: this.options.wallSeconds(),
      nicknames: this.nicknames,
      paxos: ring.isEmpty ? election?.known : undefined,
      ring: ring.isEmpty ? undefined : { start, end: start + size, peer, entries, seeds: ring.seeds },
      members: this.members.view,
    };
  }

  /** Our own part of what others are told while there is no ring. */
  ownState(paxos: IpamState["paxos"]): IpamState {
    const { members: { own }, options, self } = this;
    const nicknames = new Map([[self, options.nickname]]);
    const members = { members: [own], lost: [] };
    return { now: options.wallSeconds(), nicknames, paxos, ring: undefined, members };
  }

  /** Others are told in a while what has changed: of what changes until then they hear at once. */
  tellLater(): void {
    if (this.#tellAt !== Infinity) return;
    if (this.now - this.#toldAt > 2 * this.#tellMs) this.#tellMs = TELL_MS.least;
    this.#tellAt = this.now + this.#tellMs;
    this.#tellMs = Math.min(2 * this.#tellMs, TELL_MS.most);
  }
  /** What a neighbour told is passed on in a while, unless another one does so before. */
  passOnLater(): void {
    if (this.#passOnAt !== Infinity) return;
    const { least, spread, spreadPerHost } = PASS_ON_MS;
    // About one host speaks before the others hear it, however many there are. At the only link between two halves it
    // takes its whole time.
    const within = Math.max(spread, spreadPerHost * this.reachable.size);
    this.#passOnAt = this.now + least + this.options.random.below(within);
  }
  /** Another one has told all that we know. */
  passOnNoMore(): void {
    this.#passOnAt = Infinity;
  }

  /** When others are told what was put off. */
  get tellAt(): number {
    return Math.min(this.#tellAt, this.#passOnAt);
  }
  /** Tells what was put off, when it is time. */
  tellIfDue(): void {
    if (this.now < this.tellAt) return;
    this.#tellAt = this.#passOnAt = Infinity;
    this.#toldAt = this.now;
    this.broadcast();
  }

  /** Writes the ring. */
  saveRing(): void {
    this.report();
    this.#reports = 0;
    this.emit({
      kind: "store",
      key: STORE_KEY.ring,
      value: writeRing(this.ring, this.universe, this.sure),
    });
  }
  /** Writes the ring if free counts have changed often since. */
  saveReports(): void {
    if (this.#reports >= REPORTS_PER_WRITE) this.saveRing();
  }
  /** Writes the members if something about them must be remembered; at the end of each step. */
  saveMembers(): void {
    if (!this.members.unsaved) return;
    this.members.unsaved = false;
    this.emit({ kind: "store", key: STORE_KEY.members, value: writeMembers(this.members.record) });
  }

  /** Our ranges may have changed: the space follows. Gives whether they have. */
  followRing(before: readonly Span[]): boolean {
    const now = this.ring.rangesOf(this.self);
    const same = now.length === before.length &&
      now.every(({ start, end }, i) => start === before[i]!.start && end === before[i]!.end);
    if (same) return false;
    this.space.update(now);
    this.emit({ kind: "ranges" });
    return true;
  }

  /** There is a ring, or a person wants one. */
  joinsNobody(): void {
    if (this.joins === undefined) return;
    this.joins = undefined;
    this.emit({ kind: "store", key: STORE_KEY.joins, value: undefined });
  }
  /** Whether this host waits for others who have shared the range out: it is a copy of one of them. */
  get waitsToJoin(): boolean {
    const { init } = this.options;
    const isTold = init.kind === "consensus" && init.peers === undefined;
    return this.joins !== undefined && isTold && this.now - this.startedAt < JOIN_MS;
  }

  /** Records an address, in use already where it is ours. `isRestored`: it comes from a backup, and is handed to nobody. */
  hold(ident: string, cidr: Cidr, isContainer: boolean, { isRestored = false } = {}): void {
    if (this.fromDisk && !isRestored) {
      this.trustOwn();
      this.saveRing();
    }
    this.#saveHolder(this.owned.add(ident, cidr, isContainer));
  }
  /** Strikes what a holder has, all of it or one address; returns what it was. */
  release(ident: string, ip: Ip | undefined): readonly Cidr[] {
    const one = ip === undefined ? undefined : this.owned.remove(ident, ip);
    const cidrs = ip === undefined ? this.owned.removeAll(ident) : one === undefined ? [] : [one];
    if (cidrs.length > 0) this.#saveHolder(ident);
    for (const cidr of cidrs) {
      const at = this.universe.offsetOf(cidr.ip);
      if (at !== undefined) this.space.release(at);
    }
    return cidrs;
  }
  /** Strikes what is recorded and is not ours any more; returns it. */
  takeForeign(): { readonly ident: string; readonly cidr: Cidr; readonly isContainer: boolean }[] {
    const foreign = [...this.owned.all].flatMap(([ident, { cidrs, isContainer }]) =>
      cidrs.flatMap((cidr) => {
        const at = this.universe.offsetOf(cidr.ip);
        return at === undefined || this.space.used.has(at) ? [] : [{ ident, cidr, isContainer }];
      })
    );
    for (const { cidr, ident } of foreign) this.release(ident, cidr.ip);
    return foreign;
  }
  /** Takes an address from its holder and sets it aside, if it is held. A start gives it back, as it does with what
   * containers had that are gone. */
  moveAside(ident: string, ip: Ip): boolean {
    const cidr = this.owned.remove(ident, ip);
    if (cidr === undefined) return false;
    this.#saveHolder(ident);
    this.hold(ASIDE, cidr, true);
    return true;
  }
  #saveHolder(ident: string): void {
    this.emit({ kind: "store", key: STORE_KEY.owned + ident, value: this.owned.record(ident) });
  }

  /** The address of an offset with a prefix length. */
  cidrAt(at: Offset, prefix: number): Cidr {
    return { ip: this.universe.ipAt(at), prefix };
  }
  /** Holders that are containers. */
  containers(): [string, Holding][] {
    return [...this.owned.all].filter(([, { isContainer }]) => isContainer);
  }
}
