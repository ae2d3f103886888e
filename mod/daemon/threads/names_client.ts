/** The main thread's end of the name server: starts its thread, tells it what changes, starts it anew if it ends. */
import { assertNever } from "../../core/brand.ts";
import { MeshnetError, messageOf } from "../../core/errors.ts";
import type { Faults } from "../../core/faults.ts";
import { HOST_HOLDER } from "../../core/holders.ts";
import type { PeerName } from "../../core/names.ts";
import type { Logger } from "../../core/ports.ts";
import type { DnsClient } from "../../dns/answers/clients.ts";
import type { EntryWatcher } from "../../dns/records/entry_store.ts";
import type { Health } from "../../dns/thread/health.ts";
import type { ProbedTarget } from "../../dns/thread/health_check.ts";
import type {
  DnsEndpoint,
  DnsListener,
  DnsReport,
  EntryChange,
  FromNameServer,
  InsidePlace,
  NameServiceConfig,
  ToNameServer,
} from "../../dns/service_types.ts";
import type { DnsEntry } from "../../wire/dns/dns_gossip.ts";
import type { WakeupCounter } from "./dataplane_client.ts";

/** Changes of one message. The thread answers queries between messages, so that none waits for a thousand names. */
const BATCH = 500;
const STOP_MS = 2_000;
/** How long a report, and the first news of addresses, may take. */
const PATIENCE_MS = 2_000;
/** How long other servers may be asked for: three times, a second apart, and the last one has its time, too. */
const EXAM_MS = 6_000;
/** Rest before a thread that ended is started anew. It doubles up to the longest, until one has run for so long. */
const REST_MS = { first: 1_000, longest: 60_000 } as const;

/** What the name server's client is made of. */
export interface NameServiceAround {
  /** How the name server answers. */
  readonly config: NameServiceConfig;
  /** All entries of the directory as of now: a thread that begins gets them. */
  readonly entries: () => Iterable<DnsEntry>;
  /** Makes the counter that wakes the thread. */
  readonly createWakeup: () => WakeupCounter;
  /** Takes what the thread logs, too. */
  readonly log: Logger;
  /** Makes a callback that lets nothing out, see Faults.guard. */
  readonly guard: Faults["guard"];
  /** Takes what has become of the addresses to listen on, whenever that changes. */
  readonly onListeners?: (listeners: readonly DnsListener[]) => void;
  /** A target that is probed answers, or no longer does; told at first, and whenever that changes. */
  readonly onHealth: (id: string, health: Health) => void;
  /** How long a report, and the first news of addresses, may take, in milliseconds; 2 s unless given. */
  readonly patienceMs?: number;
  /** Where the thread's code is, if not beside this file. */
  readonly workerUrl?: URL;
}

/** The main thread's end. Every method returns at once; what is told in one turn goes over in few messages. */
export interface NameService {
  /** Takes each change of the directory's entries; to be passed on as its watcher, from the first entry on. */
  readonly watch: EntryWatcher;
  /** What is known of a client: a container, or the host. Replaces what was known under its id. */
  setClient(id: string, client: DnsClient): void;
  /** Forgets a client. */
  removeClient(id: string): void;
  /** Probes a target from now on, or in another way; undefined: no longer. `around.onHealth` hears how it is. */
  probe(id: string, target: ProbedTarget | undefined): void;
  /** Takes the measured time to all peers and back, for answers in the order `nearest`. */
  setDistances(rttMs: ReadonlyMap<PeerName, number>): void;
  /** Listens on these addresses, UDP and TCP, and on no others. What cannot be had is tried again every few seconds, and
   * at each call; the log says by whom a port is taken. */
  listen(endpoints: readonly DnsEndpoint[]): void;
  /** What has become of each address, as far as is known. */
  readonly listeners: readonly DnsListener[];
  /** Whether there is a client other than the host, an address for others, or a target to probe. Until then there is no
   * thread, which would take memory and part of a start for nothing. */
  readonly isNeeded: boolean;
  /** Takes the questions for an engine's name server in the namespace at a path; undefined: no longer. `told` hears when that
   * has begun, and why it has not or has ended. */
  serveInside(
    netns: string,
    place: InsidePlace | undefined,
    told?: (problem: string | undefined) => void,
  ): void;
  /** Somebody who will ask is about to come: starts what is needed for that. */
  expectClient(): void;
  /** Resolves when it is known what has become of the addresses, after two seconds at the latest; at once while nobody can
   * ask. */
  settled(): Promise<void>;
  /** How the server is. Rejects when the server has ended, or does not answer within two seconds. With `examine` it asks
   * all other servers first whether they answer, which may take some seconds more. */
  report(how?: { readonly examine: boolean }): Promise<DnsReport>;
  /** Ends the server. Idempotent. */
  stop(): Promise<void>;
}

