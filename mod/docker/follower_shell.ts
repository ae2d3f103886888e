/** Follows the containers of an engine for as long as the daemon runs, whatever the engine does. */
import { jittered } from "../core/backoff.ts";
import { assertNever } from "../core/brand.ts";
import { MeshnetError, messageOf } from "../core/errors.ts";
import type { Faults } from "../core/faults.ts";
import type { Clock, Logger, Random } from "../core/ports.ts";
import {
  type ContainerDetails,
  type EnginePlace,
  type EngineVersion,
  isContainerWord,
  type NetworkUse,
  type WantedNetwork,
} from "./engine_api.ts";
import type { Engine } from "./engine_shell.ts";
import { Follower, type FollowerEvent, type Known, type Looked, type OurNetworks } from "./follower.ts";

/** Time until an engine that could not be worked with is tried again, in milliseconds: doubled each time, up to the
 * most. */
const RETRY_MS = { first: 500, most: 30_000 };
/** The engine is asked no longer than this what it is working on, in milliseconds: a container waits for it. */
const BUSY_MS = 5_000;
/** An answer about a container that takes longer than the first is delayed; meanwhile the engine is asked so often whether it
 * answers at all. In milliseconds. */
const LOOK_MS = { delayed: 500, alive: 10_000 };
/** A session that held for so long was a good one, in milliseconds. */
const GOOD_MS = 10_000;

/** Where a container stands. `unknown`: the engine cannot be asked, and it may run or not. */
export type Standing =
  | { readonly kind: "running"; readonly pid: number; readonly name: string }
  | { readonly kind: "stopped"; readonly name: string }
  | { readonly kind: "gone" }
  | { readonly kind: "unknown"; readonly name: string | undefined };

/** What it is made of. */
export interface FollowerParts {
  /** For messages. */
  readonly socket: string;
  readonly open: () => Engine;
  /** In place of LOOK_MS. */
  readonly lookMs?: typeof LOOK_MS;
  /** Returns when somebody listens at the engine's socket. */
  readonly untilReachable: (signal: AbortSignal, absent: (reason: string) => void) => Promise<void>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly faults: Pick<Faults, "guard" | "later" | "tell">;
  /** What tells a process from a later one with its number; undefined when it is gone. */
  readonly processMark: (pid: number) => string | undefined;
  /** Whether a container hangs on the network, or waits to. */
  readonly isAttached: (id: string) => boolean;
  /** Which of the engine's networks are ours. */
  readonly ours: OurNetworks;
  /** The engine can be asked: what is to be known before its containers are. Does not throw. */
  readonly found: () => Promise<void>;
  /** Something may have changed about a container. */
  readonly changed: (id: string) => void;
  /** All containers are known: what is to be done about them can be done. */
  readonly synced: () => void;
}

interface Session {
  readonly engine: Engine;
  readonly version: EngineVersion;
  readonly ending: AbortController;
}

/** Follows an engine. Disposing it ends that; nothing is called any more. */
export class EngineFollower implements Disposable {
  readonly #parts: FollowerParts;
  readonly #core: Follower;
  readonly #over = new AbortController();
  #session: Session | undefined;
  /** Why there is none. */
  #absent = "it has not been looked for yet";

  /** Does nothing yet: call start(). */
  constructor(parts: FollowerParts) {
    this.#parts = parts;
    this.#core = new Follower(parts.isAttached, parts.ours);
  }

  /** Begins. Returns at once. */
  start(): void {
    this.#parts.faults.later("follow the container engine", this.#run());
  }

  /** Ends. */
  [Symbol.dispose](): void {
    this.#over.abort();
    this.#session?.ending.abort();
  }

  /** The engine that is followed now; otherwise why there is none. */
  get state(): EngineVersion | string {
    return this.#session?.version ?? this.#absent;
  }

  /** What is known of a container. */
  get(id: string): Known | undefined {
    return this.#core.get(id);
  }

  /** The containers that are known. */
  all(): IterableIterator<[id: string, known: Known]> {
    return this.#core.all();
  }

  /** Where a container stands now. */
  standing(id: string): Standing {
    const known = this.#core.get(id);
    const { isSynced } = this.#core;
    if (known === undefined) return isSynced ? { kind: "gone" } : { kind: "unknown", name: undefined };
    const { name, process } = known;
    if (process !== undefined && this.#parts.processMark(process.pid) === process.mark) {
      return { kind: "running", pid: process.pid, name };
    }
    return isSynced ? { kind: "stopped", name } : { kind: "unknown", name };
  }

