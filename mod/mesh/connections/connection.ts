/** One mesh connection, from the first byte to the end (source: spec mesh.md, sections 4.2, 5). */
import { type Endpoint, formatEndpoint, type Ip } from "../../core/addr.ts";
import { bad, type Decoded, good } from "../../core/brand.ts";
import type { ConnUid, PeerName } from "../../core/names.ts";
import { DAEMON_HANGS, type LinkId, type LinkStatus } from "../../core/overlay_port.ts";
import type { Parting } from "../../core/ports.ts";
import { after, type Millis } from "../../core/time.ts";
import type { Features } from "../../wire/mesh/mesh_message.ts";
import { TAG } from "../../wire/mesh/mesh_message.ts";
import type { AttemptId } from "../mesh_ids.ts";
import type { Intro, MessageCodec } from "./intro.ts";
import type { SocketId } from "../mesh_ids.ts";
import { TokenBucket } from "../../core/token_bucket.ts";

/** A heartbeat is sent this often, milliseconds. */
export const HEARTBEAT = 30_000;
/** A connection silent for this long is closed, milliseconds. */
export const SILENCE = 60_000;
/** The same where the remote's daemon hangs while its kernel answers and carries traffic: it may go on, milliseconds. */
export const HUNG_SILENCE = 300_000;
/** A connection whose remote is heard at another address is doubtful after this silence: a heartbeat is late, ms. */
export const DOUBTFUL_SILENCE = HEARTBEAT + 2_000;
/** What a connection shows within this time tells whether its remote is alive, milliseconds: two heartbeats. */
const DOUBT_TIME = 2 * HEARTBEAT;
/** It is written to at most this often to learn that, milliseconds. */
const PROBE_GAP = 1_000;
/** Milliseconds in which an address of this host that goes may come back, as when an interface is set up anew. */
export const UPROOTED = 1_000;
/** Above so many bytes that the shell has not written yet gossip waits. It merges meanwhile instead of piling up. */
export const BUSY = 256 * 1024;
/** Above so many bytes messages that may be lost are dropped: relayed unicasts, overlay control. */
export const FLOODED = 4 * 1024 * 1024;
/** Overlay control messages that may come at once, and milliseconds until one more may. */
const CONTROL_BURST = 256;
const CONTROL_REFILL = 10;
/** Bytes above which the connection is given up. */
export const DROWNED = 32 * 1024 * 1024;

/** What the introduction yielded. */
export interface Introduced {
  readonly version: 1 | 2;
  readonly remote: Features;
  readonly connUid: ConnUid;
  /** The overlay's key; undefined when its traffic goes in clear. */
  readonly sessionKey: Uint8Array | undefined;
  readonly encrypted: boolean;
}

/** Where a connection stands.
 *
 *     greeting --> running --> gone
 *         |                     ^
 *         +---------------------+
 */
export type ConnectionStage = "greeting" | "running" | "gone";

/** What bytes of the remote led to. */
export type ConnectionInput =
  | { readonly kind: "more"; readonly write: readonly Uint8Array[] }
  | {
    readonly kind: "introduced";
    readonly write: readonly Uint8Array[];
    readonly messages: readonly Uint8Array[];
  }
  | { readonly kind: "messages"; readonly messages: readonly Uint8Array[] }
  | { readonly kind: "failed"; readonly reason: string; readonly write: readonly Uint8Array[] };

/** Why a connection ends, and who hears of it. */
export interface ConnectionEnd {
  /** A sentence without full stop. */
  readonly reason: string;
  /** True when we or the operator decided it. */
  readonly orderly: boolean;
  /** What kind of fault it is, for the log: one of few words. */
  readonly kind?: "clone" | "duplicate" | "full" | "introduction" | "memory" | "unknown-peer";
  /** True: it is not tried again. */
  readonly never?: boolean;
  /** True: the remote did what it must not do, so a dial has failed although it was connected. */
  readonly fault?: boolean;
  /** True: the way to the remote broke, as far as we know; the remote may be there still, here or elsewhere. */
  readonly lost?: boolean;
  /** True: the remote's host may be there still, with a daemon that restarts, has crashed or hangs. */
  readonly there?: boolean;
  /** True: nobody needs to hear of it. */
  readonly silent?: boolean;
  /** Level of the log line; by its stage unless given. */
  readonly level?: "debug" | "info" | "warn";
  /** Last bytes. */
  readonly write?: readonly Uint8Array[];
}

