/** What cores and shells are handed from outside: time, chance, ciphers, storage, logs, gossip. */
import type { Endpoint } from "./addr.ts";
import type { LogEvent } from "./log_events.ts";
import type { Decoded } from "./brand.ts";
import type { PeerName } from "./names.ts";
import type { Millis } from "./time.ts";

/** Monotonic time. */
export interface Clock {
  /** Milliseconds since some fixed point, never going back. */
  now(): Millis;
}

/** One settable alarm: the only timer a driver has. */
export interface Alarm {
  /** Calls `ring` once at or after `at`, replacing any earlier setting; Infinity clears it. */
  set(at: number, ring: () => void): void;
}

/** A source of chance. */
export interface Random {
  /** Uniform integer in [0, bound), bound up to 2^48. */
  below(bound: number): number;
  /** `count` random bytes; cryptographically strong in a running daemon. */
  bytes(count: number): Uint8Array<ArrayBuffer>;
}

/** The ciphers of mesh connections (spec mesh.md 2.4). */
export interface Sealer {
  /** The public key of a 32-byte private key. */
  publicKey(privateKey: Uint8Array): Uint8Array<ArrayBuffer>;
  /** SHA-256(HSalsa20(X25519(privateKey, theirPublicKey), 0) || password), 32 bytes; undefined for a degenerate key. */
  sessionKey(
    privateKey: Uint8Array,
    theirPublicKey: Uint8Array,
    password: Uint8Array,
  ): Uint8Array<ArrayBuffer> | undefined;
  /** NaCl secretbox: 16-byte tag, then ciphertext. */
  seal(key: Uint8Array, nonce: Uint8Array, plain: Uint8Array): Uint8Array<ArrayBuffer>;
  /** Opens what seal() made; undefined when it does not authenticate. */
  open(key: Uint8Array, nonce: Uint8Array, sealed: Uint8Array): Uint8Array<ArrayBuffer> | undefined;
}

/** HKDF-SHA256 (RFC 5869): so many octets for one use of a secret. */
export type DeriveKey = (
  secret: Uint8Array,
  use: { readonly salt: Uint8Array; readonly info: Uint8Array; readonly length: number },
) => Uint8Array;

/** Small durable records by key; every call is one committed transaction. */
export interface Store {
  /** The value of a key, or undefined. */
  get(key: string): string | undefined;
  /** Writes a value durably. */
  put(key: string, value: string): void;
  /** Writes several values durably: all of them, or none. A value that is undefined removes its key. */
  putAll(records: readonly (readonly [key: string, value: string | undefined])[]): void;
  /** Removes a key if it is there. */
  remove(key: string): void;
  /** All pairs whose key starts with `prefix`, in key order. */
  list(prefix: string): readonly (readonly [key: string, value: string])[];
}

/** Values of log fields. */
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

/** Structured log: an event of `log_events.ts` plus fields (`peer`, `address`, `overlay`, `port`, `code`, `reason` ...). */
export interface Logger {
  /** Helps to find a fault. */
  debug(event: LogEvent, fields?: LogFields): void;
  /** Normal, and worth knowing. */
  info(event: LogEvent, fields?: LogFields): void;
  /** Works, but not as it should. */
  warn(event: LogEvent, fields?: LogFields): void;
  /** Does not work; a person has to act. */
  error(event: LogEvent, fields?: LogFields): void;
}

/** Pending outgoing gossip of one channel; merging bounds what a slow connection can queue. */
export interface GossipData {
  /** Folds another datum of the same channel into a new or the same one. */
  merge(other: GossipData): GossipData;
  /**
   * The payloads to send, read at the moment of sending; one frame each. May be empty, and may be lazy: it is
   * pulled one payload at a time as the connection takes them. `to` is the neighbour at the other end.
   */
  encode(to?: PeerName): Iterable<Uint8Array>;
}

