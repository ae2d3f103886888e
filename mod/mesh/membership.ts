/** The part of the router that owns what is known of the mesh: records, routes and gossip, and when they are renewed. */
import type { Decoded } from "../core/brand.ts";
import type { PeerName, ShortId } from "../core/names.ts";
import type { LinkId, TopologyView } from "../core/overlay_port.ts";
import type { GossipData, Parting } from "../core/ports.ts";
import type { Millis } from "../core/time.ts";
import type { Features } from "../wire/mesh/mesh_message.ts";
import type { Connector } from "./dialing/connector.ts";
import { DigestChannel } from "./gossip/digest_channel.ts";
import { GossipEngine } from "./gossip/gossip.ts";
import type { Connection } from "./connections/connection.ts";
import type { RouterConfig, RouterEffect } from "./router_types.ts";
import { RouteTable } from "./topology/routes.ts";
import { Topology } from "./topology/topology.ts";
import { TopologyChannel } from "./gossip/topology_channel.ts";
import { DIGEST_CHANNEL, DIGEST_EXTENSION } from "./gossip/topology_digest.ts";

/** Shortest and longest time between two recalculations of routes, milliseconds. */
export const ROUTES_GAP = { min: 100, max: 2_000 } as const;
/** Shortest and longest time between two announcements of our own changes, milliseconds. */
export const ANNOUNCE_GAP = { min: 100, max: 4_000 } as const;
/** Bytes of all records together per millisecond of gap: 20 hosts have about 10 KiB, 200 hosts about 1.2 MiB. */
const BYTES_PER_MS = { routes: 600, announce: 300 } as const;

/** Peers that understand digests compare them this often, milliseconds: */
const COMPARE_INTERVAL = 30_000;
/** and this long after the last change, */
const COMPARE_QUIET = 2_000;
/** at the latest this long after the first, */
const COMPARE_LATEST = 10_000;
/** with this many neighbours. */
const COMPARE_WITH = 3;
/** How the last connection to a peer ended counts if the peer leaves the mesh within this time, milliseconds. */
const PARTING_MS = 60_000;
/** About what one link takes in a record. A mesh that is starting soon has nearly all links between its peers. */
const LINK_BYTES = 30;
/** Finding whom to relay to walks many edges. Above so many, about half a second, relays go to all neighbours instead. */
const MAX_RELAY_WORK = 50_000_000;

/** Work that is done at once after a quiet time, and at most once in a while otherwise. What comes meanwhile merges. */
class Paced {
  /** When it is due; Infinity when it is not wanted. */
  at = Infinity;
  #done = -Infinity;