/** How a connection came about. */
export interface ConnectionOrigin {
  readonly id: LinkId;
  readonly socket: SocketId;
  readonly local: Endpoint;
  readonly remote: Endpoint;
  readonly outbound: boolean;
  /** The dial that made it; undefined for an accepted one. */
  readonly attempt: AttemptId | undefined;
  /** Whether a peer that we do not know yet is welcome: all but discovered addresses. */
  readonly welcome: boolean;
  /** The peer that was dialled, welcome in any case; undefined: any peer is. */
  readonly expected: PeerName | undefined;
}

/** One connection. The caller performs the writes in the order in which it gets them. */
export class Connection {
  stage: ConnectionStage = "greeting";
  /** Set by the introduction. */
  introduced: Introduced | undefined;
  /** Whether the overlay works, as our end sees it. */
  established = false;
  /** When it was made, and when it was added to the table. */
  readonly since: Millis;
  /** The remote end as text. */
  readonly address: string;
  /** When the remote was last heard. */
  heard: Millis;
  /** What the overlay last said of itself. */
  status: LinkStatus | undefined;
  /** Whether the last overlay that worked goes on without the remote's daemon: kernels carry it. */
  carried = false;
  /** When we began to wonder whether the remote still has this connection. */
  #doubted = -Infinity;
  #probed = -Infinity;
  /** Where the data plane hears the remote now, if not at this connection's address. */
  movedTo: Ip | undefined;
  /** Whether it is probably dead: one of its ends has another address now. Another one may take its place. */
  doubtful = false;
  /** Whether the remote has sent a message since the introduction: then it has let us in. */
  spoke = false;
  /** Bytes given to the shell and not yet written. */
  queued = 0;
  /** How many overlay control messages may come. */
  readonly controls: TokenBucket;
  #codec: MessageCodec | undefined;
  #heartbeatAt = Infinity;
  /** When it becomes doubtful because this host has its address no longer. */
  #uprootedAt = Infinity;
  #uprooted = false;

  constructor(readonly origin: ConnectionOrigin, readonly intro: Intro, now: Millis) {
    this.since = now;
    this.address = formatEndpoint(origin.remote);
    this.heard = now;
    this.controls = new TokenBucket(CONTROL_BURST, { refill: CONTROL_REFILL, now });
  }

  /** The remote peer; undefined before it is known. */
  get peer(): PeerName | undefined {
    return this.introduced?.remote.name;
  }

  /** Octets of memory kept for a message of the remote that has not come whole yet. */
  get held(): number {
    return this.#codec?.held ?? this.intro.held;
  }

  /** Takes bytes of the remote. Messages may be handled only while the connection is in the table. */
  receive(bytes: Uint8Array, now: Millis): ConnectionInput {
    this.heard = now;
    this.doubtful = this.#uprooted;
    if (this.#codec !== undefined) {
      const fed = this.#codec.feed(bytes);
      if (!fed.ok) return failed(fed.reason);
      this.spoke ||= fed.value.length > 0;
      return { kind: "messages", messages: fed.value };
    }
    const result = this.intro.receive(bytes, now);
    if (result.kind !== "done") return result;
    const { version, remote, codec, sessionKey, encrypted, write } = result;
    this.#codec = codec;
    const connUid = BigInt.asUintN(64, this.intro.connId ^ remote.connId) as ConnUid;
    this.introduced = { version, remote, connUid, sessionKey, encrypted };
    const fed = codec.feed(result.rest);
    if (!fed.ok) return { kind: "failed", reason: fed.reason, write };
    this.spoke = fed.value.length > 0;
    return { kind: "introduced", write, messages: fed.value };
  }

  /** The connection was added to the table: heartbeats begin. */
  run(now: Millis): void {
    this.stage = "running";
    this.#heartbeatAt = after(now, HEARTBEAT);
  }