  /** The id of a container that is called by its name, its id or the begin of that; undefined where the engine has none.
   * What is known of it is fresh then. Throws MeshnetError "engine/..." where the engine cannot be asked. */
  async resolve(word: string): Promise<string | undefined> {
    if (!isContainerWord(word)) return undefined;
    const session = this.#session;
    if (session === undefined) {
      throw new MeshnetError(
        "engine/unreachable",
        `Cannot find container ${word}: no container engine answers on ${this.#parts.socket} (${this.#absent})`,
        {
          hint: "Start it, or give its socket to `meshnet up --docker unix:///PATH`; pid:N works without it",
        },
      );
    }
    const asOf = this.#core.count;
    let found: ContainerDetails | undefined;
    try {
      found = await session.engine.container(word, session.ending.signal);
    } catch (thrown) {
      if (thrown instanceof MeshnetError) throw thrown;
      throw new MeshnetError(
        "engine/unreachable",
        `Cannot find container ${word}: the engine on ${this.#parts.socket} does not answer (${
          messageOf(thrown)
        })`,
        {
          hint: "Look whether the engine runs, and try again",
          cause: thrown,
        },
      );
    }
    if (found === undefined) return undefined;
    this.#post({ kind: "resolved", id: found.id, found: this.#marked(found), asOf });
    return found.id;
  }

  /** Has the engine make a network, unless it has one of that name. What fails is logged: the rest works without it. */
  async ensureNetwork(network: WantedNetwork): Promise<void> {
    const { logger } = this.#parts;
    const session = this.#session;
    if (session === undefined) return;
    try {
      const driver = await session.engine.ensureNetwork(network, session.ending.signal);
      if (driver === network.driver) return;
      logger.info("network of another driver", { network: network.name, driver });
    } catch (thrown) {
      if (session.ending.signal.aborted) return;
      logger.warn("no network of the engine", { network: network.name, reason: messageOf(thrown) });
    }
  }

  /** Has all containers asked for: an event may be lost. */
  listAgain(): void {
    this.#post({ kind: "missed" });
  }

  /** Whether containers that are not known have gone. */
  get isSynced(): boolean {
    return this.#core.isSynced;
  }

  /** Whether answers about containers are waited for. */
  get isLooking(): boolean {
    return this.#core.isLooking;
  }

  /** Which of these containers the engine is working on now; undefined: it cannot be asked. */
  async busy(ids: readonly string[]): Promise<ReadonlySet<string> | undefined> {
    const session = this.#session;
    if (session === undefined) return undefined;
    try {
      return await session.engine.busy(
        ids,
        AbortSignal.any([session.ending.signal, AbortSignal.timeout(BUSY_MS)]),
      );
    } catch (thrown) {
      this.#parts.logger.debug("engine does not say what it is working on", { reason: messageOf(thrown) });
      return session.ending.signal.aborted ? undefined : new Set();
    }
  }

  /** Who is in the networks of a driver; undefined: there is no engine to ask. */
  async places(driver: string): Promise<readonly EnginePlace[] | undefined> {
    const session = this.#session;
    try {
      return await session?.engine.places(driver, session.ending.signal);
    } catch (thrown) {
      if (session?.ending.signal.aborted) return undefined; // it went meanwhile
      throw thrown;
    }
  }

  /** What all networks use; undefined: there is no engine to ask. */
  async networkUse(): Promise<NetworkUse | undefined> {
    const session = this.#session;
    try {
      return await session?.engine.networkUse(session.ending.signal);
    } catch (thrown) {
      if (session?.ending.signal.aborted) return undefined; // it went meanwhile
      throw thrown;
    }
  }

