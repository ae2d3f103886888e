/** What goes into the allocator and what comes out. */
import type { LogEvent } from "../core/log_events.ts";
import type { Cidr, Ip } from "../core/addr.ts";
import type { PeerName } from "../core/names.ts";
import type { Random } from "../core/ports.ts";
import type { IpamMessage, IpamState } from "../wire/ipam/ipam_types.ts";
import type { Backup } from "./backup.ts";
import type { Universe } from "./universe.ts";

/** How the universe is shared out when there is no ring yet. */
export type Init =
  /** Among whom an election finds; `peers`: how many there will be, the mesh's targets count where it is not given. */
  | { readonly kind: "consensus"; readonly peers: number | undefined }
  /** Among these. */
  | { readonly kind: "seed"; readonly peers: readonly PeerName[] }
  /** Others see to it. */
  | { readonly kind: "observer" };

/** What an allocator is made of. */
export interface AllocatorOptions {
  /** The range of addresses, the same on all peers. */
  readonly universe: Universe;
  /** Who we are. */
  readonly self: PeerName;
  /** Which process of ours: 64 random bits. */
  readonly uid: bigint;
  /** Our nickname. */
  readonly nickname: string;
  /** How to begin. */
  readonly init: Init;
  /** What `store` effects of earlier runs have written, by key. */
  readonly stored: ReadonlyMap<string, string>;
  /** Draws whom to ask. */
  readonly random: Random;
  /** Seconds since 1970, which states carry and nobody relies on. */
  readonly wallSeconds: () => number;
}

/** The shell's number for a request; the answer bears it. */
export type RequestId = number;

/** How long a request waits. */
export interface Patience {
  /** When it fails; Infinity: it waits until it is cancelled. */
  readonly until: number;
  /** Whether it fails as soon as nobody is left to ask. */
  readonly noWait: boolean;
}

/** Something that happened, or that somebody wants. */
export type AllocatorEvent =
  /** Once, first. */
  | { readonly kind: "start" }
  | { readonly kind: "wake" }
  /** Whom the mesh reaches now, and how many peers there ought to be, ourselves included. */
  | { readonly kind: "mesh"; readonly peers: readonly PeerName[]; readonly expected: number }
  /** Peers left the mesh. */
  | { readonly kind: "left"; readonly peers: readonly PeerName[] }
  /** A state came: from `source`, or from an unknown one by way of `relay`, which is a neighbour. */
  | { readonly kind: "state"; readonly state: IpamState; readonly source: PeerName | undefined }
  /** A message for us alone came. */
  | { readonly kind: "message"; readonly message: IpamMessage; readonly source: PeerName }
  /** Somebody wants an address in a subnet. */
  | {
    readonly kind: "allocate";
    readonly id: RequestId;
    readonly ident: string;
    readonly subnet: Cidr;
    readonly isContainer: boolean;
    readonly patience: Patience;
  }
  /** Somebody wants this address. `lenient`: success at once where the owner is not known or cannot be asked. */
  | {
    readonly kind: "claim";
    readonly id: RequestId;
    readonly ident: string;
    readonly cidr: Cidr;
    readonly isContainer: boolean;
    readonly lenient: boolean;
    /** Has nobody share the range out: it waits until somebody else does. */
    readonly quiet?: boolean;
    /** Whether it may be an address that is set aside, as its user may be who claims it: the claimer looks at that. */
    readonly evenAside?: boolean;
    readonly patience: Patience;
  }
  /** Somebody waits until there is a ring. */
  | { readonly kind: "prime"; readonly id: RequestId; readonly patience: Patience }
  /** Somebody waits no longer. */
  | { readonly kind: "cancel"; readonly id: RequestId }
  /** Addresses go back: one of a holder, or all that it has. */
  | { readonly kind: "release"; readonly id: RequestId; readonly ident: string; readonly ip: Ip | undefined }
  /** An address of a holder turned out to be in use by somebody who did not ask for it: nobody gets it for `forMs`. */
  | {
    readonly kind: "set-aside";
    readonly id: RequestId;
    readonly ident: string;
    readonly ip: Ip;
    readonly forMs: number;
  }
  | { readonly kind: "container"; readonly ident: string; readonly what: "started" | "died" | "destroyed" }
  /** The containers that run: addresses of others go back. */
  | { readonly kind: "running"; readonly idents: ReadonlySet<string> }
  /** Addresses are to be as a backup says. `gone`: owners that will not come back. */
  | {
    readonly kind: "import";
    readonly id: RequestId;
    readonly backup: Backup;
    readonly gone: readonly PeerName[];
  }
  /** These peers are gone for good: somebody is to take over what they own. */
  | {
    readonly kind: "remove";
    readonly id: RequestId;
    readonly peers: readonly PeerName[];
    readonly patience: Patience;
  }
  /** We go for good: somebody else gets what we own. */
  | { readonly kind: "shutdown"; readonly id: RequestId };

/** Why a request failed; stable, for programs. */
export type RefusalCode =
  | "bad-subnet"
  | "out-of-range"
  | "in-use"
  | "owned-by-other"
  | "not-found"
  | "exhausted"
  | "no-ring"
  | "cancelled"
  | "too-many"
  | "clone"
  | "removed"
  | "peer-connected"
  | "peers-missing"
  | "shut-down"
  | "ring-exists"
  | "owners-missing";

/** A request that failed: what could not be done, and what to try. */
export interface IpamRefusal {
  /** For programs. */
  readonly code: RefusalCode;
  /** A sentence without a full stop. */
  readonly message: string;
  /** What to try. */
  readonly hint: string | undefined;
}

/** An address of a backup that its holder did not get. */
export interface LeftOut {
  readonly ident: string;
  readonly address: string;
  /** A sentence without a full stop. */
  readonly why: string;
}

/** What a request comes to. */
export type Outcome =
  | { readonly kind: "address"; readonly cidr: Cidr }
  | { readonly kind: "released"; readonly cidrs: readonly Cidr[] }
  | { readonly kind: "removed"; readonly taken: number }
  | { readonly kind: "done" }
  /** `ring`: whether the ring was taken; `restored`: addresses that holders have again. */
  | {
    readonly kind: "imported";
    readonly ring: boolean;
    readonly restored: number;
    readonly left: readonly LeftOut[];
  }
  | ({ readonly kind: "refused" } & IpamRefusal);

/**
 * What has to be done, in this order: stores come first. One that fails must keep the effects behind it from being
 * carried out: what others are told has to be on the disk.
 */
export type AllocatorEffect =
  /** Writes a record; undefined: removes it. */
  | { readonly kind: "store"; readonly key: string; readonly value: string | undefined }
  | { readonly kind: "unicast"; readonly to: PeerName; readonly payload: Uint8Array<ArrayBuffer> }
  /** Our state goes to everybody; it is encoded when it is sent. */
  | { readonly kind: "broadcast" }
  | { readonly kind: "answer"; readonly id: RequestId; readonly outcome: Outcome }
  /** What came last is refused, which ends the connection that it came on. */
  | { readonly kind: "refuse"; readonly reason: string }
  /** What we own has changed: `Allocator.ownedRanges` tells. */
  | { readonly kind: "ranges" }
  /** For the log: an event's name and what it is about. */
  | { readonly kind: "note"; readonly event: LogEvent; readonly about: string };
