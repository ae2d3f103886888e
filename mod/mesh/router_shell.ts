/** The router's listener, connections and clock: carries out what the core decides. */
import { type Endpoint, type Ip, isIpv4, parseIp } from "../core/addr.ts";
import { assertNever } from "../core/brand.ts";
import { Driver, type Failure } from "../core/driver.ts";
import type { Faults } from "../core/faults.ts";
import { MeshnetError, messageOf } from "../core/errors.ts";
import type { PeerName, ShortId } from "../core/names.ts";
import type { OverlayEvent, OverlayRequest } from "../core/overlay_port.ts";
import type { Alarm, Clock, GossipChannel, GossipData, Knocked, Logger, Store } from "../core/ports.ts";
import type { AttemptId } from "./mesh_ids.ts";
import { RouterCore } from "./router.ts";
import type { SocketId } from "./mesh_ids.ts";
import type { RouterConfig, RouterEffect, RouterEvent } from "./router_types.ts";
import type { ConnectionSnapshot, MeshSnapshot, RoutesSnapshot } from "./snapshot.ts";
import { Socket } from "./tcp/socket_shell.ts";
import type { TargetChange } from "./dialing/target_change.ts";
import { knockAt } from "./tcp/knock_shell.ts";
import { parseDialTarget } from "./dialing/target.ts";
import {
  DenoStream,
  dial,
  DialError,
  endpointOf,
  listen,
  lookUp,
  type Stream,
  wasReset,
} from "./tcp/tcp_shell.ts";

/** Where the direct targets are kept between runs: a JSON list of texts. */
export const TARGETS_KEY = "mesh/targets";

/** What a running router needs. */
export interface RouterOptions extends RouterConfig {
  /** The address to listen on and to dial from; undefined for all. */
  readonly host: Ip | undefined;
  /** Direct targets; undefined for those of the last run. */
  readonly targets: readonly string[] | undefined;
  /** Records that are remembered together with the targets. */
  readonly alongside?: readonly (readonly [key: string, value: string])[];
  readonly clock: Clock;
  readonly alarm: Alarm;
  readonly store: Store;
  readonly logger: Logger;
  /** Takes what fails where nobody waits for it. */
  readonly faults: Faults;
  readonly overlay: { request(request: OverlayRequest): void };
  /** We had to take another short id: keep it for the next start. */
  onShortId(shortId: ShortId): void;
  /** A connection works under our name: it is to be kept. */
  onSettled(): void;
  /** Another host has our name: start again under another one. Only where `canRename`. */
  onRename(): void;
  /** Ends the router and closes its connections. */
  readonly signal: AbortSignal;
}

const EVENT_LIMIT = 65_536;
/** Connections that are taken from the system in a row; so many in less than as many milliseconds are too many. */
const ACCEPT_BATCH = 32;
/** How long to wait after a failure to accept, milliseconds. */
const ACCEPT_PAUSE = 50;

/** Starts a router. Throws "up/port-taken" when it cannot listen. */
export function startRouter(options: RouterOptions): Router {
  return new Router(options);
}

/** A running router. Every call returns at once. */
export class Router {
  /** The address and port it listens on. */
  readonly address: Endpoint;
  readonly #core: RouterCore;
  readonly #driver: Driver<RouterEvent, RouterEffect>;
  readonly #sockets = new Map<SocketId, Socket>();
  readonly #listener: Deno.TcpListener;
  readonly #faults: Faults;
  /** Dials that have not led to a connection yet. */
  readonly #dials = new Map<AttemptId, AbortController>();
  #serial = 0;
  #reachablePeers: readonly PeerName[] = [];
  #onReachable: (peers: readonly PeerName[]) => void = () => {};

