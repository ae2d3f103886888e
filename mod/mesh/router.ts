/** The router core: events in, effects out (source: spec mesh.md). */
import type { Ip } from "../core/addr.ts";
import { assertNever } from "../core/brand.ts";
import type { Core } from "../core/driver.ts";
import type { PeerName } from "../core/names.ts";
import type { GossipChannel } from "../core/ports.ts";
import type { Millis } from "../core/time.ts";
import { Connector } from "./dialing/connector.ts";
import type { ConnectorView } from "./dialing/connector_types.ts";
import { type TargetChange, targetsAfter } from "./dialing/target_change.ts";
import { Connections } from "./connections/connections.ts";
import { Membership } from "./membership.ts";
import type { RouterConfig, RouterEffect, RouterEvent } from "./router_types.ts";
import type { RouteTable } from "./topology/routes.ts";
import {
  connectionOf,
  type ConnectionSnapshot,
  type MeshSnapshot,
  type RoutesSnapshot,
  takeRoutes,
  takeSnapshot,
} from "./snapshot.ts";
import type { Topology } from "./topology/topology.ts";

/**
 * Membership, connections and gossip of one peer. Time must not go back between calls. Nothing that a remote sends
 * makes `step()` throw: what cannot be used ends the connection it came on. Effects are to be performed in order.
 */
export class RouterCore implements Core<RouterEvent, RouterEffect> {
  readonly #connector: Connector;
  readonly #membership: Membership;
  readonly #connections: Connections;
  readonly #view: ConnectorView;
  #effects: RouterEffect[] = [];

  constructor(readonly config: RouterConfig, now: Millis) {
    const emit = (effect: RouterEffect): void => void this.#effects.push(effect);
    const { name: self, port, discovery, random } = config;
    this.#connector = new Connector({ self, port, discovery, random });
    const connector = this.#connector;
    this.#membership = new Membership({ config, connector, emit }, now);
    this.#connections = new Connections({ config, connector, membership: this.#membership, emit }, now);
    this.#view = viewOf(this.#connections, this.#membership.topology);
  }

  step(event: RouterEvent, now: Millis): readonly RouterEffect[] {
    this.#handle(event, now);
    this.#connections.wake(now);
    this.#membership.settle(now);
    for (const effect of this.#connector.due(this.#view, now)) this.#connections.dial(effect);
    if (this.#membership.engine.pullable) this.#connections.flush(now);
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  /** Whether a connection of this address may come in now; to be asked once for each, before `accepted`. */
  mayEnter(ip: Ip, now: Millis): boolean {
    return this.#connections.mayEnter(ip, now);
  }

  nextWake(): number {
    return Math.min(this.#connections.nextWake(), this.#membership.nextWake(), this.#connector.nextWake());
  }

  /** Adds a gossip channel; what was known of its name before is forgotten. */
  register(channel: GossipChannel): void {
    this.#membership.engine.register(channel);
  }

  /** The direct targets that a change would leave, so that they can be remembered before it is made. */
  targetsAfter(change: TargetChange): readonly string[] {
    return targetsAfter(this.#connector.direct, change);
  }

  /** How many peers there ought to be: the direct targets that do not lead to ourselves, and ourselves. */
  expectedPeers(): number {
    const targets = this.#connector.views().filter(({ direct, state }) => direct && state !== "itself");
    return 1 + new Set(targets.map(({ peer, target }) => peer ?? target)).size;
  }

  /** Whether the mesh has a peer of this name. */
  knows(peer: PeerName): boolean {
    return this.topology.get(peer) !== undefined;
  }

  /** The neighbour over which a peer is reached; undefined: it is not. */
  nextHop(peer: PeerName): PeerName | undefined {
    return this.#membership.routes?.nextHop(peer);
  }

  /** The connection to a neighbour; undefined: there is none. */
  connectionTo(peer: PeerName): ConnectionSnapshot | undefined {
    const connection = this.#connections.table.byPeer(peer);
    return connection && connectionOf(connection, this.topology.get(peer)?.nickname);
  }

  /** Whether a neighbour has announced an extension of the protocol. */
  announces(peer: PeerName, extension: string): boolean {
    return this.#connections.table.byPeer(peer)?.introduced?.remote.extensions?.includes(extension) ?? false;
  }

  /** Everything that is to be known of the mesh. */
  snapshot(now: Millis): MeshSnapshot {
    const { config } = this;
    return takeSnapshot(
      { config, connector: this.#connector, connections: this.#connections, membership: this.#membership },
      now,
    );
  }

  /** Next hops over established connections, from every source; costly in a large mesh. */
  routes(): RoutesSnapshot {
    return takeRoutes(this.#membership.routes);
  }

  /** All records. */
  get topology(): Topology {
    return this.#membership.topology;
  }

  /** Routes over established connections. */
  get establishedRoutes(): RouteTable | undefined {
    return this.#membership.routes;
  }

  /** Routes over all published connections. */
  get gossipRoutes(): RouteTable | undefined {
    return this.#membership.gossipRoutes;
  }

  #handle(event: RouterEvent, now: Millis): void {
    const { engine } = this.#membership;
    switch (event.kind) {
      case "accepted":
      case "dialed":
        return this.#connections.open(event, now);
      case "dial-failed":
        return this.#connections.dialFailed(event, now);
      case "resolved":
        return this.#connections.log.lookedUp(this.#connector.resolved(event.attempt, event.answer, now));
      case "bytes":
        return this.#connections.bytes(event.socket, event.data, now);
      case "written":
        return this.#connections.written(event.socket, event.count);
      case "closed":
        return this.#connections.closed(event, now);
      case "overlay":
        return this.#connections.overlay(event.event, now);
      case "knocked":
        return this.#connections.knocked(event, now);
      case "targets":
        return this.#retarget(event.change, now);
      case "network-changed":
        this.#connections.localAddresses(event, now);
        return this.#connector.networkChanged(now, event.come);
      case "unicast":
        return void engine.unicast(event.channel, event.destination, event.payload);
      case "broadcast":
        return engine.broadcast(event.channel, event.data);
      case "gossip":
        return engine.gossip(event.channel, event.data);
      case "wake":
        return;
      default:
        return assertNever(event);
    }
  }

  #retarget({ connect, forget = [], replace = false }: TargetChange, now: Millis): void {
    this.#connector.forget(forget);
    if (connect === undefined) return;
    for (const reason of this.#connector.connect(connect, { replace, now })) {
      this.#effects.push({ kind: "log", level: "warn", event: "mesh/target-refused", fields: { reason } });
    }
  }
}

function viewOf(connections: Connections, topology: Topology): ConnectorView {
  return {
    *connections() {
      for (const connection of connections.table.added()) {
        if (connection.doubtful) continue;
        const { remote, outbound } = connection.origin;
        yield { peer: connection.peer!, address: connection.address, ip: remote.ip, outbound };
      }
    },
    isConnected: (peer) => connections.table.byPeer(peer)?.doubtful === false,
    hasConnection: (attempt) => connections.hasConnection(attempt),
    *introducing() {
      for (const connection of connections.table.inboundGreeting()) yield connection.origin.remote.ip;
    },
    records: () => topology.all(),
    get full() {
      return connections.table.full;
    },
  };
}
