/** The user-space path as the core and a datapath see it: links to send over, frames in both directions. */
import type { Endpoint, Ip } from "../../core/addr.ts";
import type { PeerName, ShortId } from "../../core/names.ts";
import type { LinkId, LinkProtection } from "../../core/overlay_port.ts";
import type { Millis } from "../../core/time.ts";
import type { SleeveKey, TunnelKey } from "../../wire/netlink/ovs_keys.ts";
import type { PeerNumber } from "../../wire/mesh/sleeve.ts";
import type { SpecialFrame } from "../../wire/mesh/sleeve_special.ts";
import type { Channel, FrameSpan } from "./sleeve_channel.ts";

/** What sleeve may understand beyond the protocol, as it is announced. */
export const EXTENSION = { partial: "sleeve-partial", gcm: "sleeve-gcm", beat: "sleeve-beat" } as const;

/** What both ends of a link understand beyond the protocol. */
export interface SleeveExtensions {
  /** Frames may travel with partial transport checksums, as the frame header then says. */
  readonly partial: boolean;
  /** Packets are sealed with AES-256-GCM instead of NaCl's secretbox. */
  readonly gcm: boolean;
}

/** One link as the user-space path uses it. The getters tell what holds at the moment. */
export interface SleeveCarrier {
  readonly link: LinkId;
  readonly peer: PeerName;
  /** Whether we dialled the connection. */
  readonly outbound: boolean;
  readonly protection: LinkProtection;
  readonly extensions: SleeveExtensions;
  /** Our address of the connection, to send from: firewalls and routers on the way know it by now. */
  readonly local: Ip;
  /** Where to send to; undefined: not known yet, nothing can be sent. Another object when the socket's peer is to be made
   * anew. */
  readonly remote: Endpoint | undefined;
  /** Largest inner IP packet. */
  readonly mtu: number;
  /** Largest UDP payload with DF. */
  readonly maxPayload: number;
  /** Whether the MTU will probably rise again in a moment: nobody is to be told of it. */
  readonly unsettled: boolean;
  /** To be kept when traffic goes out. */
  readonly use: LinkUse;
  /** To be called when a packet of traffic goes out. True: the link was idle, and the core wants to know (`traffic`). */
  carried(): boolean;
  /** To be called when something came that is the peer's, at least once for each reception. */
  heard(now: Millis): void;
  /** How a frame is to be sent. */
  channel(frame: FrameSpan): Channel;
}

/** What user space says about the traffic of a link. Both sides read and write it, as a call for each datagram would cost
 * more than what it says. */
export interface LinkUse {
  /** UDP payload of the largest datagram of traffic since the core last proved that the path carries such; at least what every
   * path is believed to carry. User space raises it. */
  largest: number;
  /** True: the core does not look at `largest`. Whoever raises it then sets this to false and tells `traffic`. */
  asleep: boolean;
}

/** What the kernel says about the largest packet to a peer, headers included; 0: it does not say. */
export interface PathMtus {
  /** What the outgoing interface takes. */
  readonly interfaceMtu: number;
  /** What the route takes, as the kernel believes: anybody's ICMP message may have told it. */
  readonly routeMtu: number;
}

/** Translates between the two ways in which frames name peers. Follows the mesh. */
export interface PeerDirectory {
  /** Our own short id, or -1. */
  readonly self: number;
  /** The short id of a peer, or -1. */
  shortOfNumber(peer: PeerNumber): number;
  /** The peer that has a short id, or -1. */
  numberOf(short: ShortId): number;
}

/** What the user-space path finds out. */
export type SleeveNews =
  /** A special frame of the link's peer for us came from `source`. */
  | {
    readonly kind: "special";
    readonly link: LinkId;
    readonly frame: SpecialFrame;
    readonly source: Endpoint;
  }
  /** The kernel refused a DF packet of this link for its size. */
  | PathMtus & { readonly kind: "too-big"; readonly link: LinkId }
  /** Traffic, or large traffic, goes out over a link that had none. */
  | { readonly kind: "traffic"; readonly link: LinkId }
  /** The key of this link has sealed nearly as many packets as it may: it is time for another. Once. */
  | { readonly kind: "key-used-up"; readonly link: LinkId };

/** What the core has the user-space path do. */
export type SleeveEffect =
  /** The mesh keeps the connection of this link: take its packets from now on. */
  | { readonly kind: "sleeve-open"; readonly carrier: SleeveCarrier }
  /** The connection has ended. */
  | { readonly kind: "sleeve-close"; readonly link: LinkId }
  /** Send a special frame to the link's peer, with DF or without. */
  | { readonly kind: "special"; readonly link: LinkId; readonly df: boolean; readonly frame: SpecialFrame };

/** Takes a packet that came over a link, virtio header first, in `[from, to)`. Behind `to` nothing may be touched; the
 * SLEEVE_HEADROOM octets before `from` are free. It is gone after the call. */
export type TakePacket = (key: SleeveKey, bytes: Uint8Array<ArrayBuffer>, from: number, to: number) => void;

/** Octets that are free in front of a packet handed over: room for a tag. */
export const SLEEVE_HEADROOM = 4;

/** The user-space path: UDP sockets, ciphers, segmentation. One thread, synchronous; nothing waits in it for longer than
 * until flush(). */
export interface SleevePort extends Disposable {
  /** Descriptors that are ready when drain() has something to do. */
  readonly fds: readonly number[];
  /** Performs an effect of the core. */
  perform(effect: SleeveEffect, now: Millis): void;
  /** Sends a packet as a TAP gives it, virtio header first, in `[from, to)`, over the link of `key`, from and to the peers
   * of `key`. `broadcast`: a copy of several. The octets are free again after the call. An answer to its sender (that it
   * is too big) goes to `take`. */
  send(
    key: SleeveKey,
    bytes: Uint8Array<ArrayBuffer>,
    span: { from: number; to: number; broadcast: boolean },
  ): void;
  /** Sends a frame as a tunnel of the kernel would, as one packet with DF, whatever the kernel believes of the route. It
   * leaves from `tunnel.src` or not at all. */
  sendTunnelled(frame: Uint8Array, to: { readonly tunnel: TunnelKey; readonly udpPort: number }): void;
  /** Receives a bounded part of what waits: packets go to `take`, news to `tell`. True when there may be more. */
  drain(
    tell: (news: SleeveNews) => void,
    at: { readonly now: Millis; isReady(index: number): boolean },
  ): boolean;
  /** Sends what send() and perform() have gathered; what the kernel refused for its size is told. */
  flush(tell: (news: SleeveNews) => void): void;
  /** What was counted. */
  counts(): SleeveCounts;
}

/** Why a packet of a peer was dropped that is larger than containers here take, and could not be cut. Its sender was told. */
export const TOO_LARGE_HERE = "too-large-here";

/** Why packets were lost that this host did not take in time: its socket's buffer was full, or the TAP's queue. */
export const NOT_TAKEN: readonly string[] = ["receive-buffer-full", "tap-queue-full"];

/** Counts since start. */
export interface SleeveCounts {
  /** Datagrams and their octets, in both directions. */
  readonly sentPackets: number;
  readonly sentBytes: number;
  readonly receivedPackets: number;
  readonly receivedBytes: number;
  /** What was dropped, by reason. */
  readonly dropped: Readonly<Record<string, number>>;
}
