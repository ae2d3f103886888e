/** The allocator of addresses: events and time in, effects out (source: spec ipam.md). */
import type { Cidr } from "../core/addr.ts";
import { assertNever } from "../core/brand.ts";
import type { Core } from "../core/driver.ts";
import type { PeerName } from "../core/names.ts";
import { after, type Millis } from "../core/time.ts";
import type { IpamMessage, IpamState } from "../wire/ipam/ipam_types.ts";
import type { AllocatorEffect, AllocatorEvent, AllocatorOptions } from "./allocator_types.ts";
import type { Backup } from "./backup.ts";
import { Exchange, ownership, type StateNews } from "./exchange.ts";
import type { Election } from "./agree.ts";
import { Importer } from "./importer.ts";
import { ASIDE, NOBODY } from "./owned.ts";
import { Parts } from "./parts.ts";
import { Requests } from "./requests.ts";
import { type AllocatorStatus, statusOf } from "./status.ts";
import { Takeover } from "./takeover.ts";
import type { Span } from "./universe.ts";
import { notFound } from "./words.ts";

/** What waits is looked at this often, in milliseconds. */
const TICK_MS = 5_000;
/** Addresses of a container that died go back after this. */
const DEAD_MS = 30_000;
/** Patience without end, for claims of our own. */
const FOREVER = { until: Infinity, noWait: false } as const;

/**
 * Order of calls: `step({kind: "start"})` first; then events as they come, with time that never goes back; `wake` at
 * `nextWake()`, which is Infinity when nothing waits. Effects are to be carried out in their order, and all of them
 * before the next step; if a `store` fails, none behind it. Nothing that others say makes a step throw.
 */
export class Allocator implements Core<AllocatorEvent, AllocatorEffect> {
  readonly #parts: Parts;
  readonly #requests: Requests;
  readonly #exchange: Exchange;
  readonly #takeover: Takeover;
  readonly #importer: Importer;
  #tickAt = Infinity;
  #ownId = -1;

  /** An allocator with what earlier runs have stored. */
  constructor(options: AllocatorOptions) {
    this.#parts = new Parts(options);
    this.#requests = new Requests(this.#parts, () => this.#establish());
    this.#exchange = new Exchange(this.#parts);
    this.#takeover = new Takeover(this.#parts);
    this.#importer = new Importer(this.#parts, () => this.#ringUpdated());
  }

