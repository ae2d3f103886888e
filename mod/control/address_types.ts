/** Requests and answers about addresses. What holds for api_types.ts holds here: scripts depend on it. */
import type { EngineTrouble, HealthReport } from "./name_types.ts";

/** What one host owns of the range. */
export interface IpamOwnerReport {
  /** Peer name. */
  readonly peer: string;
  /** Its name for people; empty when it is not known. */
  readonly nickname: string;
  /** Whether it is this host, or can be asked for addresses now. */
  readonly reachable: boolean;
  /** How many addresses it owns. */
  readonly addresses: number;
  /** How many of them were free when it last said so. */
  readonly free: number;
  /** Its share of the range. */
  readonly percent: number;
}

/** A lost host whose addresses are to be taken over, and what that waits for. */
export interface IpamRemovalReport {
  /** Peer name of the lost host. */
  readonly peer: string;
  /** Its name for people; empty when it is not known. */
  readonly nickname: string;
  /** Peer name of who is to take over; null while nobody has said so. */
  readonly heir: string | null;
  /** Peer names of those whose consent is missing. */
  readonly missing: readonly string[];
}

/** An address that somebody uses who did not ask for it. */
export interface AddressInUseReport {
  /** The address. */
  readonly address: string;
  /** Who answers for it; null: the host itself has it. */
  readonly mac: string | null;
  /** Nickname or name of the host that it is on; null: not known. */
  readonly host: string | null;
  /** Who that is, as a sentence names it. */
  readonly by: string;
}

/** How allocation of addresses is doing. */
export interface IpamReport {
  /** The whole range. */
  readonly range: string;
  /** Where those get an address who name no subnet. */
  readonly subnet: string;
  /** `idle`: nobody has asked for an address yet; `awaiting-consensus`, `priming`: the first owners are being agreed upon;
   * `ready`; `waiting`: somebody waits for an address; `all-unreachable`: no owner can be asked; `blocked`. */
  readonly state: string;
  /** What that means, and what to do; a sentence. */
  readonly info: string;
  /** Addresses of the range. */
  readonly addresses: number;
  /** Addresses of this host's share that are in use. */
  readonly active: number;
  /** By share, the largest first. */
  readonly owners: readonly IpamOwnerReport[];
  /** Who waits for an address. */
  readonly waiting: readonly { readonly holder: string; readonly wants: string }[];
  /** Addresses that nobody gets for a while: somebody uses them who did not ask for them. */
  readonly inUse: readonly AddressInUseReport[];
  /** Hosts that somebody has declared lost. */
  readonly removals: readonly IpamRemovalReport[];
}

/** Who holds which addresses; one line of `meshnet ps`. */
export interface HolderReport {
  /** A target, or a name that was given to `ipam allocate`. */
  readonly holder: string;
  /** What people call it now, where that differs: the name of a container. */
  readonly name: string | null;
  /** Whether it hangs on the network now; false for names, and for what is gone. */
  readonly attached: boolean;
  /** `address/prefix`. */
  readonly addresses: readonly string[];
  /** Names of a target, without the domain. */
  readonly names: readonly string[];
  /** How it is, if it is probed; else null. */
  readonly health: HealthReport | null;
  /** Why the container engine says that it does not answer; null: it does not say so, or it is no container. */
  readonly trouble: EngineTrouble | null;
}

/** One address with which this host takes part in the network. */
export interface ExposedReport {
  /** `address/prefix`. */
  readonly address: string;
  /** Whether what leaves its network through this host takes an address of this host. */
  readonly masquerade: boolean;
}

/** How long a request may wait, for an address or for other hosts. */
export interface WaitRequest {
  /** Fails as soon as nobody is left to ask. */
  readonly noWait: boolean;
  /** Fails after so many milliseconds. */
  readonly timeoutMs: number;
}

/** Body of `POST /ipam/allocate`. */
export interface AllocateRequest extends WaitRequest {
  /** Who gets the address: any name, or a target. */
  readonly holder: string;
  /** In which subnet; null: the default one. */
  readonly subnet: string | null;
}

/** Body of `POST /expose`. */
export interface ExposeRequest extends WaitRequest {
  /** As for `POST /attach`; none: the same as `net:default`. */
  readonly addresses: readonly string[];
  /** Names for this host, with or without the domain; it keeps those that it has. */
  readonly names: readonly string[];
  /** Whether what leaves their networks through this host takes an address of this host. */
  readonly masquerade: boolean;
}

/** Body of `POST /hide`. */
export interface HideRequest {
  /** As for `POST /attach`; none: all. */
  readonly addresses: readonly string[];
}

/** Answer of `POST /expose` and `POST /hide`. */
export interface ExposeAnswer {
  /** The addresses that were asked for, or hidden, `address/prefix`. */
  readonly addresses: readonly string[];
  /** What is exposed now. */
  readonly exposed: readonly ExposedReport[];
  /** What this host is called now, without the domain; nothing while it is not exposed. */
  readonly names: readonly string[];
  /** What a person should know though all went well, sentences without full stop. */
  readonly warnings: readonly string[];
}

/** Body of `POST /ipam/claim`. */
export interface ClaimRequest extends WaitRequest {
  /** Who gets the address: any name, or a target. */
  readonly holder: string;
  /** `address/prefix`. */
  readonly address: string;
}

/** Body of `POST /ipam/release`. */
export interface ReleaseRequest {
  /** Who has the address. */
  readonly holder: string;
  /** The address, with or without its prefix length; null: all that the holder has. */
  readonly address: string | null;
}

/** Answer of `POST /ipam/allocate`, `claim` and `release`. */
export interface AddressesAnswer {
  /** As given. */
  readonly holder: string;
  /** What was allocated, claimed or released, `address/prefix`. */
  readonly addresses: readonly string[];
}

/** Answer of `POST /prime` and `POST /leave`. */
export interface WaitAnswer {
  /** It is so now. */
  readonly done: true;
}

/** Body of `POST /ipam/import`. */
export interface ImportRequest {
  /** What `GET /ipam/export` answered. */
  readonly backup: unknown;
  /** Names or nicknames of hosts that own addresses in it and are gone for good. */
  readonly gone: readonly string[];
}

/** Answer of `POST /ipam/import`. */
export interface ImportAnswer {
  /** Whether the range is shared out as in the backup now; false: it was shared out already. */
  readonly shares: boolean;
  /** Addresses that holders have again. */
  readonly restored: number;
  /** Addresses that holders did not get, and why: a sentence. */
  readonly left: readonly { readonly holder: string; readonly address: string; readonly why: string }[];
  /** Names of the hosts that were said to be gone. */
  readonly gone: readonly string[];
}

/** Body of `POST /rmpeer`. */
export interface RemovePeersRequest extends WaitRequest {
  /** Names or nicknames of hosts that are gone for good. */
  readonly peers: readonly string[];
}

/** Answer of `POST /rmpeer`. */
export interface RemovePeersAnswer {
  /** Names of the peers that were meant. */
  readonly peers: readonly string[];
  /** How many addresses this host took over. */
  readonly addresses: number;
}
