/** The connections of a router: one per remote peer once added (source: spec mesh.md, section 5.3). */
import type { PeerName } from "../../core/names.ts";
import type { LinkId } from "../../core/overlay_port.ts";
import type { Millis } from "../../core/time.ts";
import type { Connection } from "./connection.ts";
import type { SocketId } from "../mesh_ids.ts";

/** What is to happen with a connection that wants into the table. */
export type Admission =
  | { readonly kind: "add"; readonly replaces: Connection | undefined }
  /** `probe`: an existing connection that may be dead and should be written to, which shows it at once. */
  | {
    readonly kind: "refuse";
    readonly reason: string;
    readonly probe: Connection | undefined;
    readonly clone: boolean;
  }
  /** Both ends drew equal numbers: both connections go. */
  | { readonly kind: "drop-both"; readonly existing: Connection };

/** A living peer sends something at least every 30 s; after this long a connection is taken for dead if the peer
 * comes back as another process, milliseconds. */
const PRESUMED_DEAD = 35_000;

/** Announced by peers that let in a new connection of a peer that has moved, whatever its number. */
export const MOVE_EXTENSION = "move1";

/** All connections, by socket, by the id that the data plane knows and, once added, by peer. */
export class ConnectionTable {
  readonly #sockets = new Map<SocketId, Connection>();
  readonly #ids = new Map<LinkId, Connection>();
  readonly #peers = new Map<PeerName, Connection>();
  /** Connections that are still being introduced, oldest first. */
  readonly #greeting = new Set<Connection>();

  /** `limit`: largest number of added connections, 0 for none. */
  constructor(readonly limit: number) {}

  /** Added connections. */
  get size(): number {
    return this.#peers.size;
  }
  /** Whether the limit of added connections is reached. */
  get full(): boolean {
    return this.limit !== 0 && this.#peers.size >= this.limit;
  }
  /** All connections, those being introduced as well. */
  all(): Iterable<Connection> {
    return this.#sockets.values();
  }
  /** Added connections. */
  added(): Iterable<Connection> {
    return this.#peers.values();
  }
  /** Accepted connections that are still being introduced, oldest first. */
  inboundGreeting(): Connection[] {
    return [...this.#greeting].filter((connection) => !connection.origin.outbound);
  }
  bySocket(socket: SocketId): Connection | undefined {
    return this.#sockets.get(socket);
  }
  byId(id: LinkId): Connection | undefined {
    return this.#ids.get(id);
  }
  byPeer(peer: PeerName): Connection | undefined {
    return this.#peers.get(peer);
  }
  /** Whether this connection is the one in the table. */
  isAdded(connection: Connection): boolean {
    return connection.peer !== undefined && this.#peers.get(connection.peer) === connection;
  }

  /** A connection begins. */
  open(connection: Connection): void {
    this.#sockets.set(connection.origin.socket, connection);
    this.#ids.set(connection.origin.id, connection);
    this.#greeting.add(connection);
  }

  /** For a connection that this host dials after it has lost an address: which number it must be below to take the place
   * of one from there, by name of the remote. For remotes that do not know MOVE_EXTENSION; undefined: there are none. */
  get outbid(): ((remote: PeerName) => bigint | undefined) | undefined {
    const dead = (connection: Connection) => connection.uprooted && !knowsMove(connection);
    if (!this.#peers.values().some(dead)) return undefined;
    return (remote) => {
      const existing = this.#peers.get(remote);
      return existing !== undefined && dead(existing) ? existing.introduced!.connUid : undefined;
    };
  }

  /** Decides about an introduced connection. */
  admit(connection: Connection, now: Millis): Admission {
    const introduced = connection.introduced!;
    const { name, uid } = introduced.remote;
    const existing = this.#peers.get(name);
    if (existing === undefined) {
      const reason = `the connection limit of ${this.limit} is reached: raise --conn-limit on this host`;
      return this.full
        ? { kind: "refuse", reason, probe: undefined, clone: false }
        : { kind: "add", replaces: undefined };
    }
    const known = existing.introduced!;
    if (uid !== known.remote.uid) return this.#incarnation(existing, name, now);
    if (follows(connection, existing)) return { kind: "add", replaces: existing };
    if (introduced.connUid === known.connUid) return { kind: "drop-both", existing };
    if (introduced.connUid < known.connUid) return { kind: "add", replaces: existing };
    const reason = `already connected to ${name}`;
    return { kind: "refuse", reason, probe: existing, clone: false };
  }

  /** A name comes back as another process. The remote has no other connection to us, so the choice is ours alone. A silent
   * connection is replaced. A living one is kept: two cloned machines would else throw each other out for ever. */
  #incarnation(existing: Connection, name: PeerName, now: Millis): Admission {
    if (existing.doubtful || now - existing.heard > PRESUMED_DEAD) return { kind: "add", replaces: existing };
    const clone = existing.isAlive(now);
    const reason = clone
      ? cloneAdvice(name)
      : `${name} seems to have restarted: its old connection is being checked, a new one is accepted soon`;
    return { kind: "refuse", reason, probe: existing, clone };
  }

  /** Puts an admitted connection into the table. */
  add(connection: Connection): void {
    this.#greeting.delete(connection);
    this.#peers.set(connection.peer!, connection);
  }

  /** Removes a connection; says whether it was in the table of added ones. */
  remove(connection: Connection): boolean {
    const added = this.isAdded(connection);
    if (added) this.#peers.delete(connection.peer!);
    this.#greeting.delete(connection);
    this.#ids.delete(connection.origin.id);
    this.#sockets.delete(connection.origin.socket);
    return added;
  }
}

/** Whether a connection takes the place of another one of the same two processes because one of them has moved. That is
 * so when this host has lost its address, or when the remote calls from where the data plane hears it. Both ends decide
 * alike if both know MOVE_EXTENSION. With other peers only numbers decide, as the protocol has it. */
function follows(connection: Connection, existing: Connection): boolean {
  const moved = existing.uprooted || existing.movedTo === connection.origin.remote.ip;
  return moved && knowsMove(connection);
}

function knowsMove({ introduced }: Connection): boolean {
  return introduced!.remote.extensions?.includes(MOVE_EXTENSION) ?? false;
}

/** What people read when two machines have one identity. */
export function cloneAdvice(name: PeerName): string {
  return `another host announces the same peer name ${name} (cloned machine?); give one of them another --name, or a ` +
    `/etc/machine-id of its own, and start it again`;
}