  async #run(): Promise<void> {
    const { clock, logger, random, socket } = this.#parts;
    const { signal } = this.#over;
    let retryMs = RETRY_MS.first;
    let told: string | undefined;
    while (!signal.aborted) {
      try {
        let said = false;
        await this.#parts.untilReachable(signal, (reason) => {
          this.#absent = reason;
          if (!said) logger.info("no container engine", { socket, reason });
          said = true;
        });
      } catch (thrown) {
        if (signal.aborted) return;
        throw thrown;
      }
      const begun = clock.now();
      const reason = await this.#followOnce(() => told = undefined);
      if (signal.aborted) return;
      this.#absent = reason;
      if (reason !== told) logger.warn("container engine lost", { socket, reason });
      told = reason;
      retryMs = clock.now() - begun >= GOOD_MS ? RETRY_MS.first : Math.min(RETRY_MS.most, 2 * retryMs);
      await pause(jittered(retryMs, random), signal);
    }
  }

  /** Follows the engine until it ends, and says why. */
  async #followOnce(connected: () => void): Promise<string> {
    const { logger, socket } = this.#parts;
    const ending = new AbortController();
    const { signal } = ending;
    const over = this.#parts.faults.guard("leave the container engine", () => ending.abort());
    this.#over.signal.addEventListener("abort", over, { once: true });
    try {
      using engine = this.#parts.open();
      const version = await engine.open(signal);
      const events = await engine.events(signal);
      this.#session = { engine, version, ending };
      connected();
      logger.info("container engine", { socket, version: version.version, api: version.api });
      await this.#parts.found();
      this.#post({ kind: "connected" });
      for await (const event of events) {
        if (signal.aborted) break;
        this.#post(event === undefined ? { kind: "missed" } : { kind: "event", event });
      }
      return signal.aborted ? messageOf(signal.reason) : "it has closed the connection";
    } catch (thrown) {
      return messageOf(signal.aborted ? signal.reason : thrown);
    } finally {
      this.#session = undefined;
      ending.abort(new Error("the session is over"));
      this.#over.signal.removeEventListener("abort", over);
      this.#post({ kind: "lost" });
    }
  }

  #post(event: FollowerEvent): void {
    const { changed, faults, synced } = this.#parts;
    for (const effect of this.#core.step(event)) {
      try {
        switch (effect.kind) {
          case "list":
          case "look":
            this.#ask(effect);
            break;
          case "changed":
            changed(effect.id);
            break;
          case "synced":
            synced();
            break;
          default:
            assertNever(effect);
        }
      } catch (thrown) {
        faults.tell("follow the container engine", thrown);
      }
    }
  }

  /** Asks the engine. What fails ends the session: the next one begins with a list of everything. */
  #ask(what: { readonly kind: "list" } | { readonly kind: "look"; readonly id: string }): void {
    const session = this.#session;
    if (session === undefined) return;
    const { engine, ending } = session;
    const asking = async () => {
      try {
        const event: FollowerEvent = what.kind === "list"
          ? { kind: "listed", containers: await engine.containers(ending.signal) }
          : await this.#look(session, what.id);
        if (this.#session === session) this.#post(event);
      } catch (thrown) {
        ending.abort(thrown);
      }
    };
    this.#parts.faults.later("ask the container engine", asking());
  }

  /** Looks at a container. That takes as long as the engine works on it; an engine that says nothing else either is left. */
  async #look(session: Session, id: string): Promise<FollowerEvent> {
    const { engine, ending } = session;
    const answered = new AbortController();
    const over = AbortSignal.any([ending.signal, answered.signal]);
    this.#parts.faults.later("wait for the container engine", this.#watch(session, { id, over }));
    try {
      return this.#lookedEvent(id, await engine.look(id, ending.signal));
    } finally {
      answered.abort();
    }
  }

  async #watch({ engine, ending }: Session, { id, over }: {
    readonly id: string;
    readonly over: AbortSignal;
  }): Promise<void> {
    const { alive, delayed } = this.#parts.lookMs ?? LOOK_MS;
    try {
      await pause(delayed, over);
      if (!over.aborted) this.#post({ kind: "delayed", id });
      while (!over.aborted) {
        await pause(alive, over);
        if (!over.aborted) await engine.answers(over);
      }
    } catch (thrown) {
      if (!over.aborted) ending.abort(thrown);
    }
  }

  /** The engine also finds by name, and a name may look like an id: then the one with that id has gone. */
  #lookedEvent(id: string, found: ContainerDetails | undefined): FollowerEvent {
    return { kind: "looked", id, found: found?.id === id ? this.#marked(found) : undefined };
  }

  #marked({ pid, ...found }: ContainerDetails): Looked {
    const mark = pid === undefined ? undefined : this.#parts.processMark(pid);
    const process = pid === undefined || mark === undefined ? undefined : { pid, mark };
    return { ...found, process };
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<unknown>();
  const timer = setTimeout(resolve, ms);
  signal.addEventListener("abort", resolve, { once: true });
  await promise;
  clearTimeout(timer);
  signal.removeEventListener("abort", resolve);
}
