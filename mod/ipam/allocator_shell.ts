/** The allocator's disk, clock and gossip: carries out what the core decides, and hands it what people want. */
import type { Cidr } from "../core/addr.ts";
import { assertNever } from "../core/brand.ts";
import type { Faults } from "../core/faults.ts";
import { type ErrorCode, MeshnetError, messageOf } from "../core/errors.ts";
import type { PeerName } from "../core/names.ts";
import type { Alarm, Clock, GossipPort, Logger, Store } from "../core/ports.ts";
import { RecentRefusal } from "../core/recent_refusal.ts";
import { after } from "../core/time.ts";
import { Allocator } from "./allocator.ts";
import type {
  AllocatorEffect,
  AllocatorEvent,
  AllocatorOptions,
  IpamRefusal,
  Outcome,
  RequestId,
} from "./allocator_types.ts";
import type { Backup } from "./backup.ts";
import { AllocatorChannel, IPAM_CHANNEL, type OutwardEffect } from "./channel.ts";
import { Reclaimer } from "./reclaim.ts";
import type { AllocatorStatus } from "./status.ts";
import { STORE_PREFIX } from "./stored.ts";

/** What the disk has refused is tried again after so long, in milliseconds. */
const SAVE_AGAIN_MS = 5_000;
/** Giving owners up waits so long for the consent of others, in milliseconds; it is tried again. */
const RECLAIM_MS = 30_000;
/** Notes of the core that a person should act on, or know of when addresses seem to be missing. */
const WARNINGS: ReadonlySet<string> = new Set(["state-discarded", "claim-failed", "clone"]);

/** What a shell is made of. */
export interface AllocatorShellOptions extends Omit<AllocatorOptions, "stored"> {
  readonly clock: Clock;
  readonly alarm: Alarm;
  readonly store: Store;
  readonly logger: Logger;
  /** Takes what fails where nobody waits for it. */
  readonly faults: Pick<Faults, "guard" | "tell">;
  /** How the channel sends. */
  readonly gossip: GossipPort;
  /** How many peers there ought to be, this host included. */
  readonly expected: () => number;
  /** Owners that have been away for so long are given up while most are here; undefined: only people give up. */
  readonly reclaimAfterMs: number | undefined;
}

type Numbered<E> = E extends { readonly id: RequestId } ? Omit<E, "id"> : never;
/** What somebody wants, without the shell's number. */
export type IpamRequest = Numbered<AllocatorEvent>;
/** What a request came to. */
export type Answered = Exclude<Outcome, { kind: "refused" }>;

interface Waiter {
  resolve(outcome: Answered): void;
  reject(thrown: unknown): void;
}

/**
 * A running allocator. Call `start()` once, when `channel` is registered. Every effect of a step is carried out before
 * the next step begins. Records come first: while the disk refuses them, nothing that depends on them is answered or
 * told to others, and each later step tries to write them before anything else.
 */
export class AllocatorShell implements Disposable {
  /** To be registered with the router. */
  readonly channel: AllocatorChannel;
  readonly #allocator: Allocator;
  readonly #options: AllocatorShellOptions;
  readonly #waiters = new Map<RequestId, Waiter>();
  /** Records that are not on the disk yet. */
  readonly #unsaved = new Map<string, string | undefined>();
  /** What is to be sent, in order. */
  #outbox: (() => void)[] = [];
  #sending = false;
  #lastId: RequestId = 0;
  #armedFor = Infinity;
  #saveAgainAt = Infinity;
  readonly #reclaimer: Reclaimer | undefined;
  /** Whether owners are being given up. */
  #reclaiming = false;
  #peers: readonly PeerName[] = [];
  #expected = 1;
  readonly #refusal: RecentRefusal;
  #stopped = false;

  /** Reads what earlier runs have stored; sends and writes nothing yet. */
  constructor(options: AllocatorShellOptions) {
    this.#options = options;
    this.#refusal = new RecentRefusal(options.clock);
    const { reclaimAfterMs } = options;
    this.#reclaimer = reclaimAfterMs === undefined ? undefined : new Reclaimer(reclaimAfterMs);
    this.#allocator = new Allocator({ ...options, stored: new Map(options.store.list(STORE_PREFIX)) });
    this.channel = new AllocatorChannel(
      this.#allocator,
      (effects) => this.#carryOut(effects),
      {
        mayTell: () => this.#unsaved.size === 0,
        refused: (reason) => this.#refusal.note(reason),
      },
    );
  }

