/** Sleeve's UDP socket as the user-space path sees it: prepared addresses, groups of equal datagrams, DF or not. */
import type { Endpoint, Ip } from "../core/addr.ts";
import type { PathMtus } from "../overlay/ports/sleeve_port.ts";
import { MAX_PAYLOAD } from "../wire/mesh/sleeve.ts";

/** A peer's address, made ready by a socket for its own use. */
export interface SocketPeer {
  /** The address. */
  readonly endpoint: Endpoint;
}

/** Why a message was not sent. */
export type Refusal =
  /** As one datagram it is larger than what goes to this peer. */
  | "too-big"
  /** The kernel's buffers are full. */
  | "full"
  /** No route, a firewall, or whatever else. */
  | "unreachable";

/** Messages that were received; each holds one datagram, or several of one sender, equal in size but for the last. */
export interface ReceivedMessages {
  /** Where they are; always the same buffer. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Most messages of one receive(): so many mean that there may be more. */
  readonly capacity: number;
  /** Start of each message. */
  readonly from: Int32Array;
  /** End of each. */
  readonly to: Int32Array;
  /** Octets of each of its datagrams but the last. */
  readonly size: Int32Array;
}

/** Datagrams in the outgoing buffer. */
export interface MessageSpan {
  readonly from: number;
  readonly to: number;
  /** Octets of each datagram but the last. */
  readonly size: number;
  /** Comes back with what is refused. */
  readonly tag: number;
}

/** Most datagrams of one message. */
export const MESSAGE_DATAGRAMS = 64;
/** Most octets of one message. */
export const MESSAGE_OCTETS = MAX_PAYLOAD;

/** A UDP socket on sleeve's port. Synchronous, never waits. */
export interface SleeveSocket<Peer extends SocketPeer = SocketPeer> extends Disposable {
  /** Ready when receive() has something. */
  readonly fd: number;
  /** Makes an address ready, to be sent to from an address of ours as long as this host has it; undefined when the socket
   * cannot reach it. `fixed`: nothing is sent from another address. */
  peer(endpoint: Endpoint, local: Ip, how?: { readonly fixed: boolean }): Peer | undefined;
  /** What the last receive() brought. */
  readonly ring: ReceivedMessages;
  /** Receives what waits; returns how many messages. */
  receive(): number;
  /** Datagrams that the kernel threw away because nobody took them in time, as far as received ones tell. */
  readonly lost: number;
  /** Whether a received message came from this peer. */
  isFrom(message: number, peer: Peer): boolean;
  /** Where a received message came from. */
  source(message: number): Endpoint | undefined;
  /** Where datagrams are put that are to be sent; always the same buffer. */
  readonly outgoing: Uint8Array<ArrayBuffer>;
  /** Queues one message: up to MESSAGE_DATAGRAMS and MESSAGE_OCTETS. It must stay in place until flush(). */
  queue(peer: Peer, df: boolean, span: MessageSpan): void;
  /** Sends what is queued. */
  flush(): void;
  /** Called for each message that was not sent; set it before sending. */
  refused: (
    tag: number,
    why: Refusal,
    more: PathMtus & { readonly datagrams: number },
  ) => void;
}