  /** Handles one event; see the class. */
  step(event: AllocatorEvent, now: Millis): readonly AllocatorEffect[] {
    const parts = this.#parts;
    parts.now = now > parts.now ? now : parts.now;
    const held = parts.holding;
    this.#handle(event);
    if (!parts.holding && (held || this.#exchange.defers)) {
      this.#exchange.resume();
      this.#settle();
      this.#requests.retry();
    }
    parts.saveReports();
    parts.saveMembers();
    const busy = parts.awaiting || this.#requests.count > 0 || this.#takeover.isOpen;
    if (!busy) this.#tickAt = Infinity;
    else if (this.#tickAt === Infinity) this.#tickAt = after(parts.now, TICK_MS);
    const [stores, others] = [parts.stores, parts.effects];
    parts.stores = [];
    parts.effects = [];
    // A broadcast is encoded when it is sent: nothing of what it says may be missing on the disk then.
    return [...stores, ...others];
  }

  /** Earliest time at which a wake could matter. */
  nextWake(): number {
    const { aside, holdUntil, holding, dead, tellAt } = this.#parts;
    const dues = [...aside.values(), ...[...dead.values()].map((since) => since + DEAD_MS)];
    return Math.min(
      this.#tickAt,
      holding ? holdUntil : Infinity,
      tellAt,
      this.#requests.firstDue,
      this.#takeover.firstDue,
      this.#importer.due,
      ...dues,
    );
  }

  /** Whether it is known who owns what. */
  get hasRing(): boolean {
    return !this.#parts.ring.isEmpty;
  }

  /** What others are to be told now; free addresses are counted for it. */
  state(): IpamState {
    return this.#parts.state();
  }

  /** The addresses of a holder, in a subnet if one is given. */
  lookup(ident: string, subnet?: Cidr): readonly Cidr[] {
    const { universe, owned } = this.#parts;
    const all = owned.of(ident);
    const span = subnet === undefined ? undefined : universe.spanOf(subnet);
    if (subnet === undefined) return all;
    return all.filter(({ ip }) => {
      const at = universe.offsetOf(ip);
      return at !== undefined && span !== undefined && at > span.start && at < span.end - 1;
    });
  }

  /** What a backup says of this host now; undefined: there is no ring yet. */
  backup(written: string): Backup | undefined {
    const { nicknames, owned, ring, self } = this.#parts;
    if (ring.isEmpty) return undefined;
    this.#parts.report();
    const { entries, seeds } = ring;
    const held = [...owned.all].flatMap(([ident, { cidrs, isContainer }]) =>
      ident === ASIDE ? [] : [{ ident, isContainer, cidrs }]
    );
    return { peer: self, written, nicknames: new Map(nicknames), ring: { entries, seeds }, held };
  }

  /** Tells rings with other owners apart. */
  ringPrint(): string {
    return ownership(this.#parts.ring.entries);
  }

  /** What we own. */
  ownedRanges(): readonly Span[] {
    return this.#parts.ring.rangesOf(this.#parts.self);
  }

  /** For those who ask how things are. */
  status(): AllocatorStatus {
    return statusOf(this.#parts, this.#requests.waiting, this.#takeover.open);
  }

  #handle(event: AllocatorEvent): void {
    switch (event.kind) {
      case "start":
        return this.#start();
      case "wake":
        return this.#wake();
      case "mesh":
        this.#parts.reach(event.peers, event.expected);
        this.#settle();
        return this.#requests.retry();
      case "left":
        return this.#left(event.peers);
      case "state":
        return this.#state(event);
      case "message":
        return this.#message(event.message, event.source);
      case "allocate":
        this.#parts.dead.delete(event.ident);
        return this.#requests.add({ kind: "allocate", event });
      case "claim":
        this.#parts.dead.delete(event.ident);
        this.#requests.withdraw(event.ident, event.cidr.ip); // the new one goes on in its place
        return this.#requests.add({ kind: "claim", event, tries: 0, answered: false });
      case "prime":
        return this.#requests.add({ kind: "prime", event });
      case "cancel":
        this.#takeover.cancel(event.id);
        this.#importer.cancel(event.id);
        return this.#requests.cancel((request) => request.event.id === event.id);
      case "release":
        return this.#release(event);
      case "set-aside":
        return this.#setAside(event);
      case "container":
        return this.#container(event);
      case "running":
        for (const [ident] of this.#parts.containers()) {
          if (!event.idents.has(ident)) this.#parts.release(ident, undefined);
        }
        return this.#requests.retry();
      case "import":
        this.#importer.add(event);
        return this.#requests.retry();
      case "remove":
        this.#takeover.remove(event);
        return this.#requests.retry();
      case "shutdown":
        this.#requests.cancel(() => true);
        this.#takeover.leave();
        this.#parts.awaiting = false;
        return this.#parts.answer(event.id, { kind: "done" });
      default:
        return assertNever(event);
    }
  }

  #start(): void {
    this.#parts.startedAt = this.#parts.now;
    const { owned, universe, space, ring, options } = this.#parts;
    for (const { cidrs } of owned.all.values()) {
      for (const { ip } of cidrs) {
        const at = universe.offsetOf(ip);
        if (at !== undefined) space.claim(at);
      }
    }
    this.#claimForeign();
    if (!ring.isEmpty) return this.#parts.saveRing();
    if (options.init.kind !== "seed") return;
    this.#parts.careful = true; // perhaps the disk was lost, and not for the first time the ring begins
    this.#create(options.init.peers);
  }

  /** Claims addresses that the records of this host give to its own targets, but that lie in another host's share: an earlier
   * run wrote them whose ring was lost, or the disk is an old copy. Their owner may give them to us. */
  #claimForeign(): void {
    for (const { cidr, ident, isContainer } of this.#parts.takeForeign()) {
      if (ident === ASIDE) continue; // nobody waits for it
      this.#parts.note("address-reclaimed", cidr.ip);
      this.#requests.add({
        ...{ kind: "claim", tries: 0, answered: true },
        event: {
          ...{ kind: "claim", id: this.#ownId--, ident, cidr, isContainer },
          ...{ lenient: true, patience: FOREVER },
        },
      });
    }
  }

  #wake(): void {
    const { aside, now, dead, ring, awaiting } = this.#parts;
    for (const [ident, since] of dead) {
      if (now < since + DEAD_MS) continue;
      dead.delete(ident);
      this.#parts.release(ident, undefined);
    }
    for (const [ip, until] of aside) {
      if (now < until) continue;
      aside.delete(ip);
      this.#parts.release(ASIDE, ip);
    }
    if (now >= this.#tickAt) {
      this.#tickAt = after(now, TICK_MS);
      if (awaiting) this.#propose();
      else if (ring.isEmpty && this.#requests.needRing) this.#establish();
      if (this.#takeover.isOpen) this.#parts.broadcast();
    }
    this.#parts.tellIfDue();
    this.#importer.settle();
    this.#settle();
    this.#requests.retry();
  }

  #message(message: IpamMessage, source: PeerName): void {
    this.#parts.met([source]);
    switch (message.kind) {
      case "request":
        return this.#exchange.request(source, message.range);
      case "denied":
        return this.#requests.denied(source, message.range);
      case "update":
        if (this.#take(this.#exchange.take(message.state, source)).oursChanged) this.#parts.tellLater();
        this.#requests.heard(source);
        return this.#requests.retry(); // what came before by broadcast may not have been enough: it may be asked again
      default:
        return assertNever(message);
    }
  }

  #state({ source, state }: Extract<AllocatorEvent, { kind: "state" }>): void {
    const { moved, isSame } = this.#take(this.#exchange.take(state, source));
    if (source !== undefined) this.#takeover.answerTo(source);
    // A neighbour told us alone, perhaps the only link to another half of the network: the others hear of it, from one.
    if (source === undefined && moved) this.#parts.passOnLater();
    else if (source !== undefined && isSame) this.#parts.passOnNoMore();
  }