/** How a channel sends. Every call returns at once. */
export interface GossipPort {
  /** Sends to one peer over as many hops as it takes; lost without notice if there is no route. */
  unicast(channel: string, destination: PeerName, payload: Uint8Array): void;
  /** Sends to every peer. */
  broadcast(channel: string, data: GossipData): void;
}

/** What became of an attempt to connect that only asks whether a host is there: its system refused it, somebody listens, or
 * nothing came back. */
export type Knocked = "refused" | "accepted" | "nothing";

/** How our last connection to a peer ended whose host may be there still: its daemon restarts, has crashed or hangs. */
export interface Parting {
  /** When it ended. */
  readonly at: Millis;
  /** Where the host's mesh port is. */
  readonly address: Endpoint;
  /** Whether the host's kernel carries traffic of its containers without the daemon. */
  readonly carried: boolean;
}

/** One gossip channel (spec mesh.md 7.1). A refused message ends the connection it came on, nothing else. */
export interface GossipChannel {
  /** What it is called on the wire. */
  readonly name: string;
  /** The complete current state, or undefined when there is none. */
  fullState(): GossipData | undefined;
  /** Merges a gossip that neighbour `from` sent and returns what was new in it, or undefined. */
  onGossip(payload: Uint8Array, now: Millis, from?: PeerName): Decoded<GossipData | undefined>;
  /** Merges a broadcast that originated at `source`; returns what to pass on, or undefined. */
  onBroadcast(source: PeerName, payload: Uint8Array, now: Millis): Decoded<GossipData | undefined>;
  /** Takes a message meant for us alone. */
  onUnicast(source: PeerName, payload: Uint8Array, now: Millis): Decoded<undefined>;
  /** Peers that left the mesh; and how those parted whose hosts may be there still. */
  onPeersRemoved(peers: readonly PeerName[], partings?: ReadonlyMap<PeerName, Parting>): void;
  /** A connection to neighbour `peer` was added. Forget what was known of earlier ones: its process may be another. */
  onNeighbour?(peer: PeerName, now: Millis): void;
}

/** A netlink socket of one family in one network namespace. Synchronous; every wait is bounded. */
export interface NetlinkSocket extends Disposable {
  /** The kernel's port id of this socket. */
  readonly portId: number;
  /**
   * Sends one request (length, sequence and port id are filled in) and collects what answers it.
   * Replies are whole netlink messages without the final ack or done. A kernel error throws
   * MeshnetError "netlink/request-failed" with `errno` and the extended ack's text as part of the message.
   * A list is whole: one that changed while it was read is read again, and "netlink/torn" is thrown when it never is.
   */
  request(message: Uint8Array<ArrayBuffer>): readonly Uint8Array[];
  /** Like request() for messages already complete that need no answer: fills in nothing, never waits. */
  send(message: Uint8Array<ArrayBuffer>): void;
}

/** What the kernel said to a netlink request in the end. */
export interface NetlinkVerdict {
  /** Positive error number, 0 for success. */
  readonly errno: number;
  /** The kernel's own words (extended acknowledgement); a warning when errno is 0. */
  readonly text: string | undefined;
  /** Type of the attribute that was missing. */
  readonly missingType: number | undefined;
}

/** Collects what answers one netlink request. */
export interface NetlinkAnswer {
  /** Takes one datagram. True when the answer is complete; a reason when the bytes make no sense. */
  take(datagram: Uint8Array): Decoded<boolean>;
  /** Whole messages so far, without the final acknowledgement or end of dump. */
  readonly replies: readonly Uint8Array[];
  /** Set once the answer is complete. */
  readonly verdict: NetlinkVerdict | undefined;
  /** Whether what was listed changed meanwhile: something may be missing or twice, so the list must be read again. */
  readonly interrupted: boolean;
}

/** What a netlink socket must know of requests and answers. */
export interface NetlinkCodec {
  /** Fills in length, sequence and port id of a request, and asks for an acknowledgement where that is possible. */
  complete(request: Uint8Array<ArrayBuffer>, seq: number, portId: number): void;
  /** A collector of what answers the request with this sequence number. */
  answerTo(seq: number): NetlinkAnswer;
}
