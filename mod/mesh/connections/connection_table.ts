/** The connections of a router: one per remote peer once added (source: spec mesh.md, section 5.3). */
import type { PeerName } from "../../core/names.ts";
import type { LinkId } from "../../core/overlay_port.ts";
import type { Millis } from "../../core/time.ts";
import type { Introduced, Link } from "./connection.ts";
import type { SocketId } from "../router_types.ts";

/** What is to happen with a connection that wants into the table. */
export type Admission =
  | { readonly kind: "add"; readonly replaces: Link | undefined }
  /** `probe`: an existing connection that may be dead and should be written to, which shows it at once. */
  | {
    readonly kind: "refuse";
    readonly reason: string;
    readonly probe: Link | undefined;
    readonly clone: boolean;
  }
  /** Both ends drew equal numbers: both connections go. */
  | { readonly kind: "drop-both"; readonly existing: Link };

/** A living peer sends something at least every 30 s; after this long a connection is taken for dead if the peer
 * comes back as another process, milliseconds. */
const PRESUMED_DEAD = 35_000;

/** All connections, by socket, by link id and, once added, by peer. */
export class LinkTable {
  readonly #sockets = new Map<SocketId, Link>();
  readonly #ids = new Map<LinkId, Link>();
  readonly #peers = new Map<PeerName, Link>();
  /** Connections that are still being introduced, oldest first. */
  readonly #greeting = new Set<Link>();

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
  all(): Iterable<Link> {
    return this.#sockets.values();
  }
  /** Added connections. */
  added(): Iterable<Link> {
    return this.#peers.values();
  }
  /** Accepted connections that are still being introduced, oldest first. */
  inboundGreeting(): Link[] {
    return [...this.#greeting].filter((link) => !link.origin.outbound);
  }
  bySocket(socket: SocketId): Link | undefined {
    return this.#sockets.get(socket);
  }
  byId(id: LinkId): Link | undefined {
    return this.#ids.get(id);
  }
  byPeer(peer: PeerName): Link | undefined {
    return this.#peers.get(peer);
  }
  /** Whether this connection is the one in the table. */
  isAdded(link: Link): boolean {
    return link.peer !== undefined && this.#peers.get(link.peer) === link;
  }

  /** A connection begins. */
  open(link: Link): void {
    this.#sockets.set(link.origin.socket, link);
    this.#ids.set(link.origin.id, link);
    this.#greeting.add(link);
  }

  /** Decides about an introduced connection. */
  admit(introduced: Introduced, now: Millis): Admission {
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
    if (introduced.connUid === known.connUid) return { kind: "drop-both", existing };
    if (introduced.connUid < known.connUid) return { kind: "add", replaces: existing };
    const reason = `already connected to ${name}`;
    return { kind: "refuse", reason, probe: existing, clone: false };
  }

  /** A name comes back as another process. The remote has no other connection to us, so the choice is ours alone: a
   * silent connection is replaced; a living one is kept, else two cloned machines would throw each other out for ever. */
  #incarnation(existing: Link, name: PeerName, now: Millis): Admission {
    if (now - existing.heard > PRESUMED_DEAD) return { kind: "add", replaces: existing };
    const clone = existing.doubted !== undefined && existing.heard > existing.doubted;
    const reason = clone
      ? cloneAdvice(name)
      : `${name} seems to have restarted: its old connection is being checked, a new one is accepted soon`;
    return { kind: "refuse", reason, probe: existing, clone };
  }

  /** Puts an admitted connection into the table. */
  add(link: Link): void {
    this.#greeting.delete(link);
    this.#peers.set(link.peer!, link);
  }

  /** Removes a connection; says whether it was in the table of added ones. */
  remove(link: Link): boolean {
    const added = this.isAdded(link);
    if (added) this.#peers.delete(link.peer!);
    this.#greeting.delete(link);
    this.#ids.delete(link.origin.id);
    this.#sockets.delete(link.origin.socket);
    return added;
  }
}

/** What people read when two machines have one identity. */
export function cloneAdvice(name: PeerName): string {
  return `another host announces the same peer name ${name} (cloned machine?); give one of them another --name or ` +
    `remove its state folder`;
}