  #take(news: StateNews): StateNews {
    if (news.refused !== undefined) this.#parts.emit({ kind: "refuse", reason: news.refused });
    const { election } = this.#parts;
    if (news.ringChanged) this.#ringUpdated();
    else if (news.election === "merged" && election !== undefined) {
      if (election.think()) this.#tellClaims(election);
      this.#conclude();
    } else if (news.election === "wanted") this.#establish();
    this.#settle();
    return news;
  }

  /** Our claims have changed: who proposed has to hear of it, and tells all what it comes to. Other makes expect to hear
   * everything. */
  #tellClaims({ own, proposer }: Election): void {
    const { members, self } = this.#parts;
    const isOurs = proposer !== self && members.has(proposer) && this.#parts.reaches(proposer);
    if (isOurs) this.#parts.send(proposer, { kind: "update", state: this.#parts.ownState(own) });
    else this.#parts.broadcast();
  }

  /** Sees to it that there will be a ring. */
  #establish(): void {
    const { ring, awaiting, election, options } = this.#parts;
    if (!ring.isEmpty || awaiting || this.#parts.gone || this.#parts.waitsToJoin) return;
    this.#parts.awaiting = true;
    const { init } = options;
    const peers = init.kind === "consensus" ? init.peers : undefined;
    election?.start(peers ?? this.#parts.expected);
    this.#propose();
  }

  #propose(): void {
    this.#parts.election?.propose();
    if (!this.#conclude()) this.#parts.broadcast();
  }

  #conclude(): boolean {
    const peers = this.#parts.election?.consensus();
    if (peers === undefined || !this.#parts.ring.isEmpty) return false;
    this.#create(peers);
    return true;
  }

  #create(peers: readonly PeerName[]): void {
    const { ring, self } = this.#parts;
    const before = ring.rangesOf(self);
    ring.seed(peers);
    this.#parts.followRing(before);
    this.#parts.saveRing();
    this.#parts.broadcast();
    this.#ringUpdated();
  }

  #ringUpdated(): void {
    if (this.#parts.fromDisk) this.#claimForeign();
    this.#parts.awaiting = false;
    this.#parts.joinsNobody();
    this.#parts.election = undefined;
    this.#settle();
    this.#requests.retry();
  }

  /** Take-overs that have become possible. */
  #settle(): void {
    if (this.#takeover.settle()) this.#requests.retry();
  }

  #left(peers: readonly PeerName[]): void {
    const { nicknames, self, members } = this.#parts;
    for (const peer of peers) {
      const isMember = members.has(peer) || members.isLost(peer);
      if (peer !== self && !this.#parts.owns(peer) && !isMember) nicknames.delete(peer);
    }
  }

  #release({ id, ident, ip }: Extract<AllocatorEvent, { kind: "release" }>): void {
    const withdrawn = this.#requests.withdraw(ident, ip);
    if (ident === ASIDE && ip !== undefined) this.#parts.aside.delete(ip);
    const cidrs = this.#parts.release(ident === NOBODY ? ip ?? ident : ident, ip);
    if (cidrs.length === 0 && !withdrawn) {
      return this.#parts.refuse(id, notFound(ident, ip));
    }
    this.#parts.answer(id, { kind: "released", cidrs });
    this.#requests.retry();
  }

  #setAside({ forMs, id, ident, ip }: Extract<AllocatorEvent, { kind: "set-aside" }>): void {
    const { aside, now } = this.#parts;
    if (this.#parts.moveAside(ident, ip)) aside.set(ip, after(now, forMs));
    this.#parts.answer(id, { kind: "done" });
  }

  #container({ ident, what }: Extract<AllocatorEvent, { kind: "container" }>): void {
    const { dead, owned, now } = this.#parts;
    dead.delete(ident);
    if (what === "started") return;
    const mine = (request: { event: { ident?: string } }) => request.event.ident === ident;
    this.#requests.cancel((request) => request.kind !== "prime" && mine(request));
    if (owned.all.get(ident)?.isContainer !== true) return;
    if (what === "died") return void dead.set(ident, now);
    this.#parts.release(ident, undefined);
    this.#requests.retry();
  }
}
