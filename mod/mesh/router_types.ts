/** What goes into the router core and what comes out of it. */
import type { LogEvent } from "../core/log_events.ts";
import type { Cidr, Endpoint, Ip } from "../core/addr.ts";
import type { PoolLimits } from "../core/memory_budget.ts";
import type { PeerName, PeerUid, ShortId } from "../core/names.ts";
import type { LinkId, OverlayEvent, OverlayRequest } from "../core/overlay_port.ts";
import type { GossipChannel, GossipData, Knocked, LogFields, Random, Sealer } from "../core/ports.ts";
import type { AttemptId, SocketId } from "./mesh_ids.ts";
import type { ConnectionPool } from "./connections/connection_memory.ts";
import type { TargetChange } from "./dialing/target_change.ts";
import type { TopologyDecoder } from "./gossip/topology_channel.ts";

/** Why a dial failed, as far as the advice for people differs. */
export type DialFailure = "refused" | "timeout" | "unreachable" | "other";

/** What happens to the router. */
export type RouterEvent =
  /** A connection came in that was let in: see RouterCore.mayEnter(). */
  | {
    readonly kind: "accepted";
    readonly socket: SocketId;
    readonly local: Endpoint;
    readonly remote: Endpoint;
  }
  /** A dial succeeded; `remote` is the address that was asked for. */
  | {
    readonly kind: "dialed";
    readonly attempt: AttemptId;
    readonly socket: SocketId;
    readonly local: Endpoint;
    readonly remote: Endpoint;
  }
  | {
    readonly kind: "dial-failed";
    readonly attempt: AttemptId;
    readonly failure: DialFailure;
    /** What the system said. */
    readonly message: string;
  }
  /** A name was looked up: its addresses, or the reason for which there are none. */
  | { readonly kind: "resolved"; readonly attempt: AttemptId; readonly answer: readonly Ip[] | string }
  /** Bytes arrived; the core keeps no view of them. */
  | { readonly kind: "bytes"; readonly socket: SocketId; readonly data: Uint8Array }
  /** The shell wrote this many of the bytes it was given. */
  | { readonly kind: "written"; readonly socket: SocketId; readonly count: number }
  /** The connection ended without our wish; no more events of it follow. `silent`: the remote's system does not answer. */
  | {
    readonly kind: "closed";
    readonly socket: SocketId;
    readonly reason: string;
    readonly silent?: boolean;
  }
  /** The direct targets change. They must be remembered before: see RouterCore.targetsAfter(). */
  | { readonly kind: "targets"; readonly change: TargetChange }
  /** This host's interfaces, addresses or routes have changed: what could not be reached may be reached now. Connections
   * from addresses that are `gone` are dead, unless those `come` back soon. */
  | { readonly kind: "network-changed"; readonly gone: readonly Ip[]; readonly come: readonly Ip[] }
  | { readonly kind: "overlay"; readonly event: OverlayEvent }
  /** What became of a knock. */
  | { readonly kind: "knocked"; readonly link: LinkId; readonly result: Knocked }
  /** A channel sends to one peer; lost without notice if there is no route. */
  | {
    readonly kind: "unicast";
    readonly channel: string;
    readonly destination: PeerName;
    readonly payload: Uint8Array;
  }
  /** A channel sends to all peers. */
  | { readonly kind: "broadcast"; readonly channel: string; readonly data: GossipData }
  /** A channel sends to random neighbours. */
  | { readonly kind: "gossip"; readonly channel: string; readonly data: GossipData }
  | { readonly kind: "wake" };

/** What the router wants done. */
export type RouterEffect =
  | { readonly kind: "resolve"; readonly attempt: AttemptId; readonly host: string }
  | { readonly kind: "dial"; readonly attempt: AttemptId; readonly address: Endpoint }
  /** A look-up or dial is of no use any more: end it if that is possible, and report nothing. */
  | { readonly kind: "abandon"; readonly attempt: AttemptId }
  /** Write these bytes, in order, and report them by `written`. */
  | { readonly kind: "write"; readonly socket: SocketId; readonly data: Uint8Array }
  /** Close at once; the shell sends no more events of this socket. */
  | { readonly kind: "close"; readonly socket: SocketId }
  | { readonly kind: "overlay"; readonly request: OverlayRequest }
  /** Find out whether the host of a link is there, by an attempt to connect, and report it by `knocked`. */
  | { readonly kind: "knock"; readonly link: LinkId; readonly address: Endpoint }
  /** Whom messages of channels reach now, ascending, without ourselves. */
  | { readonly kind: "reachable"; readonly peers: readonly PeerName[] }
  /** A connection works under our name: keep that name from now on. */
  | { readonly kind: "settled" }
  /** Another host has our name, and it is ours to give way: start again under another one. */
  | { readonly kind: "rename" }
  /** We took another short id: keep it for the next start. */
  | { readonly kind: "short-id"; readonly shortId: ShortId }
  | {
    readonly kind: "log";
    readonly level: "debug" | "info" | "warn";
    readonly event: LogEvent;
    readonly fields: LogFields;
  };

/** What a router is told at its start. */
export interface RouterConfig {
  readonly name: PeerName;
  readonly nickname: string;
  /** Random, new at every start, never 0. */
  readonly uid: PeerUid;
  readonly shortId: ShortId;
  /** Our mesh port: completes addresses given without one. */
  readonly port: number;
  /** Overlays to offer, in the order of OVERLAY_NAMES. */
  readonly overlays: readonly string[];
  /** What those overlays understand beyond the protocol. */
  readonly extensions?: readonly string[];
  /** Empty or undefined: connections are not encrypted. */
  readonly password: Uint8Array | undefined;
  /** Networks whose peers may exchange overlay traffic with us in clear, if they trust us too. */
  readonly trusted: readonly Cidr[];
  /** Largest number of connections; 0 for no limit. */
  readonly connLimit: number;
  /** Whether addresses learnt from other peers are dialled. */
  readonly discovery: boolean;
  /** Whether this host can take another name: it made its own, and was never in a mesh under it. */
  readonly canRename?: boolean;
  /** Lowest protocol version to accept. */
  readonly minVersion: 1 | 2;
  readonly random: Random;
  readonly sealer: Sealer;
  readonly channels: readonly GossipChannel[];
  /** What connections may make us hold; CONNECTION_MEMORY unless given. */
  readonly memory?: Readonly<Record<ConnectionPool, PoolLimits>>;
  /** For simulations: see TopologyDecoder. */
  readonly decodeTopology?: TopologyDecoder;
}