  /** Addresses of this host have gone or come. Without its own, nothing that is sent to this end arrives any more. */
  localAddresses(
    { gone, come }: { readonly gone: readonly Ip[]; readonly come: readonly Ip[] },
    now: Millis,
  ): void {
    const { ip } = this.origin.local;
    if (gone.includes(ip)) {
      if (!this.#uprooted) this.#uprootedAt = Math.min(this.#uprootedAt, after(now, UPROOTED));
    } else if (come.includes(ip)) {
      this.#uprootedAt = Infinity;
      this.#uprooted = this.doubtful = false;
    }
  }
  /** Where the remote may be dialled: where the data plane hears it, else where it was. When the remote dialled us, only
   * its address is known; it then gets `port`, the usual one. */
  remoteAt(port: number): Endpoint {
    const { outbound, remote } = this.origin;
    return { ip: this.movedTo ?? remote.ip, port: outbound ? remote.port : port };
  }

  /** How it ends where the remote's host may be there still. */
  parting(port: number, now: Millis): Parting {
    return { at: now, address: this.remoteAt(port), carried: this.carried };
  }

  /** Another process has the remote's name: does the remote still have this connection? True: write to it now. */
  doubt(now: Millis): boolean {
    if (now - this.#doubted > DOUBT_TIME) this.#doubted = now;
    if (now - this.#probed <= PROBE_GAP) return false;
    this.#probed = now;
    return true;
  }
  /** Whether the remote was heard after it had been doubted. */
  isAlive(now: Millis): boolean {
    return now - this.#doubted <= DOUBT_TIME && this.heard > this.#doubted;
  }
  /** Whether this end is known to be dead: this host no longer has its address. */
  get uprooted(): boolean {
    return this.#uprooted;
  }
  /** What the overlay says of itself. */
  told(status: LinkStatus): void {
    this.status = status;
    if (status.overlay !== undefined) this.carried = status.overlay === "fastdp";
  }
  /** The data plane hears the remote at this address. */
  moved(ip: Ip): void {
    this.movedTo = ip === this.origin.remote.ip ? undefined : ip;
  }

  /** Longest message that encode() takes, in octets; 0 before the introduction is done. */
  get maxMessage(): number {
    return this.#codec?.maxMessage ?? 0;
  }

  /** The bytes that carry a message of at most `maxMessage` octets, to be written before those of the next one. */
  encode(message: Uint8Array): Uint8Array {
    if (this.#codec === undefined) throw new TypeError("Cannot encode: introduction is not done");
    return this.#codec.encode(message);
  }

  /** What time demands: an end with its reason, or messages to send. */
  expire(now: Millis): Decoded<readonly Uint8Array[]> {
    if (this.stage === "greeting") {
      const expired = this.intro.expire(now);
      return expired === undefined ? good([]) : bad(expired.reason);
    }
    const silence = this.#silence;
    if (now >= this.heard + silence) { // as nextWake() reckons: with fractions, a difference may round otherwise
      return bad(
        `nothing was heard for ${silence / 1000} s: is the host still up, and does the network pass TCP`,
      );
    }
    if (now >= this.#uprootedAt) {
      this.#uprootedAt = Infinity;
      this.#uprooted = this.doubtful = true;
    }
    if (this.movedTo !== undefined && now >= this.heard + DOUBTFUL_SILENCE) this.doubtful = true;
    if (now < this.#heartbeatAt) return good([]);
    this.#heartbeatAt = after(now, HEARTBEAT);
    return good([Uint8Array.of(TAG.heartbeat)]);
  }

  /** Earliest time at which `expire()` could do something. */
  nextWake(): number {
    if (this.stage === "gone") return Infinity;
    if (this.stage === "greeting") return this.intro.nextWake();
    const doubtAt = this.movedTo === undefined || this.doubtful ? Infinity : this.heard + DOUBTFUL_SILENCE;
    return Math.min(this.#uprootedAt, doubtAt, this.#heartbeatAt, this.heard + this.#silence);
  }

  /** How long the remote may be silent. */
  get #silence(): number {
    return this.status?.why === DAEMON_HANGS ? HUNG_SILENCE : SILENCE;
  }
}

function failed(reason: string): ConnectionInput {
  return { kind: "failed", reason, write: [] };
}