  /** Begins. */
  start(): void {
    this.#step({ kind: "start" });
    this.#mesh();
  }

  /** Ends: what waits fails, and nothing is sent or written any more. */
  [Symbol.dispose](): void {
    this.#stopped = true;
    this.#options.alarm.set(Infinity, () => {});
    for (const waiter of this.#waiters.values()) {
      waiter.reject(
        new MeshnetError("ipam/cancelled", "The request was given up: the daemon is stopping", {
          hint: "Ask again when it runs",
        }),
      );
    }
    this.#waiters.clear();
  }

  /** Whom the mesh reaches now, this host left out. */
  meshChanged(peers: readonly PeerName[]): void {
    this.#peers = peers;
    this.#mesh();
    this.#reclaim();
  }

  /** Has something done. Throws MeshnetError "ipam/..." for what is refused, and what the store throws. What is not
   * answered at once asks `gone`, and is given up when that signal aborts. */
  ask(request: IpamRequest, gone?: () => AbortSignal): Promise<Answered> {
    const id = ++this.#lastId;
    const { promise, resolve, reject } = Promise.withResolvers<Answered>();
    if (this.#stopped) {
      reject(refusalError({ code: "cancelled", message: "The request was given up", hint: undefined }));
      return promise;
    }
    this.#waiters.set(id, { resolve, reject });
    if (!this.#allocator.hasRing && this.#options.expected() !== this.#expected) this.#mesh();
    this.#step({ ...request, id } as AllocatorEvent, id);
    if (gone !== undefined && this.#waiters.has(id)) this.#watch(id, gone());
    return promise;
  }

  /** Gives a request up when a signal aborts. */
  #watch(id: RequestId, signal: AbortSignal): void {
    const { resolve, reject } = this.#waiters.get(id)!;
    const cancel = this.#options.faults.guard(
      "give a request for addresses up",
      () => this.#step({ kind: "cancel", id }),
    );
    if (signal.aborted) return cancel();
    const done = () => signal.removeEventListener("abort", cancel);
    this.#waiters.set(id, {
      resolve: (outcome) => (done(), resolve(outcome)),
      reject: (thrown) => (done(), reject(thrown)),
    });
    signal.addEventListener("abort", cancel, { once: true });
  }

  /** What became of containers. */
  tell(event: Extract<AllocatorEvent, { kind: "container" | "running" }>): void {
    this.#step(event);
  }

  /** The addresses of a holder. */
  lookup(ident: string): readonly Cidr[] {
    return this.#allocator.lookup(ident);
  }

  /** What a backup says of this host now; undefined: there is no ring yet. */
  backup(written: string): Backup | undefined {
    return this.#allocator.backup(written);
  }

  /** For those who ask how things are. */
  status(): AllocatorStatus {
    return this.#allocator.status();
  }

  /** Why what another host said was refused, if that was lately: the connection on which it came was ended. */
  refused(): string | undefined {
    return this.#refusal.reason;
  }

  #mesh(): void {
    this.#expected = this.#options.expected();
    this.#step({ kind: "mesh", peers: this.#peers, expected: this.#expected });
  }

  #wake(): void {
    this.#armedFor = Infinity;
    this.#step({ kind: "wake" });
    if (this.#options.clock.now() >= (this.#reclaimer?.nextLook ?? Infinity)) this.#reclaim();
  }

  /** Gives up owners that have been away for too long. That is what a person does with `rmpeer`, and as safe. */
  #reclaim(): void {
    if (this.#reclaimer === undefined || this.#stopped) return;
    const { clock, logger } = this.#options;
    const peers = this.#reclaimer.look(this.#allocator.status().owners, clock.now());
    this.#arm();
    if (peers.length === 0 || this.#reclaiming) return;
    this.#reclaiming = true;
    const about = peers.join(" ");
    logger.warn("owners are given up, they have been away for too long", { about });
    const patience = { until: after(clock.now(), RECLAIM_MS), noWait: false };
    this.ask({ kind: "remove", peers, patience }).then(
      () => logger.info("owners were given up", { about }),
      (thrown) => logger.warn("owners cannot be given up yet", { about, reason: messageOf(thrown) }),
    ).finally(() => this.#reclaiming = false);
  }

  /** One step. A fault of our own costs the request that showed it, if it was one, and is logged. */
  #step(event: AllocatorEvent, id?: RequestId): void {
    if (this.#stopped) return;
    let effects: readonly AllocatorEffect[];
    try {
      effects = this.#allocator.step(event, this.#options.clock.now());
    } catch (thrown) {
      this.#options.faults.tell(`address allocation: ${event.kind}`, thrown);
      if (id !== undefined) this.#answer(id, (waiter) => waiter.reject(thrown));
      return;
    }
    this.#carryOut(effects);
  }

  /** Carries out one step's effects. */
  #carryOut(effects: readonly AllocatorEffect[]): void {
    if (this.#stopped) return;
    const failure = this.#save(effects);
    for (const effect of effects) {
      if (failure === undefined) this.#perform(effect);
      else if (effect.kind === "answer") {
        const { outcome } = effect;
        if (outcome.kind === "refused") this.#perform(effect);
        else this.#answer(effect.id, (waiter) => waiter.reject(failure.thrown));
      } else if (effect.kind === "note") this.#perform(effect);
    }
    this.#send();
    this.#arm();
  }

  /** Writes what the steps so far want written, all of it or nothing. */
  #save(effects: readonly AllocatorEffect[]): { readonly thrown: unknown } | undefined {
    for (const effect of effects) if (effect.kind === "store") this.#unsaved.set(effect.key, effect.value);
    if (this.#unsaved.size === 0) return undefined;
    const { clock, faults, store } = this.#options;
    try {
      store.putAll([...this.#unsaved]);
    } catch (thrown) {
      faults.tell("remember addresses", thrown);
      this.#saveAgainAt = after(clock.now(), SAVE_AGAIN_MS);
      return { thrown };
    }
    this.#unsaved.clear();
    if (this.#saveAgainAt === Infinity) return undefined;
    this.#saveAgainAt = Infinity;
    this.#broadcast(); // what was kept from others meanwhile
    return undefined;
  }

  #perform(effect: AllocatorEffect | OutwardEffect): void {
    const { gossip, logger } = this.#options;
    switch (effect.kind) {
      case "store": // written before
      case "refuse": // the channel's own affair
      case "ranges": // asked for when it matters
        return;
      case "unicast":
        return void this.#outbox.push(() => gossip.unicast(IPAM_CHANNEL, effect.to, effect.payload));
      case "broadcast":
        return this.#broadcast();
      case "answer": {
        const { id, outcome } = effect;
        return this.#answer(
          id,
          (waiter) =>
            outcome.kind === "refused" ? waiter.reject(refusalError(outcome)) : waiter.resolve(outcome),
        );
      }
      case "note":
        return logger[WARNINGS.has(effect.event) ? "warn" : "info"](effect.event, { about: effect.about });
      default:
        return assertNever(effect);
    }
  }

  #broadcast(): void {
    this.#outbox.push(() => this.#options.gossip.broadcast(IPAM_CHANNEL, this.channel.data));
  }

  #answer(id: RequestId, how: (waiter: Waiter) => void): void {
    const waiter = this.#waiters.get(id);
    if (waiter === undefined) return; // a request of the core's own
    this.#waiters.delete(id);
    how(waiter);
  }

  /** Sends in order. What is sent may lead to another step at once, whose messages then come after these. */
  #send(): void {
    if (this.#sending) return;
    this.#sending = true;
    try {
      for (let next = this.#outbox.shift(); next !== undefined; next = this.#outbox.shift()) next();
    } catch (thrown) {
      this.#options.faults.tell("send to other owners of addresses", thrown);
    } finally {
      this.#sending = false;
    }
  }

  #arm(): void {
    const look = this.#reclaimer?.nextLook ?? Infinity;
    const at = Math.min(this.#allocator.nextWake(), this.#saveAgainAt, look);
    if (at === this.#armedFor) return;
    this.#armedFor = at;
    this.#options.alarm.set(at, () => this.#wake());
  }
}

/** A refusal as the error that people read. */
function refusalError({ code, message, hint }: IpamRefusal): MeshnetError {
  const text = message.charAt(0).toUpperCase() + message.slice(1);
  return new MeshnetError(`ipam/${code}` satisfies ErrorCode, text, { hint });
}
