/** The mesh as plain data, for status, reports and metrics. */
import { formatCidr, formatEndpoint } from "../core/addr.ts";
import type { PeerName } from "../core/names.ts";
import type { PoolUse } from "../core/memory_budget.ts";
import type { LinkId, OverlayName } from "../core/overlay_port.ts";
import type { Millis } from "../core/time.ts";
import type { PeerRecord } from "../core/topology_record.ts";
import type { Connector } from "./dialing/connector.ts";
import type { TargetState, TargetView } from "./dialing/dial_target.ts";
import type { GossipCounters } from "./gossip/gossip.ts";
import type { Connection } from "./connections/connection.ts";
import type { ConnectionPool } from "./connections/connection_memory.ts";
import type { Connections } from "./connections/connections.ts";
import type { RefusalView } from "./connections/refusals.ts";
import type { Membership } from "./membership.ts";
import type { RouterConfig } from "./router_types.ts";
import type { RouteTable } from "./topology/routes.ts";

/** Where a connection stands: `pending` has no working overlay yet; the last three have no connection. */
export type ConnectionState = "pending" | "established" | "connecting" | "retrying" | "failed";

/** One connection, or one target that has none. */
export interface ConnectionSnapshot {
  /** The remote peer; undefined while it is not known. */
  readonly peer: PeerName | undefined;
  readonly nickname: string | undefined;
  /** `ip:port` of the remote end, or the target as given when it has no address yet. */
  readonly address: string;
  readonly outbound: boolean;
  readonly state: ConnectionState;
  /** Why it is not established or not better: a sentence, or empty. */
  readonly info: string;
  readonly overlay: OverlayName | undefined;
  /** Largest inner IP packet in bytes. */
  readonly mtu: number | undefined;
  /** Whether the mesh connection and, once it works, the overlay are encrypted. */
  readonly encrypted: boolean;
  readonly rttMs: number | undefined;
  /** What the data plane calls it; undefined: there is no connection. */
  readonly link: LinkId | undefined;
  /** Milliseconds until the next try; null for never; undefined unless `failed`. */
  readonly retryInMs: number | null | undefined;
}

/** One target given by a person. */
export interface TargetSnapshot {
  /** As given. */
  readonly target: string;
  readonly state: TargetState;
  /** Why it is not connected: a sentence, or empty. */
  readonly info: string;
  readonly address: string | undefined;
  readonly peer: PeerName | undefined;
  /** Milliseconds until the next try; null for never; undefined while it is not waiting. */
  readonly retryInMs: number | null | undefined;
}

/** One peer as it describes itself. */
export interface PeerSnapshot {
  readonly name: PeerName;
  readonly nickname: string;
  /** Decimal, 64 bits. */
  readonly uid: string;
  readonly shortId: number | undefined;
  /** Decimal, 64 bits. */
  readonly version: string;
  readonly connections: readonly {
    readonly peer: PeerName;
    readonly nickname: string;
    readonly address: string;
    readonly outbound: boolean;
    readonly established: boolean;
  }[];
}

/** Next hops over established connections. */
export interface RoutesSnapshot {
  readonly unicast: readonly { readonly destination: PeerName; readonly via: PeerName }[];
  readonly broadcast: readonly { readonly source: PeerName; readonly via: readonly PeerName[] }[];
}

/** Everything that is to be known of the mesh at one moment. */
export interface MeshSnapshot {
  readonly name: PeerName;
  readonly nickname: string;
  readonly uid: string;
  readonly shortId: number | undefined;
  readonly port: number;
  readonly protocol: { readonly min: number; readonly max: number };
  readonly encryption: boolean;
  readonly peerDiscovery: boolean;
  readonly connLimit: number;
  readonly trustedSubnets: readonly string[];
  readonly targets: readonly TargetSnapshot[];
  /** Live connections, then targets without one. */
  readonly connections: readonly ConnectionSnapshot[];
  /** Ascending by name, ourselves included. */
  readonly peers: readonly PeerSnapshot[];
  /** Connections that ended since the start. */
  readonly terminations: number;
  /** Connections that were not let in, because their source had its share. */
  readonly turnedAway: number;
  /** Who was not let in during the last ten minutes, the latest first. */
  readonly refused: readonly RefusalView[];
  /** Messages lost because they were too long to send. */
  readonly unsendable: number;
  readonly gossip: GossipCounters;
  /** What connections make this host hold, and how many that has cost. */
  readonly memory: Readonly<Record<ConnectionPool, PoolUse>>;
}

/** What a snapshot is taken of. */
export interface SnapshotSource {
  readonly config: RouterConfig;
  readonly connector: Connector;
  readonly connections: Connections;
  readonly membership: Membership;
}

