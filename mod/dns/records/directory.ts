/** The names of all hosts of the cluster: events and time in, effects out (source: spec dns.md, sections 1 and 2). */
import { assertNever } from "../../core/brand.ts";
import type { Core } from "../../core/driver.ts";
import type { PeerName } from "../../core/names.ts";
import type { Parting } from "../../core/ports.ts";
import { after, type Millis } from "../../core/time.ts";
import { TokenBucket } from "../../core/token_bucket.ts";
import { type DnsEntry, type DnsGossip, entryIdentity } from "../../wire/dns/dns_gossip.ts";
import { isContainerId, isHostname } from "../../wire/dns/dns_text.ts";
import type {
  DirectoryEffect,
  DirectoryEvent,
  DirectoryOptions,
  DirectoryOutcome,
  EntryData,
} from "./directory_types.ts";
import { AbsentNames } from "./absent_names.ts";
import { isBelow, whole } from "./domain.ts";
import { EntryStore, type EntryWatcher, MAX_DNS_ENTRIES } from "./entry_store.ts";
import { isAnswerable } from "./name_index.ts";
import { badName, outside, skewed, tooMany } from "./words.ts";

/** Clocks of hosts that speak with each other differ by no more, in seconds. */
const MAX_SKEW = 900;
/** Tombstones go when two borders of half an hour have passed: they live for 30 to 60 minutes, on all hosts alike. */
const PERIOD = 1_800;
/** The mark of a target that does not answer is renewed this often, before it would be removed; milliseconds. */
const RENEW_MS = 20 * 60_000;
/** Answers to what others say in our name: so many at once, and one more for each of these spans. */
const OVERRIDES = { size: 20, refill: 500 } as const;

/**
 * Order of calls: events as they come, with time that never goes back, and `wake` at `nextWake()`. Effects are to be
 * carried out in their order. Nothing that others say makes a step throw.
 */
export class Directory implements Core<DirectoryEvent, DirectoryEffect> {
  readonly #options: DirectoryOptions;
  /** What there is; only the directory changes it. */
  readonly store: EntryStore;
  /** Names of hosts whose daemon is away. */
  readonly absent: AbsentNames;
  /** Entries of others that were left out: senseless, unknown origin, long deleted, from the future, no room. */
  refused = 0;
  /** Targets of ours that do not answer, as `healthKey` calls them. */
  readonly #unhealthy = new Set<string>();
  /** Entries of ours that others are still to hear of, because they had enough to hear. */
  readonly #waiting = new Set<string>();
  readonly #overrides: TokenBucket;
  #overrideAt = Infinity;
  #renewAt = Infinity;
  #expireAt = Infinity;
  #now: Millis;
  #effects: DirectoryEffect[] = [];

  /** A directory without entries; `watch` is told of each change. */
  constructor(options: DirectoryOptions & { readonly now: Millis }, watch: EntryWatcher) {
    this.#options = options;
    this.#now = options.now;
    this.#overrides = new TokenBucket(OVERRIDES.size, { refill: OVERRIDES.refill, now: options.now });
    this.absent = new AbsentNames(watch);
    const replace: EntryWatcher = (before, after) => {
      // What an absent host tells again takes the place of what was kept of it, without a gap.
      watch(before ?? (after === undefined ? undefined : this.absent.take(after)), after);
    };
    this.store = new EntryStore(replace, MAX_DNS_ENTRIES, options.self);
  }

