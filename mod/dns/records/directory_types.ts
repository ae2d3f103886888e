/** What goes into the directory of names and what comes out. */
import type { PeerName } from "../../core/names.ts";
import type { Knocked, Parting } from "../../core/ports.ts";
import type { DnsEntry, DnsGossip } from "../../wire/dns/dns_gossip.ts";
import type { KnockWanted } from "./absent_names.ts";

/** What a directory is made of. */
export interface DirectoryOptions {
  /** Who we are. */
  readonly self: PeerName;
  /** The domain of the mesh, a whole name. */
  readonly domain: string;
  /** Whether the mesh knows a peer: entries of others are not taken. */
  readonly knows: (peer: PeerName) => boolean;
  /** Whole seconds since 1970. It may jump; what depends on it gets over that. */
  readonly wallSeconds: () => number;
}

/** The data of a record: its type, and an address or other data; see `DnsEntry`. */
export type EntryData = Pick<DnsEntry, "type" | "addr" | "rdata">;

/** Something that happened, or that somebody wants. */
export type DirectoryEvent =
  | { readonly kind: "wake" }
  /** A name gets a record. `id` is the caller's number; the outcome bears it. */
  | {
    readonly kind: "register";
    readonly id: number;
    readonly container: string;
    readonly hostname: string;
    readonly data: EntryData;
  }
  /** Names of ours go: those that match all that is given. */
  | {
    readonly kind: "remove";
    readonly id: number;
    readonly hostname?: string | undefined;
    readonly container?: string | undefined;
    readonly addr?: number | undefined;
    /** The record itself; `addr` alone means those with that address. */
    readonly data?: EntryData | undefined;
  }
  /** A target is gone, and with it its names. */
  | { readonly kind: "gone"; readonly container: string }
  /** Whether a target answers; of its address, or of all its addresses. */
  | {
    readonly kind: "health";
    readonly container: string;
    readonly addr?: number | undefined;
    readonly healthy: boolean;
  }
  /** Peers left the mesh, and with them their names: those in `partings` for a while only, as their hosts may be there. */
  | {
    readonly kind: "left";
    readonly peers: readonly PeerName[];
    readonly partings?: ReadonlyMap<PeerName, Parting> | undefined;
  }
  /** A peer is connected. */
  | { readonly kind: "back"; readonly peer: PeerName }
  /** What became of a knock at the host of a peer that has left. */
  | { readonly kind: "knocked"; readonly peer: PeerName; readonly result: Knocked }
  /** Gossip came. */
  | { readonly kind: "gossip"; readonly gossip: DnsGossip; readonly broadcast: boolean };

/** What a request comes to. */
export type DirectoryOutcome =
  /** So many entries were changed. */
  | { readonly kind: "done"; readonly changed: number }
  /** The name is not below the domain: nothing was done, as the original does nothing. */
  | { readonly kind: "ignored"; readonly message: string }
  | {
    readonly kind: "refused";
    readonly code: "bad-name" | "too-many";
    readonly message: string;
    readonly hint: string;
  };

/** What has to be done. */
export type DirectoryEffect =
  /** All peers are to hear of these entries. */
  | { readonly kind: "broadcast"; readonly entries: readonly DnsEntry[] }
  /** The gossip that came last is to be passed on with these entries; nothing when there are none. */
  | { readonly kind: "relay"; readonly entries: readonly DnsEntry[] }
  /** What came last is refused, which ends the connection that it came on. */
  | { readonly kind: "refuse"; readonly reason: string }
  /** Find out whether a host is there: by an attempt to connect, which its system accepts or refuses. */
  | { readonly kind: "knock" } & KnockWanted
  | { readonly kind: "outcome"; readonly id: number; readonly outcome: DirectoryOutcome };