/** One run of the thread. */
interface Thread {
  readonly worker: Worker;
  readonly wakeup: WakeupCounter;
  readonly beganAt: number;
}

class NameServiceClient implements NameService {
  readonly #around: NameServiceAround;
  readonly #clients = new Map<string, DnsClient>();
  readonly #probed = new Map<string, ProbedTarget>();
  readonly #inside = new Map<string, { place: InsidePlace; told: (problem: string | undefined) => void }>();
  readonly #reports = new Map<number, PromiseWithResolvers<DnsReport>>();
  readonly #deliverSoon: () => void;
  #thread: Thread | undefined;
  #endpoints: readonly DnsEndpoint[] = [];
  #distances: ReadonlyMap<PeerName, number> = new Map();
  #changes: EntryChange[] = [];
  #lastReport = 0;
  #restMs: number = REST_MS.first;
  #resting: ReturnType<typeof setTimeout> | undefined;
  #ended = false;
  #left: PromiseWithResolvers<void> | undefined;
  listeners: readonly DnsListener[] = [];
  isNeeded = false;
  #known = Promise.withResolvers<void>();

  constructor(around: NameServiceAround) {
    this.#around = around;
    this.#deliverSoon = around.guard("changes of names", () => this.#deliver());
  }

  readonly watch: EntryWatcher = (before, after) => {
    if (this.#thread === undefined) return; // the next one begins with all entries
    if (this.#changes.push([before, after]) === 1) queueMicrotask(this.#deliverSoon);
  };

  setClient(id: string, client: DnsClient): void {
    this.#clients.set(id, client);
    if (this.isNeeded || id === HOST_HOLDER) this.#send({ kind: "client", id, client });
    else this.#need();
  }

  removeClient(id: string): void {
    if (this.#clients.delete(id)) this.#send({ kind: "client", id, client: undefined });
  }

  probe(id: string, target: ProbedTarget | undefined): void {
    if (target === undefined) this.#probed.delete(id);
    else this.#probed.set(id, target);
    if (this.isNeeded || target === undefined) this.#send({ kind: "probe", id, target });
    else this.#need();
  }

  setDistances(rttMs: ReadonlyMap<PeerName, number>): void {
    this.#distances = rttMs;
    this.#send({ kind: "distances", rttMs });
  }

  listen(endpoints: readonly DnsEndpoint[]): void {
    this.#endpoints = endpoints;
    if (this.isNeeded || endpoints.every(({ netns }) => netns !== undefined)) {
      this.#send({ kind: "listen", endpoints });
    } else this.#need();
  }

  serveInside(
    netns: string,
    place: InsidePlace | undefined,
    told: (problem: string | undefined) => void = () => {},
  ): void {
    if (place === undefined) this.#inside.delete(netns);
    else this.#inside.set(netns, { place, told });
    if (this.isNeeded || place === undefined) this.#send({ kind: "inside", netns, place });
    else this.#need();
  }

  expectClient(): void {
    if (!this.isNeeded) this.#need();
  }

  async settled(): Promise<void> {
    if (!this.isNeeded || this.listeners.length > 0 || this.#endpoints.length === 0) return;
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, this.#around.patienceMs ?? PATIENCE_MS);
    await Promise.race([this.#known.promise, late.promise]);
    clearTimeout(timer);
  }

  #need(): void {
    if (this.#ended) return;
    this.isNeeded = true;
    this.#begin();
  }

  report({ examine } = { examine: false }): Promise<DnsReport> {
    if (this.#thread === undefined) return Promise.reject(unavailable("it does not run"));
    const id = ++this.#lastReport;
    const pending = Promise.withResolvers<DnsReport>();
    this.#reports.set(id, pending);
    this.#send({ kind: "report", id, examine });
    const late = this.#around.guard("a late report", () => pending.reject(unavailable("it is too busy")));
    const timer = setTimeout(late, (this.#around.patienceMs ?? PATIENCE_MS) + (examine ? EXAM_MS : 0));
    return pending.promise.finally(() => {
      clearTimeout(timer);
      this.#reports.delete(id);
    });
  }

  async stop(): Promise<void> {
    if (this.#ended) return await this.#left?.promise;
    this.#ended = true;
    clearTimeout(this.#resting);
    if (this.#thread === undefined) return;
    this.#left = Promise.withResolvers();
    this.#send({ kind: "stop" });
    const timer = setTimeout(this.#around.guard("the end of the name server", () => this.#end()), STOP_MS);
    await this.#left.promise;
    clearTimeout(timer);
  }

  #begin(): void {
    const { config, createWakeup, guard, workerUrl } = this.#around;
    using undo = new DisposableStack();
    let wakeup: WakeupCounter;
    try {
      wakeup = undo.use(createWakeup());
      const url = workerUrl ?? new URL("./names_worker.ts", import.meta.url);
      const worker = new Worker(url, { type: "module", name: "names" });
      this.#thread = { worker, wakeup, beganAt: performance.now() };
      const isThis = () => this.#thread?.worker === worker;
      worker.addEventListener(
        "message",
        guard("a message of the name server", (event) => {
          if (isThis()) this.#take((event as MessageEvent<FromNameServer>).data);
        }),
      );
      worker.addEventListener(
        "error",
        guard("the end of the name server", (event) => {
          event.preventDefault();
          if (isThis()) this.#fail((event as ErrorEvent).message);
        }),
      );
    } catch (thrown) {
      return this.#fail(messageOf(thrown));
    }
    undo.move();
    // Not announced: the thread waits for its first message in another way.
    this.#thread?.worker.postMessage({ kind: "start", config, wakeupFd: wakeup.fd } satisfies ToNameServer);
    for (const [id, client] of this.#clients) this.#send({ kind: "client", id, client });
    for (const [id, target] of this.#probed) this.#send({ kind: "probe", id, target });
    this.#send({ kind: "distances", rttMs: this.#distances });
    this.#changes = Array.from(this.#around.entries(), (entry) => [undefined, entry] as const);
    this.#deliver();
    for (const [netns, { place }] of this.#inside) this.#send({ kind: "inside", netns, place });
    this.#send({ kind: "listen", endpoints: this.#endpoints }); // last: what it does not know yet would not exist
  }

  #deliver(): void {
    const changes = this.#changes;
    this.#changes = [];
    for (let i = 0; i < changes.length; i += BATCH) {
      this.#post({ kind: "changes", changes: changes.slice(i, i + BATCH) });
    }
  }

  /** In the order in which things were told. */
  #send(message: ToNameServer): void {
    if (this.#changes.length > 0) this.#deliver();
    this.#post(message);
  }

  #post(message: ToNameServer): void {
    if (this.#thread === undefined) return;
    this.#thread.worker.postMessage(message); // first the message, then the signal that there is one
    this.#thread.wakeup.signal();
  }

  #take(message: FromNameServer): void {
    switch (message.kind) {
      case "listeners":
        this.listeners = message.listeners;
        if (message.listeners.length > 0) this.#known.resolve();
        return this.#around.onListeners?.(message.listeners);
      case "report":
        return this.#reports.get(message.id)?.resolve(message.report);
      case "health":
        if (this.#probed.has(message.id)) this.#around.onHealth(message.id, message.health);
        return;
      case "inside":
        return this.#inside.get(message.netns)?.told(message.problem);
      case "log":
        return this.#around.log[message.level](message.event, message.fields);
      case "stopped":
        return this.#end();
      case "failed":
        return this.#fail(message.reason);
      default:
        assertNever(message);
    }
  }

  #fail(reason: string): void {
    const ranMs = this.#thread === undefined ? 0 : performance.now() - this.#thread.beganAt;
    if (ranMs > REST_MS.longest) this.#restMs = REST_MS.first;
    this.#end();
    if (this.#ended) return;
    const { guard, log } = this.#around;
    log.error("name server failed", { reason, again: `in ${this.#restMs / 1_000} s` });
    this.#resting = setTimeout(guard("start of the name server", () => this.#begin()), this.#restMs);
    this.#restMs = Math.min(2 * this.#restMs, REST_MS.longest);
  }

  #end(): void {
    const thread = this.#thread;
    this.#thread = undefined;
    this.#changes = [];
    this.listeners = [];
    this.#known.resolve(); // it has ended: nobody waits for it
    this.#known = Promise.withResolvers();
    thread?.worker.terminate();
    thread?.wakeup[Symbol.dispose]();
    for (const { told } of [...this.#inside.values()]) told("the name server has ended");
    for (const { reject } of this.#reports.values()) reject(unavailable("it has ended"));
    this.#left?.resolve();
  }
}

function unavailable(why: string): MeshnetError {
  return new MeshnetError("dns/unavailable", `Cannot ask the name server: ${why}`);
}

/** The name server; its thread starts with the first who can ask. It answers on no address until it is told to listen. */
export function startNameService(around: NameServiceAround): NameService {
  return new NameServiceClient(around);
}