/** Takes a snapshot. */
export function takeSnapshot(source: SnapshotSource, now: Millis): MeshSnapshot {
  const { config, connector, connections, membership } = source;
  const { topology } = membership;
  const nickname = (peer: PeerName | undefined) =>
    peer === undefined ? undefined : topology.get(peer)?.nickname;
  const targets = connector.views();
  const { name, uid, port } = config;
  return {
    name,
    nickname: config.nickname,
    uid: `${uid}`,
    shortId: membership.shortId,
    port,
    protocol: { min: config.minVersion, max: 2 },
    encryption: (config.password?.length ?? 0) > 0,
    peerDiscovery: config.discovery,
    connLimit: config.connLimit,
    trustedSubnets: config.trusted.map(formatCidr),
    targets: targets.filter((view) => view.direct).map((view) => targetOf(view, now)),
    connections: [
      ...[...connections.table.added()].map((connection) =>
        connectionOf(connection, nickname(connection.peer))
      ),
      ...targets.filter(hasNone).map((view) => missingOf(view, { nickname: nickname(view.peer), now })),
    ],
    peers: [...topology.all()].sort((a, b) => a.name < b.name ? -1 : 1)
      .map((record) =>
        peerOf(record, { nickname: (peer) => nickname(peer) ?? "", routes: membership.routes })
      ),
    terminations: connections.terminations,
    turnedAway: connections.doorman.turnedAway,
    refused: connections.log.refusals.list(now),
    unsendable: connections.unsendable,
    gossip: membership.engine.counters(),
    memory: connections.memory.use(),
  };
}

/** Routes over established connections, from every source; costly in a large mesh. */
export function takeRoutes(routes: RouteTable | undefined): RoutesSnapshot {
  const names = routes?.graph.names ?? [];
  const hop = (destination: PeerName) => routes?.nextHop(destination);
  return {
    unicast: names.flatMap((destination) => {
      const via = hop(destination);
      return via === undefined ? [] : [{ destination, via }];
    }),
    broadcast: names.map((source) => ({ source, via: routes?.broadcast(source) ?? [] })),
  };
}

function hasNone(view: TargetView): boolean {
  return view.state === "connecting" || view.state === "retrying" || view.state === "failed";
}

function retryIn(retryAt: number | undefined, now: Millis): number | null | undefined {
  if (retryAt === undefined) return undefined;
  return retryAt === Infinity ? null : Math.max(0, Math.ceil(retryAt - now));
}

function targetOf(view: TargetView, now: Millis): TargetSnapshot {
  const { target, state, info, address, peer, retryAt } = view;
  return { target, state, info, address, peer, retryInMs: retryIn(retryAt, now) };
}

/** One connection. */
export function connectionOf(connection: Connection, nickname: string | undefined): ConnectionSnapshot {
  const { status, origin, established } = connection;
  return {
    peer: connection.peer,
    nickname: nickname ?? connection.introduced?.remote.nickname,
    address: formatEndpoint(origin.remote),
    outbound: origin.outbound,
    state: established ? "established" : "pending",
    info: status?.why ?? (established ? "" : "the overlay to this peer is being set up"),
    overlay: status?.overlay,
    mtu: status?.mtu,
    encrypted: status?.overlay === undefined ? connection.introduced?.encrypted ?? false : status.encrypted,
    rttMs: status?.rttMs,
    link: origin.id,
    retryInMs: undefined,
  };
}

function missingOf(
  view: TargetView,
  more: { readonly nickname: string | undefined; readonly now: Millis },
): ConnectionSnapshot {
  return {
    peer: view.peer,
    nickname: more.nickname,
    address: view.address ?? view.target,
    outbound: true,
    state: view.state as "connecting" | "retrying" | "failed", // hasNone() left no other
    info: view.info,
    overlay: undefined,
    mtu: undefined,
    encrypted: false,
    rttMs: undefined,
    link: undefined,
    retryInMs: view.state === "failed" ? retryIn(view.retryAt, more.now) : undefined,
  };
}

/** A link counts as established once the routes have it: records change a moment earlier, and a packet that is sent in that
 * moment has no way yet. */
function peerOf(
  record: PeerRecord,
  more: { readonly nickname: (peer: PeerName) => string; readonly routes: RouteTable | undefined },
): PeerSnapshot {
  const graph = more.routes?.graph;
  const carries = new Set(graph?.neighbours[graph.indexOf(record.name)]);
  return {
    name: record.name,
    nickname: record.nickname,
    uid: `${record.uid}`,
    shortId: record.shortId,
    version: `${record.version}`,
    connections: record.links.map((link) => ({
      ...link,
      established: link.established && graph !== undefined && carries.has(graph.indexOf(link.peer)),
      nickname: more.nickname(link.peer),
    })),
  };
}
