/** Values of the address allocation's messages (source: spec ipam.md, section 4). Addresses are 32-bit integers here. */
import { type PeerName, UNKNOWN_PEER } from "../../core/names.ts";

/** Most entries of a ring, seeds and nicknames in one state. */
export const MAX_IPAM_ENTRIES = 65_536;
/** Most nodes of an election in one state. */
export const MAX_IPAM_CLAIMS = 4_096;
/** Most members, and most lost members, in one state. */
export const MAX_IPAM_MEMBERS = 4_096;
/** Most promises of one member. */
export const MAX_IPAM_PROMISES = 256;

/** From `token` on to the next entry, addresses are `owner`'s. */
export interface IpamEntry {
  /** First address. */
  readonly token: number;
  /** Whose the range is. */
  readonly owner: PeerName;
  /** Higher is newer. */
  readonly version: number;
  /** How many of the addresses are free, as the owner last said. */
  readonly free: number;
}

/** A copy of the ring. */
export interface IpamRing {
  /** First address of the universe. */
  readonly start: number;
  /** The address after the last one. */
  readonly end: number;
  /** Whose copy it is. */
  readonly peer: PeerName;
  /** In order of token, if the sender is sane. */
  readonly entries: readonly IpamEntry[];
  /** Among whom the universe was shared out at first; ascending. */
  readonly seeds: readonly PeerName[];
}

/** One process in an election. */
export interface PaxosNode {
  /** Its peer. */
  readonly name: PeerName;
  /** Which of the peer's processes: 64 bits. */
  readonly uid: bigint;
}

/** Proposals are ordered by round, then by proposer. */
export interface ProposalId {
  /** 0: no proposal. */
  readonly round: number;
  /** Who proposed it. */
  readonly proposer: PaxosNode;
}

/** What one node has promised and accepted. */
export interface PaxosClaims {
  /** It takes no proposal below this one. */
  readonly promise: ProposalId;
  /** The proposal that it accepted last. */
  readonly accepted: ProposalId;
  /** The peers that this proposal names. */
  readonly value: readonly PeerName[];
  /** The proposal that named them first. */
  readonly origin: ProposalId;
}

/** All that a node knows of an election, by `nodeKey`. */
export type PaxosKnowledge = ReadonlyMap<string, { readonly node: PaxosNode; readonly claims: PaxosClaims }>;

/** One peer of our make, in its own words (our extension). Of two records the one with the higher life, then tag, then seq holds. */
export interface IpamMember {
  /** Who it is. */
  readonly peer: PeerName;
  /** How often it has started, 1 at first; more if it found another under its name. */
  readonly life: number;
  /** Drawn at each start. */
  readonly tag: number;
  /** Counts changes within a life. */
  readonly seq: number;
  /** Who may take over from whom, as far as this peer is concerned; a claim is a promise to oneself. */
  readonly promises: readonly IpamPromise[];
}

/** `claimant` may take over what `victim` owned in its lives up to `life`. */
export interface IpamPromise {
  /** Who is lost. */
  readonly victim: PeerName;
  /** The last life that the promise is about; 0 for a peer of another make. */
  readonly life: number;
  /** Who may take over. */
  readonly claimant: PeerName;
}

/** A peer that is gone for good, in its lives up to this one. */
export interface IpamLost {
  /** Who it was. */
  readonly peer: PeerName;
  /** Its last life. */
  readonly life: number;
}

/** The extension: who takes part, and who is gone. */
export interface IpamMembers {
  /** Ascending by name; at least the sender. */
  readonly members: readonly IpamMember[];
  /** Ascending by name. */
  readonly lost: readonly IpamLost[];
}

/** What gossip, broadcasts and ring updates carry. */
export interface IpamState {
  /** Seconds since 1970 at the sender; nobody relies on it. */
  readonly now: number;
  /** Nicknames of peers, also of some that are gone. */
  readonly nicknames: ReadonlyMap<PeerName, string>;
  /** The election, while there is no ring; undefined from an observer. */
  readonly paxos: PaxosKnowledge | undefined;
  /** The ring, once there is one. */
  readonly ring: IpamRing | undefined;
  /** From peers of our make alone. */
  readonly members: IpamMembers | undefined;
}

/** Addresses from `start` to before `end`. */
export interface IpamRange {
  /** The first one. */
  readonly start: number;
  /** The one after the last. */
  readonly end: number;
}

/** A message to one peer. */
export type IpamMessage =
  | { readonly kind: "request"; readonly range: IpamRange }
  | { readonly kind: "update"; readonly state: IpamState }
  | { readonly kind: "denied"; readonly range: IpamRange };

/** No proposal yet. */
export const NO_PROPOSAL: ProposalId = { round: 0, proposer: { name: UNKNOWN_PEER, uid: 0n } };

/** The key of a node in maps. */
export function nodeKey({ name, uid }: PaxosNode): string {
  return `${name}/${uid.toString(16).padStart(16, "0")}`;
}
