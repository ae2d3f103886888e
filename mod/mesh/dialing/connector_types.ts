/** What goes into the connection maker and what comes out of it. */
import type { Endpoint, Ip } from "../../core/addr.ts";
import type { PeerName } from "../../core/names.ts";
import type { PeerRecord } from "../../core/topology_record.ts";
import type { AttemptId } from "../mesh_ids.ts";

/** What the connection maker wants done. */
export type ConnectorEffect =
  | { readonly kind: "resolve"; readonly attempt: AttemptId; readonly host: string }
  | {
    readonly kind: "dial";
    readonly attempt: AttemptId;
    readonly address: Endpoint;
    readonly direct: boolean;
    /** The peer that should answer; undefined: anybody may. */
    readonly expected: PeerName | undefined;
  }
  /** The attempt is given up: whatever comes of it is of no use. */
  | { readonly kind: "abandon"; readonly attempt: AttemptId };

/** What the connection maker looks at when it decides. */
export interface ConnectorView {
  /** The connections in the table but doubtful ones; `address` is the remote end as text. */
  connections(): Iterable<
    { readonly peer: PeerName; readonly address: string; readonly ip: Ip; readonly outbound: boolean }
  >;
  /** Whether there is a connection to this peer that is not doubtful. */
  isConnected(peer: PeerName): boolean;
  /** Addresses of the remote ends of accepted connections that are still being introduced. */
  introducing(): Iterable<Ip>;
  /** Whether a dial has led to a connection, which may still be in its introduction. */
  hasConnection(attempt: AttemptId): boolean;
  records(): Iterable<PeerRecord>;
  /** Whether the connection limit is reached. */
  readonly full: boolean;
}

/** How an attempt or the connection it led to ended. */
export interface AttemptEnd {
  /** A sentence without full stop that names the fault and, where known, the fix. */
  readonly reason: string;
  /** True: do not try again until the target is given again. */
  readonly never?: boolean;
  /** The peer that answered, when it got so far; ourselves when the address turned out to be our own. */
  readonly peer?: PeerName | undefined;
  /** True: nobody answered, or the name has no address. */
  readonly absent?: boolean;
  /** True: the connection was in use, so the network and both ends work; it may be made again soon. */
  readonly used?: boolean;
}
