/** The kernel's switch as the data-plane loop sees it, and what such a switch is handed. */
import type { Logger, NetlinkSocket } from "../../core/ports.ts";
import type { Millis } from "../../core/time.ts";
import type { DataplaneEffect, DataplaneEvent } from "./dataplane_types.ts";
import type { SleeveCounts } from "./sleeve_port.ts";

/** Effects that a switch performs; the loop performs the others. */
export type DatapathEffect = Exclude<DataplaneEffect, { kind: "overlay" | "address-used" | "log" | "xfrm" }>;
/** Takes an event for the core, at once. */
export type PostEvent = (event: DataplaneEvent) => void;

/** A switch in the kernel: misses and news of ports come in, flows and frames go out. One thread, synchronous. */
export interface Datapath extends Disposable {
  /** Descriptors that are ready when `drain` has something to do. */
  readonly fds: readonly number[];
  /** The first event: what is there. Call once, before anything else. */
  start(): DataplaneEvent;
  /** Posts what happened, a bounded part of it, and sends what the effects meanwhile asked for. `isReady` tells
   * which of `fds` have input. True when there may be more. Frames of misses are valid while they are posted. */
  drain(post: PostEvent, at: { readonly now: Millis; readonly isReady: (index: number) => boolean }): boolean;
  /** Performs an effect; frames are copied. Nothing is sure to have reached the kernel before `flush`. */
  perform(effect: DatapathEffect, post: PostEvent, now: Millis): void;
  /** Sends what was performed, and posts what is found out by that. */
  flush(post: PostEvent): void;
  /** Earliest time at which `wake` has something to do; Infinity when there is none. */
  nextWake(): number;
  /** Does what was put off; early calls are harmless. */
  wake(post: PostEvent, now: Millis): void;
  /** What the kernel and this shell counted. */
  counts(): DatapathCounts;
}

/** Counts that only the shell of a switch knows. */
export interface DatapathCounts {
  /** Frames that a flow matched, since the switch was made. */
  readonly hits: number;
  /** Frames that no flow matched. */
  readonly misses: number;
  /** Misses that did not reach us. */
  readonly lost: number;
  /** Different masks in use: each costs a lookup. */
  readonly masks: number;
  /** Requests without answer that the kernel refused. */
  readonly refused: number;
  /** Datagrams that made no sense. */
  readonly damaged: number;
  /** How often somebody else had changed how misses reach us. */
  readonly repaired: number;
  /** Interfaces that are stopped because they are part of a loop. */
  readonly stopped?: readonly string[] | undefined;
  /** What user space carried; undefined where no port leads to it. */
  readonly sleeve?: SleeveCounts | undefined;
}

/** The socket for misses, flows and frames. */
export interface UpcallSocket extends NetlinkSocket {
  /** Descriptor, to wait on. */
  readonly fd: number;
  /** Several datagrams without waiting; views, valid until the next call. */
  receiveBatch(): readonly Uint8Array[];
  /** Datagrams a full batch has. */
  readonly batchSize: number;
  /** Sends the first `length` octets of a buffer. */
  sendFirst(buffer: Uint8Array<ArrayBuffer>, length: number): void;
}

/** A socket that has joined multicast groups. */
export interface NoticeSocket extends Disposable {
  /** Descriptor, to wait on. */
  readonly fd: number;
  /** The next datagram without waiting, or undefined; valid until the next call. */
  receive(): Uint8Array | undefined;
}

/** What the Open vSwitch datapath is handed: sockets of one network namespace, and facts about the host. */
export interface OvsAdapters {
  /** A Generic Netlink socket for requests. */
  openControl(): NetlinkSocket;
  /** A Generic Netlink socket for misses: large receive buffer, overruns ignored, errors with the request in them. */
  openUpcalls(): UpcallSocket;
  /** A Generic Netlink socket that hears of changes. */
  openNotices(groups: readonly number[]): NoticeSocket;
  /** An rtnetlink socket that hears of every interface (LINK_NOTICES). */
  openLinkNotices(): NoticeSocket;
  /** An rtnetlink socket. */
  openRoute(): NetlinkSocket;
  /** Index of an interface by name, 0 for none; asking makes the kernel look for a module of that name. */
  interfaceIndex(name: string): number;
  /** How many CPUs the kernel may ever use. */
  readonly cpus: number;
  /** Where the shell logs. */
  readonly log: Logger;
}