  /** Handles one event; see the class. */
  step(event: DirectoryEvent, now: Millis): readonly DirectoryEffect[] {
    if (now > this.#now) this.#now = now;
    this.#handle(event);
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  /** Earliest time at which a wake could matter. */
  nextWake(): number {
    return Math.min(this.#expireAt, this.#renewAt, this.#overrideAt, this.absent.nextWake());
  }

  /** Whole seconds since 1970, as gossip carries them. */
  wallSeconds(): number {
    return this.#options.wallSeconds();
  }

  #handle(event: DirectoryEvent): void {
    switch (event.kind) {
      case "wake":
        return this.#wake();
      case "register":
        return this.#answer(event.id, this.#register(event));
      case "remove": {
        const hostname = event.hostname === undefined ? undefined : whole(event.hostname);
        const { container, addr, data } = event;
        const changed = this.#delete((entry) =>
          (hostname === undefined || entry.hostname === hostname) &&
          (container === undefined || entry.container === container) &&
          (addr === undefined || entry.addr === addr) &&
          (data === undefined || sameData(entry, data))
        );
        return this.#answer(event.id, { kind: "done", changed });
      }
      case "gone":
        for (const key of this.#unhealthy) {
          if (key.startsWith(`${event.container} `)) this.#unhealthy.delete(key);
        }
        return void this.#delete(({ container }) => container === event.container);
      case "health":
        return this.#health(event);
      case "left":
        for (const peer of event.peers) this.#left(peer, event.partings?.get(peer));
        return;
      case "back":
        return this.absent.back(event.peer, this.#now);
      case "knocked":
        return this.absent.knocked(event.peer, event.result, this.#now);
      case "gossip":
        return this.#gossip(event.gossip, event.broadcast);
      default:
        return assertNever(event);
    }
  }

  #answer(id: number, outcome: DirectoryOutcome): void {
    this.#effects.push({ kind: "outcome", id, outcome });
  }

  #register(event: Extract<DirectoryEvent, { kind: "register" }>): DirectoryOutcome {
    const { self: origin, domain } = this.#options;
    const { container, data } = event;
    const hostname = whole(event.hostname);
    if (!isHostname(hostname)) return badName(event.hostname);
    if (!isContainerId(container)) return badName(container);
    if (!isBelow(hostname, domain)) return outside(hostname, domain);
    const fresh = { container, origin, hostname, ...data, version: 0, tombstone: 0, unhealthy: false };
    const before = this.store.get(origin, entryIdentity(fresh));
    let entry = before ?? fresh;
    if (before !== undefined && before.tombstone > 0 && !before.unhealthy) {
      entry = { ...before, tombstone: 0, version: before.version + 1 };
    }
    if (!entry.unhealthy && this.#isUnhealthy(entry)) entry = this.#mark(entry, false);
    if (entry !== before && !this.store.put(entry)) return tooMany(MAX_DNS_ENTRIES.origin);
    this.#tell([entry]); // also when nothing changed, as the original does
    return { kind: "done", changed: entry === before ? 0 : 1 };
  }

  /** Deletes entries of ours; the result is how many. */
  #delete(matches: (entry: DnsEntry) => boolean): number {
    const tombstone = this.#options.wallSeconds();
    return this.#change((entry) =>
      entry.tombstone > 0 && !entry.unhealthy || !matches(entry)
        ? entry
        : { ...entry, tombstone, version: entry.version + 1, unhealthy: false }
    );
  }

  /** A peer left the mesh. Its names stay for a while if its host may be there. */
  #left(peer: PeerName, parting: Parting | undefined): void {
    if (peer === this.#options.self) return;
    if (parting === undefined) {
      this.absent.drop(peer);
      return this.store.dropOrigin(peer);
    }
    if (parting.at > this.#now) this.#now = parting.at;
    this.absent.begin(peer, parting);
    for (const entry of [...this.store.of(peer)]) {
      this.store.drop(entry);
      if (isAnswerable(entry)) this.absent.add(entry);
    }
  }

  /** Changes entries of ours, and tells everybody; the result is how many. */
  #change(change: (entry: DnsEntry) => DnsEntry): number {
    const changed: DnsEntry[] = [];
    for (const entry of this.store.of(this.#options.self)) {
      const changedEntry = change(entry);
      if (changedEntry !== entry) changed.push(changedEntry);
    }
    for (const entry of changed) this.store.put(entry);
    this.#tell(changed);
    return changed.length;
  }

  #tell(entries: readonly DnsEntry[]): void {
    if (entries.length === 0) return;
    if (entries.some(({ tombstone }) => tombstone > 0)) this.#planExpiry();
    this.#effects.push({ kind: "broadcast", entries });
  }