  constructor(readonly options: RouterOptions) {
    const { clock, alarm, signal } = options;
    this.#faults = options.faults;
    this.#listener = listen(options.host, options.port);
    const { hostname, port } = this.#listener.addr;
    this.address = { ip: parseIp(hostname) ?? "0.0.0.0" as Ip, port };
    // Port 0 asks the system for a free one, which tests do.
    this.#core = new RouterCore({ ...options, port }, clock.now());
    const loop = { clock, alarm, wake: { kind: "wake" } as const, limit: EVENT_LIMIT };
    const failed = (failure: Failure<RouterEvent, RouterEffect>) => this.#failed(failure);
    this.#driver = new Driver(this.#core, (effect) => this.#perform(effect), { ...loop, failed });
    signal.addEventListener("abort", this.#faults.guard("the mesh's end", () => this.#stop()), {
      once: true,
    });
    this.#faults.later("accept connections", this.#accept());
    const change = { connect: options.targets ?? storedTargets(options.store), replace: true };
    try {
      this.#remember(change, options.alongside ?? []);
    } catch (thrown) {
      this.#faults.tell("remember the targets", thrown); // those of the next start name them again
    }
    this.#post({ kind: "targets", change });
  }

  /** Takes what the data plane has to say. */
  overlay(event: OverlayEvent): void {
    this.#post({ kind: "overlay", event });
  }

  /** This host's interfaces, addresses or routes have changed. */
  networkChanged({ gone, come }: { readonly gone: readonly Ip[]; readonly come: readonly Ip[] }): void {
    this.#post({ kind: "network-changed", gone, come });
  }

  /**
   * Changes the direct targets. Before anything is done they are remembered for the next start, together with the
   * `alongside` records. Throws "usage/bad-option" for texts that are no targets, and what the store throws. Nothing has
   * changed then.
   */
  retarget(
    change: TargetChange,
    alongside: readonly (readonly [key: string, value: string])[] = [],
  ): void {
    for (const target of change.connect ?? []) {
      const parsed = parseDialTarget(target);
      if (!parsed.ok) {
        throw new MeshnetError("usage/bad-option", `Cannot connect: ${parsed.reason}`, {
          hint: "Give HOST or HOST:PORT, for example 192.0.2.1 or peer.example.com:6783.",
        });
      }
    }
    if (this.options.signal.aborted) {
      throw new MeshnetError("control/request-failed", "Cannot change targets: the router is stopping");
    }
    this.#remember(change, alongside);
    this.#ask({ kind: "targets", change });
  }

  #remember(change: TargetChange, alongside: readonly (readonly [string, string])[]): void {
    const { store } = this.options;
    const records = [[TARGETS_KEY, JSON.stringify(this.#core.targetsAfter(change))] as const, ...alongside];
    const news = records.filter(([key, value]) => store.get(key) !== value);
    if (news.length > 0) store.putAll(news);
  }

  /** Adds a gossip channel. */
  register(channel: GossipChannel): void {
    this.#core.register(channel);
  }

  /** Tells now, and whenever it changes, whom messages of channels reach; one listener. */
  watchReachable(listener: (peers: readonly PeerName[]) => void): void {
    this.#onReachable = listener;
    listener(this.#reachablePeers);
  }

  /** How many peers there ought to be: the direct targets that do not lead to ourselves, and ourselves. */
  expectedPeers(): number {
    return this.#core.expectedPeers();
  }

  /** Whether the mesh has a peer of this name. */
  knows(peer: PeerName): boolean {
    return this.#core.knows(peer);
  }

  /** The neighbour over which a peer is reached; undefined: it is not. */
  nextHop(peer: PeerName): PeerName | undefined {
    return this.#core.nextHop(peer);
  }

  /** The connection to a neighbour; undefined: there is none. */
  connectionTo(peer: PeerName): ConnectionSnapshot | undefined {
    return this.#core.connectionTo(peer);
  }

  /** Whether a neighbour has announced an extension of the protocol. */
  announces(peer: PeerName, extension: string): boolean {
    return this.#core.announces(peer, extension);
  }

  /** Finds out whether a host is there, by an attempt to connect. Does not reject. */
  knock(address: Endpoint): Promise<Knocked> {
    return knockAt(address, { from: this.#from, signal: this.options.signal });
  }

  #reachable(peers: readonly PeerName[]): void {
    this.#reachablePeers = peers;
    this.#onReachable(peers);
  }

  /** Sends to one peer over as many hops as it takes; lost without notice if there is no route. */
  unicast(channel: string, destination: PeerName, payload: Uint8Array): void {
    this.#post({ kind: "unicast", channel, destination, payload });
  }

  /** Sends to every peer. */
  broadcast(channel: string, data: GossipData): void {
    this.#post({ kind: "broadcast", channel, data });
  }

  /** Sends to random neighbours, which pass on what is new to them. */
  gossip(channel: string, data: GossipData): void {
    this.#post({ kind: "gossip", channel, data });
  }

  /** Everything that is to be known of the mesh. */
  snapshot(): MeshSnapshot {
    return this.#core.snapshot(this.options.clock.now());
  }

  /** Next hops over established connections, from every source; costly in a large mesh. */
  routes(): RoutesSnapshot {
    return this.#core.routes();
  }

  /** Hands an event to the core. */
  #post(event: RouterEvent): void {
    if (this.#driver.post(event) || this.options.signal.aborted) return;
    this.#faults.tell(`mesh event ${event.kind}`, "too many events wait");
    this.#dropConnection(event);
  }

  /** Hands an event to the core and throws what failed of it. */
  #ask(event: RouterEvent): void {
    const failures: unknown[] = [];
    this.#driver.post(event, ({ thrown }) => void failures.push(thrown));
    if (failures.length > 0) throw failures[0];
  }

  /** A fault of our own must not end the process: it is logged, and costs the connection on which it showed. */
  #failed({ thrown, event, effect }: Failure<RouterEvent, RouterEffect>): void {
    const what = effect === undefined ? `mesh event ${event.kind}` : `mesh effect ${effect.kind}`;
    this.#faults.tell(what, thrown);
    if (effect === undefined) this.#dropConnection(event);
  }

  #dropConnection(event: RouterEvent): void {
    if (event.kind !== "bytes") return;
    this.#sockets.get(event.socket)?.close();
    this.#sockets.delete(event.socket);
    this.#post({ kind: "closed", socket: event.socket, reason: "this host could not handle what it sent" });
  }

  #perform(effect: RouterEffect): void {
    const { options } = this;
    switch (effect.kind) {
      case "write":
        return this.#sockets.get(effect.socket)?.write(effect.data);
      case "close":
        this.#sockets.get(effect.socket)?.finish();
        this.#sockets.delete(effect.socket);
        return;
      case "dial":
        return this.#faults.later("dial", this.#dial(effect.attempt, effect.address));
      case "resolve":
        return this.#faults.later("look a name up", this.#resolve(effect.attempt, effect.host));
      case "abandon":
        return this.#dials.get(effect.attempt)?.abort();
      case "overlay":
        return options.overlay.request(effect.request);
      case "knock": {
        const told = this.knock(effect.address).then((result) => {
          this.#post({ kind: "knocked", link: effect.link, result });
        });
        return this.#faults.later("knock at a host", told);
      }
      case "reachable":
        return this.#reachable(effect.peers);
      case "settled":
        return options.onSettled();
      case "rename":
        return options.onRename();
      case "short-id":
        return options.onShortId(effect.shortId);
      case "log":
        return options.logger[effect.level](effect.event, effect.fields);
      default:
        return assertNever(effect);
    }
  }

  async #accept(): Promise<void> {
    const { clock, signal } = this.options;
    let [count, since] = [0, clock.now()];
    while (!signal.aborted) {
      try {
        this.#enter(await this.#listener.accept());
      } catch (error) {
        if (signal.aborted) return;
        if (!wasReset(error)) {
          this.#faults.tell("accept connections", error);
          await pause(ACCEPT_PAUSE, signal); // out of descriptors
        }
      }
      if (++count < ACCEPT_BATCH) continue;
      // Above this rate accepting takes half of this thread's time, and the rest of the mesh has the other half.
      const took = clock.now() - since;
      if (took < ACCEPT_BATCH) await pause(Math.max(1, took), signal);
      [count, since] = [0, clock.now()];
    }
  }

  /** Takes a connection in, or closes it at once. */
  #enter(conn: Deno.TcpConn): void {
    const { hostname, port } = conn.remoteAddr;
    if (!this.#core.mayEnter(endpointOf(hostname, port).ip, this.options.clock.now())) return conn.close();
    const stream = new DenoStream(conn);
    const { local, remote } = stream;
    const socket = this.#adopt(stream);
    this.#post({ kind: "accepted", socket, local, remote });
    this.#sockets.get(socket)?.start();
  }

  async #dial(attempt: AttemptId, address: Endpoint): Promise<void> {
    const abandon = new AbortController();
    const signal = AbortSignal.any([this.options.signal, abandon.signal]);
    this.#dials.set(attempt, abandon);
    try {
      const stream = await dial(address, { from: this.#from, signal });
      if (signal.aborted) return stream.close();
      const socket = this.#adopt(stream);
      this.#post({ kind: "dialed", attempt, socket, local: stream.local, remote: address });
      this.#sockets.get(socket)?.start();
    } catch (error) {
      if (signal.aborted) return;
      const failure = error instanceof DialError ? error.failure : "other";
      this.#post({ kind: "dial-failed", attempt, failure, message: messageOf(error) });
    } finally {
      this.#dials.delete(attempt);
    }
  }

  async #resolve(attempt: AttemptId, host: string): Promise<void> {
    const found = await lookUp(host);
    const from = this.#from;
    const answer = from === undefined || typeof found === "string"
      ? found
      : found.filter((ip) => isIpv4(ip) === isIpv4(from));
    this.#post({ kind: "resolved", attempt, answer });
  }

  /** The address to dial from, if it matters. */
  get #from(): Ip | undefined {
    const { host } = this.options;
    return host === "0.0.0.0" || host === "::" ? undefined : host;
  }

  #adopt(stream: Stream): SocketId {
    const id = ++this.#serial as SocketId;
    this.#sockets.set(
      id,
      new Socket(stream, {
        data: (data) => this.#post({ kind: "bytes", socket: id, data }),
        written: (count) => this.#post({ kind: "written", socket: id, count }),
        end: (reason, silent = false) => {
          this.#sockets.delete(id);
          this.#post({ kind: "closed", socket: id, reason, silent });
        },
      }),
    );
    return id;
  }

  #stop(): void {
    this.#driver.stop();
    this.#listener.close();
    for (const socket of this.#sockets.values()) socket.close();
    this.#sockets.clear();
  }
}

/** The direct targets of the last run. */
export function storedTargets(store: Store): readonly string[] {
  try {
    const list: unknown = JSON.parse(store.get(TARGETS_KEY) ?? "[]");
    return Array.isArray(list) ? list.filter((text) => typeof text === "string") : [];
  } catch {
    return []; // an unreadable list is no reason not to start
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done, { once: true });
  });
}
