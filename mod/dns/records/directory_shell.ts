/** The directory's clock and gossip: carries out what the core decides, and takes what this host wants. */
import type { Endpoint } from "../../core/addr.ts";
import type { Faults } from "../../core/faults.ts";
import { type ErrorCode, MeshnetError } from "../../core/errors.ts";
import type { PeerName } from "../../core/names.ts";
import type { Alarm, Clock, GossipPort, Knocked } from "../../core/ports.ts";
import { RecentRefusal } from "../../core/recent_refusal.ts";
import type { DnsEntry } from "../../wire/dns/dns_gossip.ts";
import type { KnockWanted } from "./absent_names.ts";
import { DNS_CHANNEL, DnsChannel } from "./channel.ts";
import { Directory } from "./directory.ts";
import type { DirectoryEvent, DirectoryOptions, DirectoryOutcome, EntryData } from "./directory_types.ts";
import type { EntryWatcher } from "./entry_store.ts";

/** What a shell is made of. */
export interface DirectoryShellOptions extends DirectoryOptions {
  readonly clock: Clock;
  readonly alarm: Alarm;
  /** Takes what fails where nobody waits for it. */
  readonly faults: Pick<Faults, "tell">;
  /** How the channel sends. */
  readonly gossip: GossipPort;
  /** Whether a neighbour has announced that it compares what it has. */
  readonly compares: (peer: PeerName) => boolean;
  /** Finds out whether a host is there, and calls `done` then. */
  readonly knock: (address: Endpoint, done: (result: Knocked) => void) => void;
}

/** A record of this host that goes; what is not given may be anything. */
export interface OwnRecord {
  /** Whose it is. */
  readonly container: string;
  /** The whole name, in the letters that were given. */
  readonly hostname: string;
  readonly data: EntryData;
}

/** A running directory. Everything is done when a call returns. */
export class DirectoryShell implements Disposable {
  /** To be registered with the router. */
  readonly channel: DnsChannel;
  readonly #directory: Directory;
  readonly #options: DirectoryShellOptions;
  #outcome: DirectoryOutcome | undefined;
  #armedFor = Infinity;
  readonly #refusal: RecentRefusal;
  #stopped = false;

  /** A directory without names; `watch` is told of each change. */
  constructor(options: DirectoryShellOptions, watch: EntryWatcher) {
    const { clock, compares, gossip } = options;
    this.#options = options;
    this.#refusal = new RecentRefusal(options.clock);
    this.#directory = new Directory({ ...options, now: clock.now() }, watch);
    this.channel = new DnsChannel(this.#directory, {
      compares,
      perform: (effect) => {
        if (effect.kind === "outcome") this.#outcome = effect.outcome;
        else if (this.#stopped) return;
        else if (effect.kind === "knock") this.#knock(effect);
        else if (effect.kind === "broadcast") gossip.broadcast(DNS_CHANNEL, effect.data);
        else gossip.unicast(DNS_CHANNEL, effect.to, effect.payload);
      },
      stepped: () => this.#arm(),
      refused: (reason) => this.#refusal.note(reason),
    });
  }

  /** Ends: nothing is sent any more. */
  [Symbol.dispose](): void {
    this.#stopped = true;
    this.#options.alarm.set(Infinity, () => {});
  }

  /** Gives a name a record, and tells everybody. Throws MeshnetError "dns/..." for what is refused. */
  register({ container, data, hostname }: OwnRecord): void {
    const outcome = this.#ask({ kind: "register", id: 0, container, hostname, data });
    if (outcome?.kind === "refused") {
      const code = `dns/${outcome.code}` satisfies ErrorCode;
      throw new MeshnetError(code, outcome.message, { hint: outcome.hint });
    }
    if (outcome?.kind === "ignored") {
      throw new MeshnetError("dns/bad-name", `Cannot add a name: ${outcome.message}`, {
        hint: `Give a name below ${this.#options.domain}`,
      });
    }
  }

  /** Takes records of this host away, and tells everybody. The result is how many. */
  remove(which: Partial<OwnRecord>): number {
    const outcome = this.#ask({ kind: "remove", id: 0, ...which });
    return outcome?.kind === "done" ? outcome.changed : 0;
  }

  /** Says whether the target of this host's records answers, and tells everybody. It stays so until it is said anew. */
  setHealth(container: string, healthy: boolean): void {
    this.#ask({ kind: "health", container, healthy });
  }

  /** All entries, deleted ones included. Do not change anything while you go through them. */
  *entries(): Iterable<DnsEntry> {
    for (const origin of this.#directory.store.origins()) yield* this.#directory.store.of(origin);
    yield* this.#directory.absent.entries();
  }

  /** Those of this host. */
  own(): Iterable<DnsEntry> {
    return this.#directory.store.of(this.#options.self);
  }

  /** How many more milliseconds the names of a host are kept at most whose daemon is away; null: it is not away. */
  keptMs(peer: PeerName): number | null {
    const until = this.#directory.absent.until(peer);
    return until === undefined ? null : Math.max(0, Math.round(until - this.#options.clock.now()));
  }

  /** Entries of others that made no sense, or for which there was no room. */
  get leftOut(): number {
    return this.#directory.refused;
  }

  /** Why what another host said was refused, if that was lately: the connection on which it came was ended. */
  refused(): string | undefined {
    return this.#refusal.reason;
  }

  #ask(event: DirectoryEvent): DirectoryOutcome | undefined {
    this.#outcome = undefined;
    this.channel.feed(event, this.#options.clock.now());
    return this.#outcome;
  }

  #knock({ address, peer }: KnockWanted): void {
    const { clock, knock } = this.#options;
    knock(address, (result) => {
      if (!this.#stopped) this.channel.feed({ kind: "knocked", peer, result }, clock.now());
    });
  }

  #wake(): void {
    this.#armedFor = Infinity;
    try {
      this.channel.feed({ kind: "wake" }, this.#options.clock.now());
    } catch (thrown) {
      this.#options.faults.tell("look after names", thrown);
    }
  }

  #arm(): void {
    const at = this.#directory.nextWake();
    if (at === this.#armedFor || this.#stopped) return;
    this.#armedFor = at;
    this.#options.alarm.set(at, () => this.#wake());
  }
}