  #health({ container, addr, healthy }: Extract<DirectoryEvent, { kind: "health" }>): void {
    if (healthy) this.#unhealthy.delete(healthKey(container, addr));
    else this.#unhealthy.add(healthKey(container, addr));
    this.#renewAt = this.#unhealthy.size === 0 ? Infinity : Math.min(this.#renewAt, this.#now + RENEW_MS);
    this.#change((entry) => {
      if (entry.container !== container || entry.tombstone > 0 && !entry.unhealthy) return entry;
      return this.#isUnhealthy(entry) === entry.unhealthy ? entry : this.#mark(entry, entry.unhealthy);
    });
  }

  #isUnhealthy({ container, addr }: DnsEntry): boolean {
    return this.#unhealthy.has(healthKey(container, undefined)) ||
      this.#unhealthy.has(healthKey(container, addr));
  }

  /** An entry of ours whose target has begun or ceased to answer. */
  #mark(entry: DnsEntry, healthy: boolean): DnsEntry {
    const tombstone = healthy ? 0 : this.#options.wallSeconds();
    return { ...entry, tombstone, version: entry.version + 1, unhealthy: !healthy };
  }

  #gossip({ dropped, entries, timestamp }: DnsGossip, broadcast: boolean): void {
    const wall = this.#options.wallSeconds();
    const delta = timestamp - wall;
    if (Math.abs(delta) > MAX_SKEW) {
      return void this.#effects.push({ kind: "refuse", reason: skewed(delta, MAX_SKEW) });
    }
    this.refused += dropped;
    const { self, knows } = this.#options;
    const relayed: DnsEntry[] = [];
    const overridden: DnsEntry[] = [];
    for (const received of entries) {
      const isOurs = received.origin === self;
      if (!isOurs && !knows(received.origin) || received.tombstone > wall + MAX_SKEW) {
        this.refused++;
        continue;
      }
      const entry = isOurs ? this.#override(received, wall) : received;
      if (entry !== received) overridden.push(entry);
      const mine = this.store.get(entry.origin, entryIdentity(entry));
      // What was deleted long ago, others may remember for longer: it must not come back for ever.
      const isOld = mine === undefined && isExpired(entry, wall);
      const isNew = !isOld && this.store.merge(entry);
      if (isNew && entry.tombstone > 0) this.#planExpiry();
      if (isNew || broadcast && mine !== undefined) relayed.push(entry);
      else if (mine === undefined) this.refused++;
    }
    if (overridden.length > 0) this.#outdo(overridden);
    if (relayed.length > 0) this.#effects.push({ kind: "relay", entries: relayed });
  }

  /** What becomes of an entry of ours that others sent: only we change what is ours. */
  #override(received: DnsEntry, wall: number): DnsEntry {
    const mine = this.store.get(this.#options.self, entryIdentity(received));
    if (mine === undefined) {
      if (received.tombstone > 0 && !received.unhealthy) return received;
      return { ...received, tombstone: wall, version: received.version + 1, unhealthy: false };
    }
    const isOlder = mine.version < received.version;
    const differs = mine.version === received.version &&
      (mine.tombstone !== received.tombstone || received.unhealthy && !mine.unhealthy);
    return isOlder || differs ? { ...mine, version: received.version + 1 } : received;
  }

  /** Tells all of entries that others had wrong. Two hosts under one name would do that to each other for ever: slowly. */
  #outdo(entries: readonly DnsEntry[]): void {
    for (const entry of entries) {
      if (this.#waiting.size < MAX_DNS_ENTRIES.origin) this.#waiting.add(entryIdentity(entry));
    }
    this.#tellWaiting();
  }

  #tellWaiting(): void {
    const wait = this.#overrides.take(this.#now);
    if (wait > 0) return void (this.#overrideAt = after(this.#now, wait));
    const entries = [...this.#waiting].flatMap((identity) =>
      this.store.get(this.#options.self, identity) ?? []
    );
    this.#waiting.clear();
    this.#overrideAt = Infinity;
    this.#tell(entries);
  }

  #wake(): void {
    if (this.#now >= this.#overrideAt) this.#tellWaiting();
    for (const wanted of this.absent.wake(this.#now)) this.#effects.push({ kind: "knock", ...wanted });
    if (this.#now >= this.#renewAt) {
      this.#renewAt = this.#unhealthy.size === 0 ? Infinity : after(this.#now, RENEW_MS);
      this.#change((entry) => entry.unhealthy ? this.#mark(entry, false) : entry);
    }
    if (this.#now < this.#expireAt) return;
    this.#expireAt = Infinity;
    const wall = this.#options.wallSeconds();
    let deleted = false;
    for (const origin of this.store.origins()) {
      const old: DnsEntry[] = [];
      for (const entry of this.store.of(origin)) {
        if (isExpired(entry, wall)) old.push(entry);
        else deleted ||= entry.tombstone > 0;
      }
      for (const entry of old) this.store.drop(entry);
    }
    if (deleted) this.#planExpiry();
  }

  /** Looks for old tombstones after the next border of half an hour. */
  #planExpiry(): void {
    if (this.#expireAt !== Infinity) return;
    const left = PERIOD - this.#options.wallSeconds() % PERIOD;
    this.#expireAt = after(this.#now, left * 1_000);
  }
}

/** Whether an entry was deleted so long ago that it need not be remembered. */
function isExpired({ tombstone }: DnsEntry, wall: number): boolean {
  return tombstone > 0 && Math.floor(wall / PERIOD) - Math.floor(tombstone / PERIOD) >= 2;
}

function sameData(a: EntryData, b: EntryData): boolean {
  return a.type === b.type && a.addr === b.addr && a.rdata === b.rdata;
}

function healthKey(container: string, addr: number | undefined): string {
  return `${container} ${addr ?? "*"}`;
}