  /** Wants it, `gap` milliseconds after it was last done or now. */
  want(gap: number, now: Millis): void {
    this.at = Math.min(this.at, Math.max(now, this.#done + gap));
  }
  /** Whether it is due; it then counts as done. */
  take(now: Millis): boolean {
    if (now < this.at) return false;
    this.at = Infinity;
    this.#done = now;
    return true;
  }
}

/** What the membership needs from the rest of the router. */
export interface MembershipContext {
  readonly config: RouterConfig;
  readonly connector: Connector;
  emit(effect: RouterEffect): void;
}

/** Records, routes and gossip. Call `settle()` at the end of every step and at `nextWake()`. */
export class Membership {
  readonly topology: Topology;
  readonly engine: GossipEngine;
  /** Routes over all published connections, as gossip uses them. */
  gossipRoutes: RouteTable | undefined;
  /** Routes over established connections, as frames use them. */
  routes: RouteTable | undefined;
  readonly #channel: TopologyChannel;
  readonly #digests: DigestChannel;
  readonly #recalculation = new Paced();
  readonly #announcement = new Paced();
  readonly #announced = new Set<PeerName>();
  /** Peers whose records are passed on with the next routes. */
  readonly #relays = new Set<PeerName>();
  /** When to compare digests with some neighbours, and since when that has been put off. */
  #compareAt: number;
  /** Whether a connection of ours was removed: what it led to may have to be collected. */
  #collect = false;
  #unsettled: number | undefined;
  /** How connections to peers ended lately whose hosts may be there still. */
  readonly #partings = new Map<PeerName, Parting>();
  #view: TopologyView | undefined;
  #reachable: readonly PeerName[] = [];

  constructor(readonly context: MembershipContext, now: Millis) {
    const { config } = context;
    const { name, nickname, uid, shortId, random } = config;
    this.topology = new Topology({ name, nickname, uid, shortId }, random);
    const { decodeTopology: decode } = config;
    this.#channel = new TopologyChannel(this.topology, decode === undefined ? {} : { decode });
    this.#digests = new DigestChannel(this.#channel);
    this.engine = new GossipEngine({ topology: this.#channel, random, now });
    this.engine.register(this.#digests);
    for (const channel of config.channels) this.engine.register(channel);
    this.#compareAt = now + COMPARE_INTERVAL;
    this.#recalculate();
  }

  /** The short id that we claim. */
  get shortId(): ShortId | undefined {
    return this.topology.own.shortId;
  }

  /** The remote of a connection that is about to be added. */
  register(remote: Features, now: Millis): { readonly restarted: boolean } {
    const { restarted, selfChanged } = this.topology.ensure(remote);
    this.topology.retain(remote.name);
    if (selfChanged) this.#shortIdChanged(now);
    return { restarted };
  }

  /** A connection is in the table. */
  added(connection: Connection, restarted: boolean, now: Millis): void {
    const peer = connection.peer!;
    const { outbound, id } = connection.origin;
    const reachable = this.routes?.reaches(peer) ?? false;
    this.topology.setLink({ peer, address: connection.address, outbound, established: false });
    this.engine.addConnection(id, peer, now);
    this.#partings.delete(peer);
    const extended = connection.introduced?.remote.extensions?.includes(DIGEST_EXTENSION) ?? false;
    if (extended) {
      this.#channel.onTeller(peer);
      const member = this.gossipRoutes?.reaches(peer) ?? false;
      if (!member || restarted) this.engine.gossipTo(peer, DIGEST_CHANNEL, this.#channel.digest("greeting"));
      this.#compareSoon(now);
    }
    if (!reachable || restarted) this.engine.sendFullState(id, extended ? this.#channel.name : undefined);
    this.#changed([peer], now);
  }

  /** A connection's overlay works. */
  established(peer: PeerName, now: Millis): void {
    this.topology.setEstablished(peer);
    this.#changed([], now);
  }

  /** A connection left the table. `parting`: the remote's host may be there still. */
  removed(connection: Connection, parting: Parting | undefined, now: Millis): void {
    const peer = connection.peer!;
    for (const [name, { at }] of this.#partings) if (now - at > PARTING_MS) this.#partings.delete(name);
    if (parting !== undefined) this.#partings.set(peer, parting);
    this.engine.removeConnection(connection.origin.id);
    this.topology.removeLink(peer);
    this.topology.release(peer);
    this.#collect = true;
    this.#changed([], now);
  }

  /** Handles a gossip message; a reason in return ends the connection. */
  receive(id: LinkId, message: Uint8Array, now: Millis): Decoded<undefined> {
    return this.engine.receive(id, message, now);
  }

  /** Does what is due. */
  settle(now: Millis): void {
    this.#spread(now >= this.#channel.nextWake() ? this.#channel.wake(now) : undefined);
    this.#follow(now);
    if (this.#recalculation.take(now)) {
      if (this.#collect) this.#channel.collect(now);
      this.#collect = false;
      this.#follow(now);
      this.#recalculate();
    }
    if (this.#announcement.take(now)) {
      this.engine.gossipToAll(this.#channel.name, this.#channel.records([this.topology.self]));
      if (this.#announced.size > 0) this.#spread(this.#channel.records(this.#announced));
      this.#announced.clear();
    }
    if (now >= this.#compareAt) this.#compare(now);
    if (now >= this.engine.nextWake()) this.engine.wake(now);
  }

  /** Earliest time at which `settle()` could do something. */
  nextWake(): number {
    return Math.min(
      this.#channel.nextWake(),
      this.#recalculation.at,
      this.#announcement.at,
      this.#compareAt,
      this.engine.nextWake(),
    );
  }

  #changed(names: readonly PeerName[], now: Millis): void {
    this.#announce(names, now);
    this.#requestRoutes(now);
  }

  #announce(names: readonly PeerName[], now: Millis): void {
    for (const name of names) this.#announced.add(name);
    this.#announcement.want(this.#gap(ANNOUNCE_GAP, BYTES_PER_MS.announce), now);
  }

  #requestRoutes(now: Millis): void {
    this.#recalculation.want(this.#gap(ROUTES_GAP, BYTES_PER_MS.routes), now);
    this.engine.holdRelays();
    this.context.connector.request(now);
  }

  #gap(bounds: { readonly min: number; readonly max: number }, bytesPerMs: number): number {
    const { size, stateSize } = this.topology;
    const bytes = Math.max(stateSize, size * size * LINK_BYTES);
    return Math.min(bounds.max, Math.max(bounds.min, bytes / bytesPerMs));
  }

  #recalculate(): void {
    const { topology } = this;
    this.gossipRoutes = new RouteTable(topology.allGraph(), topology.self);
    this.routes = new RouteTable(topology.establishedGraph(), topology.self);
    this.engine.setRoutes(this.gossipRoutes);
    this.#tellReachable(this.gossipRoutes);
    this.#relay(this.gossipRoutes);
    const view = topology.view();
    if (view === this.#view) return;
    this.#view = view;
    this.context.emit({ kind: "overlay", request: { kind: "topology", view } });
  }

  /** Tells whom messages reach now, if that is news. */
  #tellReachable({ graph: { names }, self, unicast }: RouteTable): void {
    const peers = names.filter((_, index) => index !== self && unicast[index] !== -1);
    const before = this.#reachable;
    if (peers.length === before.length && peers.every((peer, i) => peer === before[i])) return;
    this.#reachable = peers;
    this.context.emit({ kind: "reachable", peers });
  }

  /** Does what follows from gossip and collections. */
  #follow(now: Millis): void {
    const { changed, removed, selfChanged, relays } = this.#channel.takeOutcome();
    for (const name of relays) this.#relays.add(name);
    if (selfChanged) this.#shortIdChanged(now);
    if (removed.length > 0) {
      this.engine.peersRemoved(removed.map((record) => record.name), new Map(this.#partings));
      for (const { name } of removed) this.#partings.delete(name);
    }
    const waits = this.engine.holding && this.#recalculation.at === Infinity;
    if (changed || selfChanged || waits) this.#requestRoutes(now);
    if (changed) this.#compareSoon(now);
  }

  #compareSoon(now: Millis): void {
    this.#unsettled ??= now;
    this.#compareAt = Math.min(now + COMPARE_QUIET, this.#unsettled + COMPARE_LATEST);
  }

  /** Passes changed records on along the broadcast trees of their peers. */
  #relay(routes: RouteTable): void {
    const relays = [...this.#relays];
    this.#relays.clear();
    const links = routes.graph.neighbours.reduce((sum, row) => sum + row.length, 0);
    if (relays.length * links > MAX_RELAY_WORK) {
      return this.engine.gossipToAll(this.#channel.name, this.#channel.records(relays));
    }
    const byNeighbour = new Map<PeerName, PeerName[]>();
    for (const name of relays) {
      for (const hop of routes.broadcast(name)) {
        const names = byNeighbour.get(hop);
        if (names === undefined) byNeighbour.set(hop, [name]);
        else names.push(name);
      }
    }
    for (const [peer, names] of byNeighbour) {
      this.engine.gossipTo(peer, this.#channel.name, this.#channel.records(names));
    }
  }

  /** Compares digests with a few neighbours: what relays missed while peers had different views is made up for. */
  #compare(now: Millis): void {
    this.#compareAt = now + COMPARE_INTERVAL;
    this.#unsettled = undefined;
    const tellers = [...this.#channel.tellers];
    for (let i = 0; i < COMPARE_WITH && tellers.length > 0; i++) {
      const [peer] = tellers.splice(this.context.config.random.below(tellers.length), 1);
      this.engine.gossipTo(peer!, DIGEST_CHANNEL, this.#channel.digest("comparing"));
    }
  }

  #shortIdChanged(now: Millis): void {
    if (this.shortId !== undefined) this.context.emit({ kind: "short-id", shortId: this.shortId });
    this.#announce([], now);
  }

  #spread(data: GossipData | undefined): void {
    if (data === undefined) return;
    this.engine.gossip(this.#channel.name, data);
  }
}
